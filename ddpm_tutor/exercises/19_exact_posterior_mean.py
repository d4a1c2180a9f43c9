# %% [markdown]
# # Exercise 19 · The exact posterior mean
#
# **Lesson:** 8
#
# **Paper:** Eq. 4, by Bayes' rule

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def exact_posterior_mean(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """The mean of x_0 given x_t, if x_0 is one of N known pictures, each as likely.

        w_n = softmax over n of -|x_t - √ᾱ_t p_n|² / (2 (1 - ᾱ_t))
        E[x_0 | x_t] = Σ_n w_n p_n

    w_n is how probable it is that x_t came from picture p_n: by Eq. 4, x_t is √ᾱ_t p_n and noise
    of variance 1 - ᾱ_t. |...|² is the sum of the squares of all pixels. No network that knows these
    pictures can guess x_0 better.

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_t        (B, 1, H, W)
    t          (B,) whole numbers in 1..T, one for each x_t
    data       (N, 1, H, W), the pictures p_1 to p_N
    returns    (B, 1, H, W), the mean for each x_t, in its dtype
    """
    ...


# %% [markdown] hint
# Each x_t is compared with each picture: that makes B times N squared distances. Let x_t be
# (B, 1, D) and the pictures (N, D), where D is all pixels: their difference is (B, N, D).


# %% hint
def exact_posterior_mean(schedule, x_t, t, data):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = ...  # (B, N, D)
    ...


# %% [markdown] hint
# x_t is not near p_n, but near √ᾱ_t p_n. Then the squares are summed up over the pixels.


# %% hint
def exact_posterior_mean(schedule, x_t, t, data):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = ... / (2 * (1 - alpha_bar))
    ...


# %% [markdown] hint
# The weights of one x_t, over all pictures, add up to 1. Which dimension is that? With the weights
# (B, N) and the pictures (N, D), the sum over n is a product of matrices.


# %% hint
def exact_posterior_mean(schedule, x_t, t, data):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    weights = ...
    return (weights @ points).view_as(x_t)


# %% solution
def exact_posterior_mean(schedule, x_t, t, data):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    weights = logits.softmax(dim=1)
    return (weights @ points).view_as(x_t)


# %% mistake not_faded
def exact_posterior_mean(schedule, x_t, t, data):
    """x_t is compared with p_n itself; it is near √ᾱ_t p_n, as the picture in it has faded.

    The distances are too large then: even at t = 900 one picture gets all the weight.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake no_root
def exact_posterior_mean(schedule, x_t, t, data):
    """p_n is multiplied by ᾱ_t; √ᾱ_t belongs there, as in Eq. 4.

    The pictures are faded too much, and x_t seems to say less of them: a blur comes out too soon.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake rescaled
def exact_posterior_mean(schedule, x_t, t, data):
    """x_t is divided by √ᾱ_t, and so its noise is, too: its variance is then (1 - ᾱ_t) / ᾱ_t.

    That is the other way to write it, and it is right with that variance. With 1 - ᾱ_t the
    distances count far too much at large t: one picture gets all the weight.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = (x_t.flatten(1) / alpha_bar.sqrt())[:, None] - points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake not_halved
def exact_posterior_mean(schedule, x_t, t, data):
    """The 2 is missing: the squared distance is divided by 2 (1 - ᾱ_t), as in every bell curve.

    All weights are squared, so to speak: the nearest picture gets too much.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (1 - alpha_bar)
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake times_variance
def exact_posterior_mean(schedule, x_t, t, data):
    """It is halved and multiplied by 1 - ᾱ_t: `/ 2 * (1 - alpha_bar)` needs one more bracket.

    At small t the distances then hardly count, and they should count most.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / 2 * (1 - alpha_bar)
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake sigma_for_variance
def exact_posterior_mean(schedule, x_t, t, data):
    """It is divided by 2 √(1 - ᾱ_t), the standard deviation; the variance, 1 - ᾱ_t, belongs there.

    At small t the weights are spread over pictures that x_t cannot have come from.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar).sqrt())
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake not_squared
def exact_posterior_mean(schedule, x_t, t, data):
    """The distance is not squared: `norm` and `torch.cdist` take the root of the sum of squares.

    All pictures then get more or less the same weight, and a blur comes out.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.norm(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake mean_of_squares
def exact_posterior_mean(schedule, x_t, t, data):
    """The squares are averaged over the pixels; their sum belongs there.

    Each pixel is a witness of its own, and 1,024 witnesses together are all but sure. Averaged,
    they say as much as one: all weights are nearly the same, and a blur comes out.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().mean(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake sign
def exact_posterior_mean(schedule, x_t, t, data):
    """The minus is missing: the picture that is furthest off gets the most weight."""
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake over_the_batch
def exact_posterior_mean(schedule, x_t, t, data):
    """The softmax goes over the batch, `dim=0`: it belongs over the pictures, `dim=1`.

    The weights of one x_t have to add up to 1; here x_t of one batch compete for a picture. Code of
    a paper had its softmax over the batch, too (ctallec/world-models #10).
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=0) @ points).view_as(x_t)


# %% mistake not_divided
def exact_posterior_mean(schedule, x_t, t, data):
    """The weights are not divided by their sum: exp alone is no softmax.

    Of a thousand pixels even the nearest picture is so far off that its exp is next to nothing. The
    mean is grey.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.exp() @ points).view_as(x_t)


