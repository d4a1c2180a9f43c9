# %% [markdown]
# # Exercise 24 · v and back
#
# **Lesson:** 10
#
# **Paper:** Salimans and Ho 2022, Section 4

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule, q_sample


def v_and_back(
    schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor, v_theta: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What a network is to predict, if not ε but v; and x_0 and ε from what it did predict.

        x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε             (Eq. 4)
        v   = √ᾱ_t ε - √(1 - ᾱ_t) x_0             what it is to predict, when it sees x_t

    For v_θ, its guess of v, these two equations have one solution each, x̂_0 and ε̂. To find them
    is a part of the exercise. If v_θ is v, they are x_0 and ε.

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_0        (B, 1, H, W) in [-1, 1]
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W), the noise ε
    v_theta    (B, 1, H, W), v_θ: what the network says, when it is given x_t
    returns    v, x̂_0 and ε̂, each (B, 1, H, W), in the dtype of x_0

    `q_sample(schedule, x_0, t, eps)` of exercise 2 is at hand. The way back uses neither x_0 nor
    eps but for x_t: whoever draws a picture does not know them.
    """
    ...


# %% [markdown] hint
# Write a for √ᾱ_t and s for √(1 - ᾱ_t). Then a² + s² = 1: x_t and v are x_0 and ε, turned by an
# angle, as a point is turned about the origin. To turn back is as easy.


# %% hint
def v_and_back(schedule, x_0, t, eps, v_theta):
    x_t = q_sample(schedule, x_0, t, eps)
    a, s = ...  # (B, 1, 1, 1) each
    v = ...
    ...


# %% [markdown] hint
# Multiply the equation of x_t by a and that of v by s, and take the one from the other: ε is gone,
# and x_0 = a x_t - s v is left. For ε it goes alike, with a and s in the other places.


# %% hint
def v_and_back(schedule, x_0, t, eps, v_theta):
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), ...
    v = a * eps - ...
    return v, a * x_t - s * v_theta, ...


# %% solution
def v_and_back(schedule, x_0, t, eps, v_theta):
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    v = a * eps - s * x_0
    return v, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake back_sign
def v_and_back(schedule, x_0, t, eps, v_theta):
    """The sign of v_θ in x̂_0 is wrong: it is √ᾱ_t x_t minus √(1 - ᾱ_t) v_θ.

    Where ᾱ_t = ½, x̂_0 would be nothing but ε, however good the network is. When v came to a
    well-known sampler, its first draft had this sign (huggingface/diffusers, pull request 1421).
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t + s * v_theta, s * x_t + a * v_theta


# %% mistake other_sign
def v_and_back(schedule, x_0, t, eps, v_theta):
    """v has the other sign, there and back: this is -v.

    It hangs together, and a network could be trained so. But weights that were trained for v can't
    be used with it.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return s * x_0 - a * eps, a * x_t + s * v_theta, s * x_t - a * v_theta


# %% mistake v_sign
def v_and_back(schedule, x_0, t, eps, v_theta):
    """The sign of v is wrong; the way back is right. v is √ᾱ_t ε minus √(1 - ᾱ_t) x_0.

    The network learns -v, and the way back takes it for v.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return s * x_0 - a * eps, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake plus
def v_and_back(schedule, x_0, t, eps, v_theta):
    """In v the two are added; √(1 - ᾱ_t) x_0 is taken away.

    With a plus, and the roots in these places, no angle turns (x_0, ε) into (x_t, v).
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps + s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake swapped
def v_and_back(schedule, x_0, t, eps, v_theta):
    """In v the roots are swapped: √ᾱ_t belongs to ε, √(1 - ᾱ_t) to x_0.

    It is the other way round than in x_t: v is what x_t is not.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return s * eps - a * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake no_root
def v_and_back(schedule, x_0, t, eps, v_theta):
    """The square roots are missing: it is √ᾱ_t and √(1 - ᾱ_t), as in Eq. 4."""
    x_t = q_sample(schedule, x_0, t, eps)
    a = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return a * eps - (1 - a) * x_0, a * x_t - (1 - a) * v_theta, (1 - a) * x_t + a * v_theta


# %% mistake from_the_true_v
def v_and_back(schedule, x_0, t, eps, v_theta):
    """The way back is taken from v, not from v_θ: it is what the network says that counts.

    x̂_0 is then x_0 itself. That looks like a perfect network, and there is none at all in it.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    v = a * eps - s * x_0
    return v, a * x_t - s * v, s * x_t + a * v


# %% mistake back_from_x_0
def v_and_back(schedule, x_0, t, eps, v_theta):
    """x_0 and ε stand where x_t belongs in the way back: whoever draws a picture has x_t alone."""
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_0 - s * v_theta, s * eps + a * v_theta


# %% mistake eps_is_v
def v_and_back(schedule, x_0, t, eps, v_theta):
    """v_θ is called ε̂: it is to be turned into the noise as well.

    What the network says is not yet what a step needs. In a well-known sampler the prediction
    stood for ε, though it was x_0, until it was turned there too (huggingface/diffusers, pull
    request 2094).
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, v_theta


