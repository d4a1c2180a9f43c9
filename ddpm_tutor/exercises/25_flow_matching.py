# %% [markdown]
# # Exercise 25 · A flow-matching step
#
# **Lesson:** 10
#
# **Paper:** Lipman et al. 2023, Eq. 23; Liu et al. 2023, Eq. 1

# %% start
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def flow_matching_loss(
    model: Callable[[Tensor, Tensor], Tensor], x_0: Tensor, tau: Tensor, eps: Tensor
) -> Tensor:
    """The loss of a training step of flow matching (Liu et al. 2023, Eq. 1).

        x_τ  = (1 - τ) x_0 + τ ε        on a straight line from the picture to the noise
        u    = dx_τ / dτ                the velocity on that line: find it
        loss = the mean of (u_θ - u)², over pictures and pixels

    As in the paper of this course time runs from the picture, τ = 0, to the noise, τ = 1. Many
    papers count the other way round.

    model      model(x_tau, t) is u_θ, the velocity (B, 1, H, W) that the network predicts where it
               sees x_tau. Its encoding of time is that of exercise 4, made for 1 to 1000: it is to
               be given t = 1000 τ, (B,), in the dtype of tau
    x_0        (B, 1, H, W) in [-1, 1]
    tau        (B,) in 0..1, τ, one for each picture: the share of noise
    eps        (B, 1, H, W), the noise ε
    returns    the loss, one number: a tensor without axes
    """
    ...


# %% [markdown] hint
# Put x_τ together first; τ is to be shaped (B, 1, 1, 1) for it. Which way, and how fast, does x_τ
# move when τ grows? On a straight line that is the same everywhere.


# %% hint
def flow_matching_loss(model, x_0, tau, eps):
    share = tau.view(-1, 1, 1, 1)
    x_tau = ...
    velocity = ...
    ...


# %% [markdown] hint
# (1 - τ) x_0 + τ ε is x_0 + τ (ε - x_0). What τ is multiplied by is the velocity.


# %% hint
def flow_matching_loss(model, x_0, tau, eps):
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    velocity = ...
    return F.mse_loss(model(x_tau, ...), velocity)


# %% solution
def flow_matching_loss(model, x_0, tau, eps):
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    velocity = eps - x_0
    return F.mse_loss(model(x_tau, 1000 * tau), velocity)


# %% mistake time_in_0_1
def flow_matching_loss(model, x_0, tau, eps):
    """The network is given τ, in 0..1; its encoding of time is made for 1 to 1000.

    Of such small numbers nearly all sines and cosines are alike: the network hardly knows how much
    noise there is. It still learns, only less well, and nobody notices. It was so in published code
    (facebookresearch/flow_matching, issue 17).
    """
    share = tau.view(-1, 1, 1, 1)
    return F.mse_loss(model((1 - share) * x_0 + share * eps, tau), eps - x_0)


# %% mistake ends_swapped
def flow_matching_loss(model, x_0, tau, eps):
    """1 - τ and τ are swapped in x_τ: at τ = 0 there is to be the picture, at τ = 1 the noise.

    The line then runs from the noise to the picture, and the velocity against it. That the two
    ways of counting get mixed happens to the best (lucidrains/rectified-flow-pytorch, issue 14).
    """
    share = tau.view(-1, 1, 1, 1)
    return F.mse_loss(model(share * x_0 + (1 - share) * eps, 1000 * tau), eps - x_0)


# %% mistake against_the_line
def flow_matching_loss(model, x_0, tau, eps):
    """The sign of the velocity is wrong: when τ grows, x_τ moves towards ε, by ε - x_0.

    The network learns the way back. A step that takes τ from 1 to 0 along it leads away from any
    picture (primepake/splitmeanflow, issue 2: two parts of a program had two signs).
    """
    share = tau.view(-1, 1, 1, 1)
    return F.mse_loss(model((1 - share) * x_0 + share * eps, 1000 * tau), x_0 - eps)


# %% mistake other_way_round
def flow_matching_loss(model, x_0, tau, eps):
    """τ is taken for the share of the picture, as many papers have it; here it is that of noise.

    It hangs together: the line runs from the noise to the picture, and so does the velocity. But
    whoever calls this counts the other way.
    """
    share = tau.view(-1, 1, 1, 1)
    return F.mse_loss(model(share * x_0 + (1 - share) * eps, 1000 * tau), x_0 - eps)