# %% mistake underflow
def exact_posterior_mean(schedule, x_t, t, data):
    """exp of large negative numbers is 0, for all pictures, and 0 / 0 is no number: use `softmax`.

    In float32 exp(-104) is 0 already, and in a picture of 32×32 pixels the logarithms are -512 or
    so. `softmax` takes off the greatest of them first, which changes no weight.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    weights = (-away.square().sum(dim=2) / (2 * (1 - alpha_bar))).exp()
    return (weights / weights.sum(dim=1, keepdim=True) @ points).view_as(x_t)


# %% mistake each_pixel
def exact_posterior_mean(schedule, x_t, t, data):
    """Each pixel has weights of its own: the squares were not summed up over the picture.

    All pixels of x_t come from one picture. Chosen one by one they are a patchwork of many.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt() * points
    weights = (-away.square() / (2 * (1 - alpha_bar))).softmax(dim=1)
    return (weights * points).sum(dim=1).view_as(x_t)


# %% mistake nearest
def exact_posterior_mean(schedule, x_t, t, data):
    """This is the nearest picture alone: the most probable one is not the mean.

    At large t many pictures are nearly as probable. The best guess, in squared error, is a blur of
    them all.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    return data[away.square().sum(dim=2).argmin(dim=1)]


# %% mistake faded_mean
def exact_posterior_mean(schedule, x_t, t, data):
    """This is the mean of √ᾱ_t p_n, the faded pictures; that of p_n is asked for.

    √ᾱ_t belongs into the distance only. At large t all means would be grey.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (alpha_bar.sqrt() * (logits.softmax(dim=1) @ points)).view_as(x_t)


# %% mistake off_by_one
def exact_posterior_mean(schedule, x_t, t, data):
    """t is off by one: `alpha_bar[t]` is ᾱ_t already, as `alpha_bar[0]` is 1.

    At t = 1 it is divided by zero.
    """
    alpha_bar = schedule.alpha_bar[t - 1].to(x_t.dtype).view(-1, 1)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake one_t
def exact_posterior_mean(schedule, x_t, t, data):
    """One t is used for the whole batch; each x_t has its own."""
    alpha_bar = schedule.alpha_bar[t[0]].to(x_t.dtype)
    points = data.flatten(1)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt() * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% mistake float64
