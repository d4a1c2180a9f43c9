"""Classifier guidance (Dhariwal and Nichol 2021): a network that reads pushes one that draws.

By Bayes' rule the score of pictures of one class is that of all pictures plus the gradient of
log p(class | x_t). So a network without labels can be made to draw one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_inputs,
    check_labels,
    check_number,
    check_shape,
)
from ddpm_tutor.science.diffusion import check_model, per_image, predict_x_0
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.schedule import Schedule

Reader = Callable[[Tensor], Tensor]  # pictures (B, 1, 32, 32) in [-1, 1] -> scores (B, classes)


def classifier_gradient(
    classifier: Reader,
    model: NoisePredictor,
    schedule: Schedule,
    x_t: Tensor,
    t: Tensor,
    label: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradient of log p(label | x_t) with respect to x_t, and the noise predicted there.

    Dhariwal and Nichol train their classifier on noisy pictures. One that has only seen clean ones
    cannot read x_t. So it is shown the estimate of x_0 (Eq. 15), cut to [-1, 1] as pictures are,
    and the gradient goes back through the network that made the estimate. At large t that is
    a blur, and of a blur this classifier's opinion is worth little.

    Args:
        classifier: gives the scores (B, classes) of pictures in [-1, 1].
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        label: (B,) the classes wanted.

    Returns:
        gradient: like x_t; eps: the noise predicted without a label, like x_t.

    Raises:
        TypeError: the model cannot be called. ValueError: the images, t, labels or the schedule
            do not fit.

    Example:
        >>> gradient, eps_theta = classifier_gradient(reader, model, schedule, x_t, t, label)
        >>> gradient.shape
        torch.Size([2, 1, 32, 32])
    """
    check_model(model, schedule)
    check_shape(x_t, "x_t")
    check_inputs(schedule, t, x_t=x_t)
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        eps = model(x_t, t, None)
        x_0_hat = predict_x_0(schedule, x_t, t, eps).clamp(-1, 1)
        scores = classifier(x_0_hat)
        if scores.ndim != 2:
            raise ValueError(f"classifier must give scores (B, classes), not {tuple(scores.shape)}")
        check_labels(label, len(x_t), scores.shape[1], inner=True)
        log_p = scores.log_softmax(dim=1).gather(1, label[:, None]).sum()
        (gradient,) = torch.autograd.grad(log_p, x_t)
    return gradient, eps.detach()


def classifier_guided_eps(
    schedule: Schedule, t: Tensor, eps: Tensor, gradient: Tensor, scale: float
) -> Tensor:
    """eps - scale sqrt(1 - alpha_bar) gradient (Dhariwal and Nichol 2021, Algorithm 2).

    It is the score plus `scale` times the gradient of log p(label | x_t), said as noise.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 0..T.
        eps: the predicted noise, (B, 1, 32, 32).
        gradient: as `classifier_gradient` gives it, shaped like eps.
        scale: how strongly it pushes; 0 not at all.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> classifier_guided_eps(schedule, t, eps, 0 * eps, scale=2.0).equal(eps)
        True
    """
    check_inputs(schedule, t, least=0, eps=eps, gradient=gradient)
    check_number(scale, "scale")
    noise = (1 - schedule.alpha_bar[t]).sqrt()
    return eps - scale * per_image(noise, eps) * gradient