# %% mistake predicts_eps
def flow_matching_loss(model, x_0, tau, eps):
    """The network is to predict ε, as in the paper of this course; the velocity is ε - x_0.

    A step along it would only add noise, or take it off: nothing in it says where the picture is.
    """
    share = tau.view(-1, 1, 1, 1)
    return F.mse_loss(model((1 - share) * x_0 + share * eps, 1000 * tau), eps)


# %% mistake rest_of_the_line
def flow_matching_loss(model, x_0, tau, eps):
    """The velocity is taken from x_τ to ε: that is only what is left of the line, (1 - τ) of it.

    It is the same all along, ε - x_0, wherever x_τ is. Others have asked about that, too
    (lucidrains/pi-zero-pytorch, issue 13).
    """
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return F.mse_loss(model(x_tau, 1000 * tau), eps - x_tau)


# %% mistake times_tau
def flow_matching_loss(model, x_0, tau, eps):
    """The velocity is multiplied by τ: that is how far x_τ has come, not how fast it moves."""
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return F.mse_loss(model(x_tau, 1000 * tau), x_tau - x_0)


# %% mistake arc
def flow_matching_loss(model, x_0, tau, eps):
    """x_τ has the roots, √(1 - τ) and √τ, as Eq. 4 has: that is no straight line.

    The velocity on such an arc changes with τ: it is not ε - x_0.
    """
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share).sqrt() * x_0 + share.sqrt() * eps
    return F.mse_loss(model(x_tau, 1000 * tau), eps - x_0)


# %% mistake sees_the_picture
def flow_matching_loss(model, x_0, tau, eps):
    """The network sees x_0; it is to see x_τ, a point of the line.

    When a picture is drawn there is no x_0 to be seen.
    """
    return F.mse_loss(model(x_0, 1000 * tau), eps - x_0)


# %% mistake own_noise
def flow_matching_loss(model, x_0, tau, eps):
    """Noise is drawn anew (`randn_like`) for x_τ: the line must end at the ε of the velocity.

    So the network would learn the velocity of another line than that on which x_τ is. Two starts
    that were confused did that to published code (theislab/CellFlow, pull request 305).
    """
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * torch.randn_like(x_0)
    return F.mse_loss(model(x_tau, 1000 * tau), eps - x_0)


# %% mistake summed
def flow_matching_loss(model, x_0, tau, eps):
    """The squared errors are summed; their mean is asked for.

    The loss, and the steps that it leads to, would grow with the batch and the pictures.
    """
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return ((model(x_tau, 1000 * tau) - (eps - x_0)) ** 2).sum()


# %% mistake of_each_picture
def flow_matching_loss(model, x_0, tau, eps):
    """There is a loss for each picture, (B,); their mean is asked for, one number."""
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return ((model(x_tau, 1000 * tau) - (eps - x_0)) ** 2).mean(dim=(1, 2, 3))


# %% mistake not_squared
def flow_matching_loss(model, x_0, tau, eps):
    """The errors are not squared, but taken without their sign: it is the mean of the squares.

    The best guess is then the median of what may be, not its mean: and it is the mean velocity
    that leads from noise to pictures.
    """
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return (model(x_tau, 1000 * tau) - (eps - x_0)).abs().mean()


# %% mistake whole_t
def flow_matching_loss(model, x_0, tau, eps):
    """1000 τ is rounded to a whole number: there are no steps here, and τ may be any share."""
    share = tau.view(-1, 1, 1, 1)
    x_tau = (1 - share) * x_0 + share * eps
    return F.mse_loss(model(x_tau, (1000 * tau).long()), eps - x_0)


# %% mistake one_tau
def flow_matching_loss(model, x_0, tau, eps):
    """One τ is used for x_τ in the whole batch; each picture has its own."""
    return F.mse_loss(model((1 - tau[0]) * x_0 + tau[0] * eps, 1000 * tau), eps - x_0)