def exact_posterior_mean(schedule, x_t, t, data):
    """The values are right, but in float64: the schedule is float64, and it pulls the mean along.

    A network in float32 refuses what comes of it. Use `.to(x_t.dtype)`.
    """
    alpha_bar = schedule.alpha_bar[t].view(-1, 1)
    points = data.flatten(1).to(alpha_bar.dtype)
    away = x_t.flatten(1)[:, None] - alpha_bar.sqrt()[:, None] * points
    logits = -away.square().sum(dim=2) / (2 * (1 - alpha_bar))
    return (logits.softmax(dim=1) @ points).view_as(x_t)


# %% check
from ddpm_tutor import ExactNoisePredictor, exact_eps, linear_schedule, posterior_weights, q_sample
from ddpm_tutor import exact_posterior_mean as of_numbers
from ddpm_tutor.grading.tools import Draw, Probe, a_digit, copied, noise_of

results = ("the mean",)
written_out = (of_numbers, posterior_weights, exact_eps, ExactNoisePredictor)
N = 7  # pictures: as many as no batch, no side
LARGE = 3  # the seed of the draw with so many pixels that exp of the logarithms is 0
FACTOR, BELOW = "what p_n is multiplied by", "what |...|² is divided by"
linear_in = {FACTOR: "√ᾱ_t", BELOW: "2 (1 - ᾱ_t)"}


def right(schedule, x_t, t, data):
    return x_t if x_t.is_meta else of_numbers(schedule, x_t, t, data)  # looks at the numbers in t


def plain(draw):
    """Whether no exp of a logarithm is 0 for all pictures."""
    return draw.seed != LARGE


def inputs(draw):
    """Pictures so near to each other that x_t, of one of them, may often have come from several."""
    if not plain(draw):
        draw.height, draw.width = 16, 16
    schedule, t, D = draw.schedule(), draw.t(), draw.height * draw.width
    data = draw.noise(N, 1, draw.height, draw.width) * 3 / D**0.5
    size = (1.5 - torch.arange(N, device=data.device) / N).to(data.dtype)  # some are larger
    data = data * size.view(-1, 1, 1, 1)
    alpha_bar = schedule.alpha_bar[t].to(data.dtype).view(-1, 1, 1, 1)
    x_t = alpha_bar.sqrt() * data[t % N] + (1 - alpha_bar).sqrt() * draw.noise()
    return {"schedule": schedule, "x_t": x_t, "t": t, "data": data}


def plainly_told(draw):
    """As `inputs` for a batch of 5, at t where no picture's weight is next to nothing."""
    given = inputs(draw)
    given["t"] = torch.tensor([300, 500, 200, 700, 400] if draw.T == 1000 else [5, 10, 8, 7, 6])
    given["x_t"] = draw.noise()
    given["data"] = given["data"] / 3
    return given


def weights_of(function, schedule, x_t, t, data):
    """The weights (B, N) of the pictures in the result, how much of x_t is in it (B, 1), and how
    much of the result is explained by neither, a share.
    """
    result = function(*(copied(v) for v in (schedule, x_t, t, data))).detach().flatten(1)
    rows = data.flatten(1).expand(len(x_t), -1, -1)
    rows = torch.cat([rows, x_t.flatten(1)[:, None]], dim=1)  # (B, N + 1, D)
    found = torch.linalg.lstsq(rows.mT, result[..., None]).solution[..., 0]  # (B, N + 1)
    rest = (found[:, None] @ rows)[:, 0] - result
    return found[:, :N], found[:, N:], (rest.norm() / result.norm().clamp(min=1e-12)).item()


def apart(function, schedule, x_t, t, data):
    """The weights (B, N) where each x_t is given alone."""
    alone = zip(x_t.split(1), t.split(1), strict=True)
    return torch.cat([weights_of(function, schedule, x, i, data)[0] for x, i in alone])


