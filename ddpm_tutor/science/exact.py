"""What a perfect network would say, where all the data are known: the best denoiser, by Bayes.

Let x_0 be one of N known points, each as likely. Then q(x_t) is a mixture of N Gaussians (Eq. 4),
and which of the points x_t came from has the probabilities

    q(x_0 = point n | x_t) = softmax over n of -|x_t - sqrt(alpha_bar) point n|^2
                                               / (2 (1 - alpha_bar))

The mean of x_0 under these makes the squared error in x_0 least, and the noise that belongs to it
(Eq. 4) makes the loss of Eq. 14 least. No network can be better on these points.

Everywhere: x_t is (B, ...) of any shape; t is (B,) integers in 1..T; data are the N points,
(N, ...), in the units and on the device of x_t. Sums are in the precision of the schedule, float64
except on MPS, and go over the data in chunks, so that N may be large.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ddpm_tutor.science.checks import check_alike, check_kind, check_schedule, check_t
from ddpm_tutor.science.diffusion import predict_eps
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.schedule import Schedule

MAX_WEIGHTS = 2**22  # of pairs of an x_t and a point, at once: 32 MB


def posterior_weights(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """How probable it is that each x_t came from each point: q(x_0 = point n | x_t), (B, N).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, ...) of any shape.
        t: (B,) whole numbers in 1..T.
        data: (N, ...) the points, each shaped like an x_t.

    Raises:
        ValueError: see `check`.

    Example:
        >>> posterior_weights(schedule, x_t, t, x_0).sum(1)
        tensor([1., 1.])
    """
    check(schedule, x_t, t, data)
    log_weights = [log_weight for _, log_weight in in_chunks(schedule, x_t, t, data)]
    return torch.cat(log_weights, dim=1).softmax(dim=1).to(x_t.dtype)  # (B, N)


def exact_posterior_mean(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """The mean of x_0 given x_t, E[x_0 | x_t], shaped like x_t: the best guess there is of x_0.

    It is the sum of the points, each times its `posterior_weights`.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, ...) of any shape.
        t: (B,) whole numbers in 1..T.
        data: (N, ...) the points, each shaped like an x_t.

    Raises:
        ValueError: see `check`.

    Example:
        >>> exact_posterior_mean(schedule, x_t, t, x_0).shape
        torch.Size([2, 1, 32, 32])
    """
    check(schedule, x_t, t, data)
    x = flat(x_t, schedule)  # (B, D)
    best = torch.full_like(x[:, :1], -math.inf)  # (B, 1) the greatest logarithm so far
    total, mean = torch.zeros_like(best), torch.zeros_like(x)  # sums of exp(logarithm - best)
    for points, log_weight in in_chunks(schedule, x_t, t, data):
        before, best = best, torch.maximum(best, log_weight.amax(dim=1, keepdim=True))
        weight, keep = (log_weight - best).exp(), (before - best).exp()  # none above 1
        total = keep * total + weight.sum(dim=1, keepdim=True)  # (B, 1)
        mean = keep * mean + weight @ points  # (B, D)
    return (mean / total).view_as(x_t).to(x_t.dtype)


def exact_eps(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """The mean of the noise in x_t, E[eps | x_t], shaped like x_t: what makes Eq. 14 least.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, ...) of any shape.
        t: (B,) whole numbers in 1..T.
        data: (N, ...) the points, each shaped like an x_t.

    Raises:
        ValueError: see `check`.

    Example:
        >>> exact_eps(schedule, x_t, t, x_0).shape
        torch.Size([2, 1, 32, 32])
    """
    check(schedule, x_t, t, data)
    exact = x_t.to(schedule.alpha_bar.dtype)  # at small t the noise is a small difference
    return predict_eps(schedule, exact, t, exact_posterior_mean(schedule, exact, t, data)).to(
        x_t.dtype
    )


def log_density(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """log q(x_t), (B,) in nats: of the mixture of Gaussians that the points become (Eq. 4).

    Its gradient in x_t is the score, see `score_from_eps`.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, ...) of any shape.
        t: (B,) whole numbers in 1..T.
        data: (N, ...) the points, each shaped like an x_t.

    Raises:
        ValueError: see `check`.

    Example:
        >>> log_density(schedule, x_t, t, x_0).shape
        torch.Size([2])
    """
    check(schedule, x_t, t, data)
    variance = 1 - schedule.alpha_bar[t]  # (B,)
    x = flat(x_t, schedule)
    sums = [log_weight.logsumexp(dim=1) for _, log_weight in in_chunks(schedule, x_t, t, data)]
    # in_chunks leaves out what is the same for all points
    log_sum = torch.stack(sums).logsumexp(dim=0) - x.square().sum(dim=1) / (2 * variance)
    log_scale = 0.5 * x.shape[1] * (2 * math.pi * variance).log() + math.log(len(data))
    return (log_sum - log_scale).to(x_t.dtype)


def check(schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor) -> None:
    """Refuses what these functions cannot compute with.

    Raises:
        ValueError: there are no data, or they are whole numbers, or not shaped like x_t; t is not
            one number in 1..T for each x_t.
    """
    check_alike(x_t=x_t)
    check_data(data)
    if data.shape[1:] != x_t.shape[1:]:
        raise ValueError(
            f"each of the data is {tuple(data.shape[1:])}, and each x_t {tuple(x_t.shape[1:])}"
        )
    if t.shape != x_t.shape[:1]:
        raise ValueError(f"t must be one number for each of {len(x_t)} x_t, not {tuple(t.shape)}")
    check_t(schedule, t, len(x_t))


def check_data(data: Tensor) -> None:
    """Refuses what are no points.

    Raises:
        TypeError: it is no tensor. ValueError: there are none, or they are whole numbers.
    """
    check_kind(data, Tensor, "data", "a tensor (N, ...)")
    if data.ndim == 0 or len(data) == 0:
        raise ValueError("there are no data: the posterior mean is a mean over at least one point")
    if not data.is_floating_point():
        raise ValueError("data must be in the units of x_t: to_unit_range(images) for pictures")


def flat(x: Tensor, schedule: Schedule) -> Tensor:
    """Each of a batch as one row, (B, D), in the precision of the schedule."""
    return x.reshape(len(x), math.prod(x.shape[1:])).to(schedule.alpha_bar.dtype)


def in_chunks(
    schedule: Schedule, x_t: Tensor, t: Tensor, data: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some of the points at a time, (n, D), and the logarithm of their weights, (B, n).

    Left out is what is the same for all points: the logarithm of the sum, and |x_t|^2.
    """
    alpha_bar = schedule.alpha_bar[t].view(-1, 1)  # (B, 1)
    x = flat(x_t, schedule)  # (B, D)
    for part in data.split(max(1, MAX_WEIGHTS // max(1, len(x)))):
        points = flat(part, schedule)  # (n, D)
        # -|x - a p|^2 / 2 with a = sqrt(alpha_bar), less -|x|^2 / 2
        product = alpha_bar.sqrt() * (x @ points.T) - alpha_bar * points.square().sum(dim=1) / 2
        yield points, product / (1 - alpha_bar)


class ExactNoisePredictor(NoisePredictor):
    """A perfect network for known data: it is called as a network is, and needs no training.

    Its only parameters are the data themselves. `sample` and `draw` take it in a network's place.

    Args:
        schedule: that of the t that it will be asked for.
        data: (N, ...), the points; for pictures (N, 1, 32, 32) in [-1, 1].
    """

    def __init__(self, schedule: Schedule, data: Tensor) -> None:
        check_schedule(schedule)
        check_data(data)
        super().__init__(width=len(data), num_classes=None)
        self.data = nn.Parameter(data, requires_grad=False)
        self.schedule = schedule
        self.made_for = schedule.alpha_bar.cpu()
        self.image_shape = tuple(data.shape[1:])

    def check_weights(self, x: Tensor, name: str = "x_t") -> None:
        """Refuses images that are elsewhere than the data; they may be of another dtype."""
        super().check_weights(x.to(self.data.dtype), name)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """`exact_eps`, shaped like x_t.

        Raises:
            ValueError: a label is given; or see `check`.
        """
        if label is not None:
            raise ValueError("the exact denoiser takes no labels: give it the data of one label")
        return exact_eps(self.schedule.to(x_t.device), x_t, t, self.data)
