"""One prediction under several names: noise, picture, v, score, mean (Section 3.2 and after).

Once x_t is known, each of them follows from any other by a sum: x_t times one number plus the
prediction times another. So a network may give whichever it likes. What differs is how large its
errors are then, and so which t its training cares for.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ddpm_tutor.science.bound import reverse_variance
from ddpm_tutor.science.checks import (
    check_fits,
    check_inputs,
    check_kind,
    check_one_of,
    check_pixels,
    check_schedule,
    check_t,
    check_whole,
    device_of,
    length,
    own_steps,
)
from ddpm_tutor.science.diffusion import per_image, q_sample
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.muon import Muon
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.science.training import TrainingConfig, batches, lr_factor

# what a network may predict; "mu" is the mean of the reverse step (Eq. 11)
Kind = Literal["eps", "x_0", "v", "score", "mu"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# how its squared errors may be weighed: as errors in one of these, or as the bound L does (Eq. 8)
Weighed = Literal["eps", "x_0", "v", "score", "mu", "L"]
WEIGHED: tuple[Weighed, ...] = get_args(Weighed)


def v_from(schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans and Ho 2022, Section 4).

    x_t = cos(phi) x_0 + sin(phi) eps is a point on a circle, where cos(phi) = sqrt(alpha_bar), and
    v = dx_t / dphi is the direction in which it moves: nearly eps at small t, and -x_0 at large t.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 0..T.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> v_from(schedule, x_0, t, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, least=0, x_0=x_0, eps=eps)
    alpha_bar = schedule.alpha_bar[t]
    return per_image(alpha_bar.sqrt(), x_0) * eps - per_image((1 - alpha_bar).sqrt(), x_0) * x_0


def x_0_from_v(schedule: Schedule, x_t: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """x_0 = sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v: no division, and so good at any t.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 0..T.
        v: the predicted v, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> v = v_from(schedule, x_0, t, eps)
        >>> x_0_from_v(schedule, x_t, t, v).allclose(x_0, atol=1e-5)
        True
    """
    check_inputs(schedule, t, least=0, x_t=x_t, v=v)
    alpha_bar = schedule.alpha_bar[t]
    return per_image(alpha_bar.sqrt(), x_t) * x_t - per_image((1 - alpha_bar).sqrt(), x_t) * v


def eps_from_v(schedule: Schedule, x_t: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """eps = sqrt(1 - alpha_bar) x_t + sqrt(alpha_bar) v.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 0..T.
        v: the predicted v, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> v = v_from(schedule, x_0, t, eps)
        >>> eps_from_v(schedule, x_t, t, v).allclose(eps, atol=1e-5)
        True
    """
    check_inputs(schedule, t, least=0, x_t=x_t, v=v)
    alpha_bar = schedule.alpha_bar[t]
    return per_image((1 - alpha_bar).sqrt(), x_t) * x_t + per_image(alpha_bar.sqrt(), x_t) * v


def eps_coefficients(schedule: Schedule, t: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """The a and b of eps = a x_t + b prediction, (B,) each, for a prediction of `kind`.

    Raises:
        ValueError: `kind` is unknown, or some t is not in 1..T.
    """
    if kind not in KINDS:
        raise ValueError(f"a prediction is one of {', '.join(KINDS)}, not {kind!r}")
    check_t(schedule, t, length(t) if isinstance(t, Tensor) else 1)
    alpha, alpha_bar = schedule.alpha[t], schedule.alpha_bar[t]
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if kind == "eps":
        return torch.zeros_like(noise), torch.ones_like(noise)
    if kind == "x_0":
        return 1 / noise, -signal / noise  # Eq. 15
    if kind == "v":
        return noise, signal
    if kind == "score":
        return torch.zeros_like(noise), -noise
    return noise / schedule.beta[t], -alpha.sqrt() * noise / schedule.beta[t]  # Eq. 11


def converted(
    schedule: Schedule, x_t: Tensor, t: Tensor, prediction: Tensor, given: Kind, wanted: Kind
) -> Tensor:
    """A prediction of one kind, said as another, shaped like x_t.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) in 1..T.
        prediction: what `given` names: "eps", "x_0", "v", "score" or "mu"; shaped like x_t.
        given: what the prediction is.
        wanted: what it shall be.

    Raises:
        ValueError: a kind is unknown, or some t is 0.

    Example:
        >>> converted(schedule, x_t, t, eps, "eps", "x_0").allclose(x_0, atol=1e-4)
        True
    """
    check_inputs(schedule, t, x_t=x_t, prediction=prediction)
    a, b = (per_image(c, x_t) for c in eps_coefficients(schedule, t, given))
    eps = a * x_t + b * prediction
    a, b = (per_image(c, x_t) for c in eps_coefficients(schedule, t, wanted))
    return (eps - a * x_t) / b


def error_weight(schedule: Schedule, t: Tensor, given: Kind, weighed: Weighed) -> Tensor:
    """What squared errors in `given` are to be multiplied by, (B,), to count as those in `weighed`.

    `error_weight(schedule, t, "eps", "v")` is 1 / alpha_bar, and of "L" it is the weight of Eq. 12,
    with sigma_t^2 = beta-tilde_t, and beta_1 at t = 1.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.
        given: what the errors are in: "eps", "x_0", "v", "score" or "mu".
        weighed: one of these, or "L".

    Raises:
        ValueError: a kind is unknown, or some t is 0.

    Example:
        >>> error_weight(schedule, t, "eps", "v").shape
        torch.Size([2])
    """
    check_one_of(weighed, WEIGHED, "weighed")
    _, b_given = eps_coefficients(schedule, t, given)
    _, b_weighed = eps_coefficients(schedule, t, "mu" if weighed == "L" else weighed)
    weight = (b_given / b_weighed) ** 2
    if weighed != "L":
        return weight
    sigma_squared = reverse_variance(schedule, t, "beta_tilde", "beta_1").flatten()
    return weight / (2 * sigma_squared)  # Eq. 8


class Predictor(LeanUNet):
    """The lean network with layers that give `kind` as it is. (Those of `LeanUNet` give v.)

    Called like any other, it gives the noise that follows from it: so it can be sampled from.

    Raises:
        ValueError: `kind` is unknown, or the width is not a positive multiple of 32.
    """

    image_shape = None  # any that 8 divides: half the size is quicker to learn

    def __init__(
        self, kind: Kind, schedule: Schedule, width: int = 32, num_classes: int | None = None
    ) -> None:
        check_schedule(schedule)
        super().__init__(width, num_classes)
        a, b = eps_coefficients(schedule, torch.arange(1, schedule.T + 1), kind)
        self.kind: Kind = kind
        self.made_for = schedule.alpha_bar.cpu()
        # the names of `LeanUNet`, whose layers give v; index 0 is never asked for
        self.coef_x_t = nn.functional.pad(a, (1, 0)).float()
        self.coef_v = nn.functional.pad(b, (1, 0)).float()

    def check_shape(self, x: Tensor, name: str = "x_t") -> None:
        super().check_shape(x, name)
        if x.ndim != 4 or x.shape[1] != 1 or any(side % 8 for side in x.shape[2:]):
            raise ValueError(f"{name} must be images (B, 1, H, W), of sides that 8 divides")

    def says(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """What the layers give, of the network's kind, shaped like x_t."""
        return self.layers(x_t, self.modulations(t, label))