def squares_in(weights, x_t, data):
    """By what the logarithms of the weights (B, N) are made of x_t · p_n and |p_n|² (B, 2), and how
    far off that is, a share; no number where a weight is too small to tell.
    """
    kept = (weights > 1e-9).all(dim=1)
    logs = torch.where(kept[:, None], weights, torch.nan).log()
    points = data.flatten(1)
    products = x_t.flatten(1) @ points.T  # (B, N)
    columns = torch.stack([products, points.square().sum(1).expand_as(products)], dim=2)
    columns, logs = columns - columns.mean(dim=1, keepdim=True), logs - logs.mean(1, keepdim=True)
    times = torch.full((len(x_t), 2), torch.nan, dtype=logs.dtype)
    times[kept] = torch.linalg.lstsq(columns[kept], logs[kept][..., None]).solution[..., 0]
    rest = ((columns @ times[..., None])[..., 0] - logs)[kept].norm()
    return times, (rest / logs[kept].norm().clamp(min=1e-12)).item()


def probe(function, inputs):
    """What p_n is multiplied by in the distance, and what that is divided by, at each t."""
    T = inputs["schedule"].T
    draw = Draw(1 if T == 1000 else 4, batch=5, T=T, dtype=torch.float64)
    given = plainly_told(draw)
    schedule, x_t, t, data = given.values()
    weights, _, rest = weights_of(function, schedule, x_t, t, data)
    times, off = squares_in(weights, x_t, data)
    if rest > 1e-6 or off > 1e-4:
        raise ValueError("no softmax of squared distances")
    factor = -2 * times[:, 1] / times[:, 0]
    below = 2 * factor / times[:, 0]
    at = [f"t = {int(i)}" if T == 1000 else f"t = {int(i)} of {T}" for i in t]
    nothing = torch.zeros(len(t), 2, dtype=torch.float64)
    numbers = {"ᾱ_t": schedule.alpha_bar[t], "α_t": schedule.alpha[t], "β_t": schedule.beta[t]}
    return Probe(nothing, {}, at, numbers, {FACTOR: factor, BELOW: below})


def explain(function):
    """What the result is made of, where it is no weighted mean, or not by squared distances."""
    given = plainly_told(Draw(1, batch=5, dtype=torch.float64))
    weights, of_x_t, rest = weights_of(function, **given)
    if rest > 1e-6:
        return (
            "The result is no sum of the pictures p_n, each times one number for each x_t. Is "
            "something clipped, or is it weighted pixel by pixel?"
        )
    if of_x_t.abs().max() > 1e-6:
        return (
            f"x_t itself is in the result, {of_x_t[0].item():.4g} times at "
            f"t = {int(given['t'][0])}. The mean is one of pictures p_n, and x_t is none."
        )
    total = weights.sum(dim=1)
    if (total - 1).abs().max() > 1e-6:
        return (
            f"The weights of the pictures add up to {total[0].item():.4g} at "
            f"t = {int(given['t'][0])}; those of a softmax over n add up to 1."
        )
    if weights.max() - weights.min() < 1e-6:
        return "All pictures have the same weight: neither x_t nor t makes a difference."
    times, off = squares_in(weights, given["x_t"], given["data"])
    if not times.isfinite().all(dim=1).any():
        return (
            "One picture has nearly all the weight, even at a large t. In what the softmax is "
            "taken of, the distances are too large, or divided by far too little."
        )
    if (apart(function, **given) - weights).abs().max() > 1e-6:
        return ""  # it is told of all functions that mix pictures
    if off > 1e-4:
        return (
            "The pictures are weighted, and the weights add up to 1. But they are no softmax of "
            "-|x_t - a p_n|² / b, whatever a and b: is it the sum of squares over all pixels?"
        )
    if times[:, 0].nan_to_num(1.0).abs().max() < 1e-6:
        return "x_t makes no difference to the weights: the distance from x_t to √ᾱ_t p_n belongs."
    return ""


def picture(exact_posterior_mean):
    """The best guess of x_0 if it is one of ten digits; x_t is of a 5, at t = 500, 700 and 900."""
    schedule, t = linear_schedule(), torch.tensor([500, 700, 900])
    data = torch.cat([a_digit(digit) for digit in range(10)])
    x_0 = a_digit(5).repeat(3, 1, 1, 1)
    return exact_posterior_mean(schedule, q_sample(schedule, x_0, t, noise_of(x_0)), t, data)
