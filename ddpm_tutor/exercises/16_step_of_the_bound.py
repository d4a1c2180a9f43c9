# %% [markdown]
# # Exercise 16 · A step of the bound
#
# **Lesson:** 6
#
# **Paper:** Eq. 8

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule, p_mean, q_posterior


def step_nats(
    schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """L_{t-1} of each pixel, in nats: how far the network's step is from the right one (Eq. 8).

        L_{t-1} = (μ̃_t - μ_θ)² / (2 σ_t²) + C
        C = ½ (β̃_t / σ_t² - 1 - log(β̃_t / σ_t²))

    It is the KL of exercise 15, of q(x_{t-1} | x_t, x_0) to p_θ(x_{t-1} | x_t).

    schedule    has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_0, x_t    (B, 1, H, W), pictures, and the same with the noise of step t
    t           (B,) whole numbers in 2..T, one for each picture
    eps_theta   (B, 1, H, W), the noise that the network takes x_t for
    variance    (B, 1, 1, 1), σ_t²: what p_θ has for its variance, somewhere from β̃_t to β_t
    returns     (B, 1, H, W), the nats of each pixel

    Given are exercise 7 and the first half of exercise 8:
    q_posterior(schedule, x_t, x_0, t)        μ̃_t (B, 1, H, W) and β̃_t (B, 1, 1, 1)
    p_mean(schedule, x_t, t, eps_theta)       μ_θ (B, 1, H, W)
    """
    ...


# %% [markdown] hint
# Two means are compared: that of the posterior, which knows x_0, and that of the network, which
# has only its guess of the noise. Ask for both first.


# %% hint
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    mu_tilde, beta_tilde = ...
    ...


# %% [markdown] hint
# Mind the order of the arguments. Then take the difference of the means.


# %% hint
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    ...


# %% [markdown] hint
# C is about the two variances, and the same for all pixels of a picture. It is zero where σ_t² is
# β̃_t.


# %% hint
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    ratio = ...
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% solution
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    ratio = beta_tilde / variance
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake no_c
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """C is missing: what it costs that σ_t² is not β̃_t.

    Training may leave it out, as no weight of the network changes it. Whoever counts bits may not.
    """
    mu_tilde, _ = q_posterior(schedule, x_t, x_0, t)
    return (mu_tilde - p_mean(schedule, x_t, t, eps_theta)) ** 2 / (2 * variance)


# %% mistake c_alone
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """This is C alone: the distance of the means is missing, or zero.

    It is zero where μ̃_t is made from the guess of x_0: both means are then the network's. It is
    x_0 itself that the sender knows.
    """
    _, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    return (0.5 * (ratio - 1 - ratio.log())).expand(x_t.shape)


# %% mistake not_halved
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The 2 below (μ̃_t - μ_θ)² is missing: it is divided by 2 σ_t²."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / variance + 0.5 * (ratio - 1 - ratio.log())


# %% mistake times_variance
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """It is halved and multiplied by σ_t²: `/ 2 * variance` needs brackets, `/ (2 * variance)`.

    So a step that may be wide would cost more than one that has to hit the mark.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / 2 * variance + 0.5 * (ratio - 1 - ratio.log())


# %% mistake c_not_halved
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The ½ in front of C is missing."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + ratio - 1 - ratio.log()


# %% mistake neither_halved
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """This is twice L_{t-1}: both ½ are missing."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / variance + ratio - 1 - ratio.log()


# %% mistake ratio_upside_down
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The ratio in C is upside down: it is β̃_t / σ_t².

    What is sent has the variance β̃_t. The code is made for σ_t², and that is what is below.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = variance / beta_tilde
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake reversed
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """This is the KL of p_θ to q: the two are exchanged. Eq. 5 has q first.

    What is sent comes from q, and the code for it is made for p_θ.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = variance / beta_tilde
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * beta_tilde) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake beta_tilde_below
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The distance of the means is divided by 2 β̃_t; 2 σ_t² belongs there.

    How bad it is to be off is a matter of p_θ, for which the code is made.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * beta_tilde) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake variance_not_used
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """σ_t² is not used: this is L_{t-1} with σ_t² = β̃_t, where C is zero."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    return (mu_tilde - p_mean(schedule, x_t, t, eps_theta)) ** 2 / (2 * beta_tilde)


# %% mistake beta_for_sigma
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """σ_t² is β_t here, whatever variance is given: use `variance`."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    variance = schedule.beta[t].to(x_t.dtype).view(-1, 1, 1, 1)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake root_of_variance
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """It is divided by 2 σ_t, the root: `variance` is σ_t² already, as it belongs below."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance.sqrt()) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake variance_squared
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """It is divided by 2 σ_t⁴: `variance` is σ_t² already, and is not squared once more."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance**2) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake not_squared
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The distance of the means is not squared: to be off downwards would earn bits."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake not_divided
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """This is the squared distance of the means alone: 2 σ_t² below and C are missing.

    At small t the steps are narrow, and to be off by little costs much. That is lost here.
    """
    mu_tilde, _ = q_posterior(schedule, x_t, x_0, t)
    return (mu_tilde - p_mean(schedule, x_t, t, eps_theta)) ** 2


# %% mistake swapped
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """x_0 and x_t are exchanged in the call of q_posterior: x_t comes first there.

    The posterior would take the noisy picture for the clean one.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_0, x_t, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake eps_for_mean
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """μ̃_t is compared with the noise itself; the mean that follows from it belongs there: p_mean.

    A network that knew the noise exactly would pay as if it knew nothing.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    return (mu_tilde - eps_theta) ** 2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake x_0_for_mean
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """μ_θ is compared with x_0: μ̃_t belongs there, the mean of x_{t-1}, not of x_0.

    The step from t to t - 1 need not arrive at the picture, only a little nearer to it.
    """
    _, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = x_0 - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake off_by_one
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """t is off by one: the step of L_{t-1} goes from t to t - 1, and both functions take t.

    The index of L is that of where the step arrives.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t - 1)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t - 1, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())