# %% mistake no_broadcast
def flow_matching_loss(model, x_0, tau, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mixes columns, not pictures.
    """
    return F.mse_loss(model((1 - tau) * x_0 + tau * eps, 1000 * tau), eps - x_0)


# %% check
from ddpm_tutor import flow_loss, flow_target, straight_path
from ddpm_tutor.grading.tools import Draw, Probe, a_digit, noise_of

results = ("the loss",)
linear_in = {
    "the t for the network": "1000 τ",
    "x_0 in x_τ": "1 - τ",
    "eps in x_τ": "τ",
    "x_0 in the velocity": "",  # -1, as it is
    "eps in the velocity": "",  # 1
}


def right(model, x_0, tau, eps):
    """The package's own leaves it to the network to make t of τ."""
    return flow_loss(lambda x_tau, tau: model(x_tau, 1000 * tau), x_0, tau, eps)


written_out = (right, flow_loss, straight_path, flow_target)


def inputs(draw):
    def model(x_tau, t):
        """No network, but it depends on x_τ and on t; where 1 is no large t, all are alike."""
        check_times(x_tau, t)
        of_t = (t / 100).cos().to(x_tau.dtype).view(-1, 1, 1, 1)
        return 0.6 * x_tau + 0.2 * x_tau.sin() + of_t

    return {"model": model, "x_0": draw.images(), "tau": draw.uniform(), "eps": draw.noise()}


def check_times(x_tau, t):
    """Refuses what is not one t for each picture: a network would take it for something else."""
    if not isinstance(t, torch.Tensor) or t.shape != x_tau.shape[:1]:
        got = f"a tensor {tuple(t.shape)}" if isinstance(t, torch.Tensor) else f"{t}"
        raise TypeError(f"t is to be a tensor (B,), one number for each picture; it is {got}")


def asked_and_wanted(flow_matching_loss, x_0, tau, eps):
    """What the network is given, (x_τ, t) for each call; the velocity that it is to predict; and
    how many times the mean of the squared errors is taken. The last two are found from the loss, as
    a function of what the network says: from its slope, and from how that changes.
    """
    asked, noise = [], noise_of(x_0).to(x_0)

    def loss_at(said):
        def model(x_tau, t):
            check_times(x_tau, t)
            asked.append((x_tau.detach(), t))
            return said

        return flow_matching_loss(model, x_0.clone(), tau.clone(), eps.clone())

    with torch.enable_grad():
        said = noise.requires_grad_()
        loss = loss_at(said)
        (slope,) = torch.autograd.grad(loss, said)
        calls = list(asked)
        (other,) = torch.autograd.grad(loss_at(2 * said), said)
    # of c · mean((s - u)²) the slopes at s and 2 s are 2c (s - u) / N and 4c (2 s - u) / N
    said = said.detach()
    times = ((other / 2 - slope) * said).sum() / said.square().sum() * said.numel() / 2
    return calls, said - slope * said.numel() / (2 * times), times


def explain(flow_matching_loss):
    """How often the network is asked, and how many times too large the loss is."""
    of = inputs(Draw(1, batch=4))
    calls, _, times = asked_and_wanted(flow_matching_loss, of["x_0"], of["tau"], of["eps"])
    if len(calls) != 1:
        return f"The network is asked {len(calls)} times; once belongs there."
    if abs(times - 1) > 1e-3 and torch.isfinite(times):
        return f"The loss is {times:.4g} times the mean of the squared errors; once belongs there."
    return ""


def probe(flow_matching_loss, inputs):
    """x_τ as the network sees it, below it the velocity that it is to predict; and the t."""
    _, x_0, tau, eps = inputs.values()
    ((x_tau, t),), velocity, _ = asked_and_wanted(flow_matching_loss, x_0, tau, eps)
    given, no = {}, torch.zeros_like(x_0)
    for name in list(linear_in)[1:]:
        tensor = x_0 if name.startswith("x_0") else eps
        given[name] = torch.cat([tensor, no] if name.endswith("x_τ") else [no, tensor], dim=1)
    at = [f"τ = {v:.3f}" for v in tau.tolist()]
    further = {"the t for the network": t}
    return Probe(torch.cat([x_tau, velocity], dim=1), given, at, {"τ": tau}, further)


def picture(flow_matching_loss):
    """A 5 as the network sees it at τ = 0.2, 0.5 and 0.8; and where the line leads back to."""
    x_0, tau = a_digit(5).repeat(3, 1, 1, 1), torch.tensor([0.2, 0.5, 0.8])
    calls, velocity, _ = asked_and_wanted(flow_matching_loss, x_0, tau, noise_of(x_0, seed=1))
    x_tau, _ = calls[0]
    return torch.cat([x_tau, x_tau - tau.view(-1, 1, 1, 1) * velocity])