def train_predictor(
    model: Predictor,
    schedule: Schedule,
    images: Tensor,
    steps: int,
    config: TrainingConfig,
    weighed: Weighed | None = None,
) -> Iterator[float]:
    """Algorithm 1 with another prediction and other weights, by Muon; trains `model` in place.

    Its rate falls to zero along a half cosine. No label is given.

    Args:
        model: the `Predictor`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8, or of another size that 8 divides.
        steps: optimizer steps.
        config: `batch_size`, `lr`, `warmup_steps`, `grad_clip` and `seed` of it are used.
        weighed: as errors in what the squares count; None: in what the network says.

    Yields:
        after each step, the mean squared error before it, as `weighed` has it.

    Raises:
        TypeError: the model is no network. ValueError: the images, labels or the schedule do
            not fit it.

    Example:
        >>> small = Predictor("x_0", schedule)
        >>> len(list(train_predictor(small, schedule, images, 1, config)))
        1
    """
    check_kind(model, Predictor, "model", "a Predictor")
    check_fits(model, schedule)
    check_pixels(images, digits=False)
    check_whole(steps, "steps", 0)
    check_kind(config, TrainingConfig, "config", "a TrainingConfig")
    check_one_of(weighed, (*WEIGHED, None), "weighed")
    optimizer = Muon(model.parameters(), config.lr)
    device = device_of(model)
    schedule = schedule.to(device)
    every_t = torch.arange(1, schedule.T + 1, device=device)
    weight = error_weight(schedule, every_t, model.kind, weighed or model.kind)  # (T,)
    for step, batch in enumerate(batches(images, None, schedule.T, config, None, range(steps))):
        x_0, t, eps = (v.to(device) for v in batch)
        with own_steps():
            x_t = q_sample(schedule, x_0, t, eps)
            target = converted(schedule, x_t, t, eps, "eps", model.kind)
        errors = (model.says(x_t, t) - target).square().mean(dim=(1, 2, 3))  # (B,)
        loss = (weight[t - 1].to(errors.dtype) * errors).mean()
        model.zero_grad()
        (loss / weight.mean()).backward()  # gradients of one size are clipped alike
        nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * lr_factor(step, steps, config)
        optimizer.step()
        yield loss.item()
