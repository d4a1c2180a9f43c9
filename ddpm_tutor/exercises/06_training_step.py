# %% [markdown]
# # Exercise 6 · One training step
#
# **Lesson:** 3
#
# **Part:** 11.5 c
#
# **Paper:** Algorithm 1, Eq. 14

# %% start
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ddpm_tutor import Schedule, q_sample


def training_step(
    model: nn.Module, optimizer: Optimizer, schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """One gradient step on the squared error of the predicted noise (Algorithm 1, line 5).

        loss = mean of (ε - ε_θ(x_t, t))²        x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε

    model      predicts the noise: model(x_t, t) is ε_θ(x_t, t), shaped like x_t
    optimizer  of the model's weights: zero_grad(), step()
    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_0        (B, 1, H, W) pictures in [-1, 1];  t (B,);  eps (B, 1, H, W) noise from N(0, I)
    returns    the loss before the step, a tensor of one number: the mean over all pixels

    `q_sample(schedule, x_0, t, eps)` of exercise 2 is at hand.
    """
    ...


# %% [markdown] hint
# Two halves: the loss, and then what PyTorch needs to step on it, three lines.


# %% hint
def training_step(model, optimizer, schedule, x_0, t, eps):
    x_t = ...
    loss = ...
    ...
    return loss


# %% [markdown] hint
# The network sees x_t and t. What it predicts is compared with the noise.


# %% hint
def training_step(model, optimizer, schedule, x_0, t, eps):
    x_t = q_sample(schedule, x_0, t, eps)
    loss = F.mse_loss(..., eps)
    ...
    return loss


# %% [markdown] hint
# Gradients add up from call to call: set them to zero, then backward, then step.


# %% hint
def training_step(model, optimizer, schedule, x_0, t, eps):
    x_t = q_sample(schedule, x_0, t, eps)
    loss = F.mse_loss(model(x_t, t), eps)
    optimizer.zero_grad()
    ...
    optimizer.step()
    return loss


# %% solution
def training_step(model, optimizer, schedule, x_0, t, eps):
    x_t = q_sample(schedule, x_0, t, eps)
    loss = F.mse_loss(model(x_t, t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake no_zero_grad
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The gradients are never set to zero: `optimizer.zero_grad()` is missing.

    Each step then goes along the sum of all gradients so far, and soon beyond the goal. It is
    forgotten so often that PyTorch was asked to warn of it (pytorch/pytorch #47175).
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    loss.backward()
    optimizer.step()
    return loss


# %% mistake zero_grad_too_late
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The gradients are set to zero between `backward` and `step`: nothing is left to step on.

    The weights stay as they are.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss


# %% mistake step_too_early
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The step is taken before `loss.backward()`: there are no gradients yet.

    The weights stay as they are.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss


# %% mistake no_backward
def training_step(model, optimizer, schedule, x_0, t, eps):
    """There are no gradients: `loss.backward()` is missing. The weights stay as they are."""
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    optimizer.step()
    return loss


# %% mistake no_step
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The gradients are computed, but no step is taken: `optimizer.step()` is missing."""
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    loss.backward()
    return loss


# %% mistake target_x_0
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The prediction is compared with x_0; Eq. 14 compares it with the noise ε.

    A network can learn to predict x_0. But Algorithm 2 would subtract its picture as if it were
    noise.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), x_0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake target_x_t
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The prediction is compared with x_t; Eq. 14 compares it with the noise ε.

    x_t is what the network was given: it learns to hand it through. It came into a paper's code in
    the place of x_0, for networks that predict x_0 (irom-princeton/dppo #14).
    """
    x_t = q_sample(schedule, x_0, t, eps)
    loss = F.mse_loss(model(x_t, t), x_t)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake fresh_noise
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The noise in x_t is drawn anew: the prediction is compared with an ε that is not in x_t.

    There is nothing to learn from that: the best answer is zero, a loss of 1.
    """
    x_t = q_sample(schedule, x_0, t, torch.randn_like(x_0))
    loss = F.mse_loss(model(x_t, t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake fresh_target
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The noise to compare with is drawn anew: it is not the ε that is in x_t.

    There is nothing to learn from that: the best answer is zero, a loss of 1.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), torch.randn_like(eps))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake clean_input
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The network is given x_0; it has to find the noise in x_t.

    There is none in x_0. The best it can do is to say zero: a loss of 1.
    """
    loss = F.mse_loss(model(x_0, t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake absolute
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The error is absolute, not squared: Eq. 14 has the square."""
    loss = F.l1_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake root
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The root of the mean was taken: Eq. 14 has the squared error itself.

    The gradient then grows where the loss is small, and the steps do not settle.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps).sqrt()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake squared_mean
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The mean is squared; Eq. 14 has the mean of the squares.

    Errors of either sign cancel: pixels may be as wrong as they like if only their mean is right.
    """
    loss = (model(q_sample(schedule, x_0, t, eps), t) - eps).mean() ** 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake loss_after_step
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The loss that is returned was computed after the step; asked for is the one before it.

    One more pass through the network in each step, only to be told.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)


# %% mistake summed
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The squared errors are summed; here the loss is their mean over images and pixels.

    The gradient is as many times larger as there are pixels in the batch.
    """
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake detached
def training_step(model, optimizer, schedule, x_0, t, eps):
    """The loss knows nothing of the weights: the prediction was detached, or under no_grad."""
    with torch.no_grad():
        eps_theta = model(q_sample(schedule, x_0, t, eps), t)
    loss = F.mse_loss(eps_theta, eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% mistake one_t
def training_step(model, optimizer, schedule, x_0, t, eps):
    """One t is used for the whole batch; each picture has its own."""
    t = t[:1].expand(len(x_0))
    loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% check
from ddpm_tutor import loss_simple
from ddpm_tutor import training_step as right
from ddpm_tutor.grading.tools import Draw, copied, named

written_out = (right, loss_simple)
shapes = False  # there is nothing to step on in tensors without numbers


def inputs(draw):
    x_0, t, eps = draw.images(), draw.t(), draw.noise()
    return {"model": draw.network(), "schedule": draw.schedule(), "x_0": x_0, "t": t, "eps": eps}


def observe(training_step, model, schedule, x_0, t, eps):
    """The losses of two steps, the weights that they lead to, and if these stay, what was done."""
    optimizer, seen, done = torch.optim.SGD(model.parameters(), lr=0.1), {}, []
    model.weights.register_hook(lambda gradient: done.append("backward"))
    optimizer.register_step_post_hook(lambda *of_step: done.append("optimizer.step"))
    asked = []  # what the network is given
    model.register_forward_pre_hook(lambda _, given: asked.append(given))
    x_t = q_sample(schedule, x_0, t, eps)
    for step in (1, 2):
        before = model.weights.detach().clone()
        loss = named(training_step(model, optimizer, schedule, x_0, t, eps), ("the loss",))
        seen[f"loss of step {step}"] = loss["the loss"].clone()
        seen[f"weights after step {step}"] = model.weights.detach().clone()
        stay = torch.equal(before, model.weights)
        seen[f"backward called in step {step}"] = done.count("backward") if stay else 1
        seen[f"optimizer.step called in step {step}"] = done.count("optimizer.step")
        seen[f"backward comes first in step {step}"] = not stay or done[:1] != ["optimizer.step"]
        done.clear()
    asked = [given for given in asked if len(given) > 1]  # others are given by name
    seen["the network is given x_t by Eq. 4"] = all(nearly(given[0], x_t) for given in asked)
    seen["the network is given t"] = all(nearly(given[1], t) for given in asked)
    return seen


def explain(training_step):
    """How many times too large the loss is, where that is the same for pictures of any content."""
    ratios = []
    for draw in (Draw(1, batch=2), Draw(2, batch=2), Draw(3, batch=3, height=4, width=6)):
        of_draw = inputs(draw)
        first = "loss of step 1"
        mine, right_one = (observe(f, **copied_all(of_draw)) for f in (training_step, right))
        ratios.append((mine[first] / right_one[first]).item())
        steps = mine["optimizer.step called in step 1"]
    if max(ratios) - min(ratios) < 1e-3 * max(ratios) and abs(ratios[0] - 1) > 1e-3:
        return (
            f"The loss is {ratios[0]:.4g} times the mean of the squared errors; once belongs there."
        )
    if abs(ratios[0] - 64) < 0.1 and abs(ratios[2] - 24) < 0.1:
        return "The squared errors of each picture are summed; their mean belongs there."
    if steps == 1 and max(abs(ratio - 1) for ratio in ratios) < 1e-3:
        return (
            "The loss is right, but the weights go elsewhere: the gradient is changed between"
            " `backward()` and `step()`, or it is that of another loss."
        )
    low, high = (ratio_at(training_step, t) for t in (100, 900))
    if abs(low - high) > 1e-3 * low and low == ratio_at(training_step, 100, seed=8):
        return (
            f"The loss is weighted by t: the mean of the squared errors is taken {low:.4g} times at"
            f" t = 100, and {high:.4g} times at t = 900. Eq. 14 takes it once."
        )
    return ""


def ratio_at(training_step, t, seed=7):
    """How many times too large the loss is at one t."""
    given = inputs(Draw(seed, batch=2))
    given["t"] = torch.full_like(given["t"], t)
    mine, right_one = (
        observe(f, **copied_all(given))["loss of step 1"] for f in (training_step, right)
    )
    return round((mine / right_one).item(), 4)


def copied_all(given):
    return {name: copied(value) for name, value in given.items()}


def nearly(given, wanted):
    """Whether a tensor is another, but for rounding."""
    return given.shape == wanted.shape and torch.allclose(
        given.double(), wanted.double(), atol=1e-3
    )