# %% mistake c_subtracted
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """C is taken away; it is added. A variance that does not fit costs bits, and saves none."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) - 0.5 * (ratio - 1 - ratio.log())


# %% mistake log_sign
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The sign of the logarithm in C is wrong: it is taken away.

    As β̃_t is smaller than σ_t² its logarithm is below zero: C would be, too, and no KL is.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance) + 0.5 * (ratio - 1 + ratio.log())


# %% mistake bits
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """These are bits: it is divided by log 2. Nats are asked for."""
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    nats = distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())
    return nats / 0.6931471805599453


# %% mistake summed
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The pixels of a picture are summed up; the nats of each pixel are asked for.

    Sum them up later: the map shows where in the picture the bits go.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    nats = distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())
    return nats.sum(dim=(1, 2, 3))


# %% mistake c_once
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """The pixels are summed up, and C is added once: it is the C of one pixel. Each pixel pays it.

    The nats of each pixel are asked for. Leave the sum out, and that is mended, too.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = (beta_tilde / variance).flatten()
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    squared = (distance**2 / (2 * variance)).sum(dim=(1, 2, 3))
    return squared + 0.5 * (ratio - 1 - ratio.log())


# %% mistake averaged
def step_nats(schedule, x_0, x_t, t, eps_theta, variance):
    """It is averaged to one number; the nats of each pixel are asked for.

    L_{t-1} of a picture is the sum over its pixels, and no mean.
    """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    ratio = beta_tilde / variance
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return (distance**2 / (2 * variance) + 0.5 * (ratio - 1 - ratio.log())).mean()


# %% check
from ddpm_tutor import (
    distance_of_means,
    learned_variance,
    linear_schedule,
    load_checkpoint,
    q_sample,
    reverse_variance,
    term_nats,
    variance_nats,
)
from ddpm_tutor import step_nats as right
from ddpm_tutor.grading.tools import Draw, Probe, a_digit, copied, noise_of

results = ("L_{t-1}",)
written_out = (right, distance_of_means, variance_nats, term_nats)
linear_in = {"(μ̃_t - μ_θ)²": "1 / (2 σ_t²)", "": "C"}


def inputs(draw):
    """A network that is off by half as much as there is noise, and a σ_t² of its own for each t."""
    schedule, x_0, t, eps = draw.schedule(), draw.images(), draw.t().clamp(min=2), draw.noise()
    x_t, eps_theta = q_sample(schedule, x_0, t, eps), eps + 0.5 * draw.noise()
    variance = learned_variance(schedule, t, draw.uniform().view(-1, 1, 1, 1))
    names = ("schedule", "x_0", "x_t", "t", "eps_theta", "variance")
    return dict(zip(names, (schedule, x_0, x_t, t, eps_theta, variance), strict=True))


def probe(step_nats, inputs):
    """What the squared distance of the means is multiplied by, and what is added."""
    result = step_nats(*(copied(value) for value in inputs.values()))
    schedule, x_0, x_t, t, eps_theta, variance = inputs.values()
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    distance = (mu_tilde - p_mean(schedule, x_t, t, eps_theta)) ** 2
    T = f" of {schedule.T}" if schedule.T < 1000 else ""
    numbers = {"σ_t²": variance.flatten(), "β̃_t": beta_tilde.flatten(), "β_t": schedule.beta[t]}
    at = [f"t = {int(i)}{T}" for i in t]
    return Probe(result, {"(μ̃_t - μ_θ)²": distance}, at, numbers)


def explain(step_nats):
    """Which of the two functions that are given is called with what it should not be."""
    of, asked, theirs = inputs(Draw(1, batch=4)), [], step_nats.__globals__
    signatures = {"q_posterior": ("x_t", "x_0", "t"), "p_mean": ("x_t", "t", "eps_theta")}

    def told(name):
        def call(schedule, *given):
            asked.append((name, given))
            return before[name](schedule, *given)

        return call

    could_be = {name: of[name] for name in ("x_0", "x_t", "t", "eps_theta")}
    could_be["t - 1"] = of["t"] - 1
    before = {name: theirs[name] for name in signatures}
    theirs.update({name: told(name) for name in signatures})
    try:
        step_nats(*(copied(value) for value in of.values()))
    finally:
        theirs.update(before)
    for name, given in asked:
        for argument, value in zip(signatures[name], given, strict=True):
            if not same(value, of[argument]):
                known = [other for other, one in could_be.items() if same(value, one)]
                got = f"it is {known[0]}" if known else "it is another tensor"
                order = ", ".join(signatures[name])
                return f"{name}(schedule, {order}): {got} that you give it as {argument}."
    return ""


def same(a, b):
    return a.shape == b.shape and torch.equal(a, b)


def picture(step_nats):
    """Where in a 5 the nats of the steps t = 2, 10 and 100 go: the brighter, the more."""
    model, schedule = load_checkpoint().model, linear_schedule()
    t, label = torch.tensor([2, 10, 100]), torch.tensor([5, 5, 5])
    x_0 = a_digit(5).repeat(3, 1, 1, 1)
    x_t = q_sample(schedule, x_0, t, noise_of(x_0))
    given = (schedule, x_0, x_t, t, model(x_t, t, label))
    variance = reverse_variance(schedule, t, "beta").to(x_0.dtype)
    most = right(*given, variance).flatten(1).quantile(0.98, dim=1).view(-1, 1, 1, 1)
    return step_nats(*given, variance) / most * 2 - 1