# %% mistake taken_for_eps
def v_and_back(schedule, x_0, t, eps, v_theta):
    """v_θ is taken for the noise, in x̂_0 by Eq. 15 as well: it is v.

    At small t, where v is nearly ε, the two agree. At large t it is nearly -x_0, and this divides
    by √ᾱ_t, a small number.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, (x_t - s * v_theta) / a, v_theta


# %% mistake of_flow_matching
def v_and_back(schedule, x_0, t, eps, v_theta):
    """This v is ε - x_0, that of flow matching, where x_t is on a straight line (exercise 25).

    Here x_t moves along an arc, and its direction changes with t.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return eps - x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake off_by_one
def v_and_back(schedule, x_0, t, eps, v_theta):
    """ᾱ is off by one: `alpha_bar[t]` is ᾱ_t already."""
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t - 1].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake alpha
def v_and_back(schedule, x_0, t, eps, v_theta):
    """This is α_t where ᾱ_t belongs: the one of a single step, not the product of them all."""
    x_t = q_sample(schedule, x_0, t, eps)
    alpha = schedule.alpha[t].to(x_0.dtype).view(-1, 1, 1, 1)
    a, s = alpha.sqrt(), (1 - alpha).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake one_t
def v_and_back(schedule, x_0, t, eps, v_theta):
    """One t is used for the whole batch; each picture has its own."""
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t[0]].to(x_0.dtype)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake no_broadcast
def v_and_back(schedule, x_0, t, eps, v_theta):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mixes columns, not pictures.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% mistake float64
def v_and_back(schedule, x_0, t, eps, v_theta):
    """The values are right, but in float64: the schedule is float64, and it pulls them along.

    A network in float32 has no use for such a target. Use `.to(x_0.dtype)`.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    alpha_bar = schedule.alpha_bar[t].view(-1, 1, 1, 1)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return a * eps - s * x_0, a * x_t - s * v_theta, s * x_t + a * v_theta


# %% check
from ddpm_tutor import (
    converted,
    eps_from_v,
    linear_schedule,
    load_checkpoint,
    v_from,
    x_0_from_v,
)
from ddpm_tutor.grading.tools import Probe, a_digit, copied, noise_of, schedule_at

results = ("v", "x̂_0", "ε̂")
# what is multiplied by 0 in the right one is named nowhere, unless somebody has it in
linear_in = {
    "x_0 in v": "-√(1 - ᾱ_t)",
    "eps in v": "√ᾱ_t",
    "v_theta in v": "",
    "x_t in x̂_0": "√ᾱ_t",
    "v_theta in x̂_0": "-√(1 - ᾱ_t)",
    "the true v in x̂_0": "",
    "x_t in ε̂": "√(1 - ᾱ_t)",
    "v_theta in ε̂": "√ᾱ_t",
    "the true v in ε̂": "",
}


def right(schedule, x_0, t, eps, v_theta):
    """The package has a function for each of the three."""
    x_t = q_sample(schedule, x_0, t, eps)
    back = (f(schedule, x_t, t, v_theta) for f in (x_0_from_v, eps_from_v))
    return v_from(schedule, x_0, t, eps), *back


written_out = (right, v_from, x_0_from_v, eps_from_v, converted)


def inputs(draw):
    x_0, t, eps, v_theta = draw.images(), draw.t(), draw.noise(), draw.noise()
    return {"schedule": draw.schedule(), "x_0": x_0, "t": t, "eps": eps, "v_theta": v_theta}


def probe(v_and_back, inputs):
    """All three results one below the other. The way back is told in x_t and v, as it is written:
    x_0 and eps are made of these two.
    """
    result = v_and_back(*(copied(value) for value in inputs.values()))
    schedule, x_0, t, eps, v_theta = inputs.values()
    x_t, v = q_sample(schedule, x_0, t, eps), v_from(schedule, x_0, t, eps)
    tensors = {"x_0": x_0, "eps": eps, "v_theta": v_theta, "x_t": x_t, "the true v": v}
    given = {}
    for name in linear_in:
        tensor, of = name.rsplit(" in ", 1)
        parts = [tensors[tensor] if one == of else torch.zeros_like(x_0) for one in results]
        given[name] = torch.cat(parts, dim=1)
    T = f" of {schedule.T}" if schedule.T < 1000 else ""
    numbers = schedule_at(schedule, t)
    return Probe(torch.cat(result, dim=1), given, [f"t = {int(i)}{T}" for i in t], numbers)


def picture(v_and_back):
    """v, x̂_0 and ε̂ of a 5, each at t = 200 and 600, from what the shipped network predicts."""
    model, schedule, t = load_checkpoint().model, linear_schedule(), torch.tensor([200, 600])
    x_0 = a_digit(5).repeat(2, 1, 1, 1)
    eps = noise_of(x_0)
    x_t = q_sample(schedule, x_0, t, eps)
    v_theta = converted(schedule, x_t, t, model(x_t, t, torch.tensor([5, 5])), "eps", "v")
    return torch.cat(v_and_back(schedule, x_0, t, eps, v_theta))
