"""How many bits a picture is: the bound (Eq. 5), estimated, and what it is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ddpm_tutor.science.bound import (
    FIRST_VARIANCES,
    HALF_BIN,
    FirstVariance,
    decoder_nats,
    learned_variance,
    per_picture,
    prior_nats,
    reverse_variance,
    step_nats,
)
from ddpm_tutor.science.checks import (
    check_alike,
    check_fits,
    check_kind,
    check_labels,
    check_network,
    check_one_of,
    check_pixels,
    device_of,
)
from ddpm_tutor.science.diffusion import (
    VARIANCES,
    Variance,
    p_mean,
    predict_eps,
    predict_x_0,
    q_sample,
)
from ddpm_tutor.science.memory import in_parts_that_fit
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import PADDING, to_unit_range
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.science.validation_loss import Estimate

PUSH = 3  # standard deviations of the noise at t = 1, of `push_black`
# the steps of the chain by how far they are from the picture, up to and with these t
PART_ENDS = (1, 5, 10, 20, 50, 100, 200, 400)
STRATA = 4  # in a part, in each of which a picture gets one t
# pictures whose t are all predicted at once: 33 or so times as many predictions
CHUNK_SIZE, GPU_CHUNK_SIZE = 2, 16


@dataclass(frozen=True)
class ReverseProcess:
    """p_theta beside its network: sigma_t^2, and whether the estimate of x_0 is clipped.

    Raises:
        ValueError: `variance` or `first` is unknown.
    """

    # sigma_t^2 from t = 2 on (Section 3.2); "learned" takes it, and sigma_1^2, from the network
    variance: Variance | Literal["learned"] = "beta_tilde"
    first: FirstVariance = "beta_tilde_2"  # sigma_1^2, of the decoder; see `reverse_variance`
    clip: bool = False  # keep the estimate of x_0 in [-1, 1], as the authors' code does
    push_black: bool = False  # see the function of that name

    def __post_init__(self) -> None:
        check_one_of(self.variance, (*VARIANCES, "learned"), "variance")
        check_one_of(self.first, FIRST_VARIANCES, "first")

    def of_step(
        self, schedule: Schedule, x_t: Tensor, t: Tensor, eps_theta: Tensor, share: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The noise that the mean is made of (Eq. 11), and sigma_t^2 that goes with it.

        Args:
            eps_theta, share: what the network gave, see `NoisePredictor.eps_and_share`.

        Raises:
            ValueError: the variance is to be learned, and the network has learned none.
        """
        if self.clip:
            x_0_hat = predict_x_0(schedule, x_t, t, eps_theta).clamp(-1, 1)
            eps_theta = predict_eps(schedule, x_t, t, x_0_hat)
        if self.push_black:
            eps_theta = push_black(schedule, x_t, t, eps_theta)
        if self.variance != "learned":
            return eps_theta, reverse_variance(schedule, t, self.variance, self.first)
        if share is None:
            raise ValueError("this network has learned no variance")
        return eps_theta, learned_variance(schedule, t, share)


def push_black(schedule: Schedule, x_t: Tensor, t: Tensor, eps_theta: Tensor) -> Tensor:
    """The noise, predicted `PUSH` larger where t = 1 and a pixel's mean is within a shade of black.

    So the mean of the decoder is far below -1. The bin of black is open downwards (Eq. 13): what is
    surely black then costs next to nothing. With the mean at -1 the bin has 65 to 70 % of the
    Gaussian, and most pixels of MNIST, and all of the border, cost half a bit each. A network that
    is trained on the bound finds this out by itself.
    """
    black = p_mean(schedule, x_t, t, eps_theta) < -1 + 2 * HALF_BIN
    return eps_theta + PUSH * (black & (t == 1).view(-1, 1, 1, 1))


def default_process(model: NoisePredictor) -> ReverseProcess:
    """The variance that a network has learned; else beta-tilde_t.

    Args:
        model: the noise predictor.

    Raises:
        TypeError: the model is no network.

    Example:
        >>> default_process(model).variance
        'beta_tilde'
    """
    check_network(model)
    return ReverseProcess("learned" if model.learned_variance else "beta_tilde")


@dataclass(frozen=True)
class Bound:
    """An upper bound of -log p_theta(x_0) (Eq. 3), in the terms of Eq. 5, of N pictures.

    What a step t > 1 costs is known at some t alone: each picture has one in every stratum, and
    `steps` is what that costs times the number of steps in the stratum. So a picture's sum is right
    on average, and the spread of the pictures gives the standard error of the mean.
    """

    strata: tuple[range, ...]  # of t; the first is t = 1 alone
    prior: Tensor  # (N,) L_T, nats of a picture
    steps: Tensor  # (N, strata) L_0, then the L_{t-1}, in nats of a picture
    border: Tensor  # (N,) of all these, the nats that go into the padding

    @classmethod
    def joined(cls, bounds: Sequence["Bound"]) -> "Bound":
        """Those of several sets of pictures as one."""
        return cls(
            bounds[0].strata,
            torch.cat([b.prior for b in bounds]),
            torch.cat([b.steps for b in bounds]),
            torch.cat([b.border for b in bounds]),
        )

    @property
    def T(self) -> int:
        """Steps of the chain."""
        return self.strata[-1].stop - 1

    @property
    def parts(self) -> list[range]:
        """The steps 1..T in parts: t = 1 alone, and so on to those far from the picture."""
        return chain_parts(self.T)

    @property
    def nats(self) -> Tensor:
        """The bound of each picture, (N,)."""
        return self.prior + self.steps.sum(1)

    @property
    def decoder(self) -> Tensor:
        """L_0 of each picture, (N,), in nats."""
        return self.steps[:, 0]

    def between(self, low: int, high: int) -> Tensor:
        """The terms of the steps t = low..high of each picture, (N,), in nats.

        Raises:
            ValueError: a stratum is partly in it.
        """
        inside = torch.tensor([low <= s[0] and s[-1] <= high for s in self.strata])
        if sum(len(s) for s, i in zip(self.strata, inside, strict=True) if i) != high - low + 1:
            raise ValueError(f"the strata do not add up to the steps {low} to {high}")
        return self.steps[:, inside].sum(1)


def mean_of(values: Tensor) -> Estimate:
    """The mean of independent values, (N,), and its standard error.

    Args:
        values: (N,) floats.

    Raises:
        ValueError: they are no floats (N,), or none at all.

    Example:
        >>> mean_of(torch.tensor([1.0, 3.0]))
        Estimate(mean=2.0, error=1.0)
    """
    check_alike(values=values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be (N,), at least one, not {tuple(values.shape)}")
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return Estimate(float(values.mean()), error)


def chain_parts(T: int) -> list[range]:
    """The steps 1..T in parts, from t = 1, which is alone, to those far from the picture."""
    ends = [0, *(end for end in PART_ENDS if end < T), T]
    return [range(low + 1, high + 1) for low, high in pairwise(ends)]


def strata(T: int) -> tuple[range, ...]:
    """The parts of 1..T, cut further: where terms are large and change fast, into single steps."""
    found = []
    for part in chain_parts(T):
        count = min(STRATA, len(part))
        ends = [part.start + len(part) * i // count for i in range(count + 1)]
        found += [range(low, high) for low, high in pairwise(ends)]
    return tuple(found)


def chunk_size(model: NoisePredictor) -> int:
    """How many pictures `bounds_of` takes at once.

    Args:
        model: the noise predictor.

    Raises:
        TypeError: the model is no network.

    Example:
        >>> chunk_size(model)
        2
    """
    return GPU_CHUNK_SIZE if device_of(model).type == "cuda" else CHUNK_SIZE


def bounds_of(
    model: NoisePredictor,
    schedule: Schedule,
    images: Tensor,
    processes: Sequence[ReverseProcess],
    *,
    labels: Tensor | None = None,
    seed: int = 0,
) -> Iterator[list[Bound]]:
    """The bound of pictures, some of them at a time, under several p_theta of one network.

    All have the same predictions, so that to compare them costs no more than one. Which t and
    noise picture number i has depends on the seed and i alone.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8; labels: (N,), or None for the bound of p_theta(x_0) without.
        processes: a list of ways to choose sigma_t^2, and of clipping.
        seed: names the noise.

    Yields:
        for each chunk of `chunk_size` pictures, the bound under each process.

    Raises:
        TypeError: the model is no network. ValueError: the images, labels or the schedule do
            not fit it.

    Example:
        >>> parts = bounds_of(model, schedule, images[:1], [ReverseProcess()])
        >>> [bound.nats.shape for (bound,) in parts]
        [torch.Size([1])]
    """

    check_fits(model, schedule)
    check_pixels(images)
    check_labels(labels, len(images), model.num_classes, "labels")
    check_kind(processes, (list, tuple), "processes", "a list of ReverseProcess")
    for process in processes:
        check_kind(process, ReverseProcess, "process", "a ReverseProcess")

    def bounds_of_part(part: range) -> Iterator[list[Bound]]:
        some = slice(part.start, part.stop)
        generators = [stream(seed, "bound", i) for i in part]
        known = None if labels is None else labels[some]
        yield chunk_bounds(model, schedule, images[some], known, processes, generators)

    yield from in_parts_that_fit(bounds_of_part, range(len(images)), chunk_size(model))


def estimate_bound(
    model: NoisePredictor,
    schedule: Schedule,
    images: Tensor,
    process: ReverseProcess | None = None,
    *,
    labels: Tensor | None = None,
    seed: int = 0,
) -> Bound:
    """The bound of pictures (Eq. 5) under one p_theta, `default_process`; see `bounds_of`.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8.
        process: sigma_t^2 and clipping; None takes `default_process`.
        labels: (N,), or None for the bound of p_theta(x_0) without.
        seed: names the noise.

    Raises:
        TypeError: the model is no network. ValueError: the images, labels or the schedule do
            not fit it.

    Example:
        >>> estimate_bound(model, schedule, images[:1]).nats.shape
        torch.Size([1])
    """
    processes = [process or default_process(model)]
    found = bounds_of(model, schedule, images, processes, labels=labels, seed=seed)
    return Bound.joined([bounds[0] for bounds in found])


@torch.no_grad()
def chunk_bounds(
    model: NoisePredictor,
    schedule: Schedule,
    images: Tensor,
    labels: Tensor | None,
    processes: Sequence[ReverseProcess],
    generators: Sequence[torch.Generator],
) -> list[Bound]:
    """The bound of some pictures under each process, from one call of the network.

    The network computes where it is; the sums are done on the CPU in float64.

    Args:
        generators: one for each picture, to draw its t and noise from.
    """
    schedule, where = schedule.to("cpu"), strata(schedule.T)
    n = len(images)
    x_0 = to_unit_range(images.cpu()).double()
    t = torch.stack([t_in_strata(where, g) for g in generators])  # (n, strata)
    shape = (len(where), *x_0.shape[1:])
    eps = torch.stack([torch.randn(shape, generator=g) for g in generators])
    x_0_of = x_0.repeat_interleave(len(where), 0)  # (n * strata, 1, 32, 32)
    t_of, eps_of = t.flatten(), eps.flatten(0, 1).double()
    x_t = q_sample(schedule, x_0_of, t_of, eps_of)
    eps_theta, share = predictions(model, x_t, t_of, labels, len(where))

    sizes = torch.tensor([len(s) for s in where], dtype=torch.float64)
    prior = prior_nats(schedule, x_0)
    bounds = []
    for process in processes:
        eps_p, variance = process.of_step(schedule, x_t, t_of, eps_theta, share)
        nats = torch.empty_like(x_t)
        for these, nats_of in ((t_of == 1, decoder_terms), (t_of > 1, step_nats)):
            nats[these] = nats_of(
                schedule, x_0_of[these], x_t[these], t_of[these], eps_p[these], variance[these]
            )
        nats = nats.view(n, len(where), *x_0.shape[1:]) * sizes.view(-1, 1, 1, 1)
        steps = nats.sum(dim=(2, 3, 4))  # (n, strata)
        border = prior + nats.sum(1)
        border[..., PADDING:-PADDING, PADDING:-PADDING] = 0
        bounds.append(Bound(where, per_picture(prior), steps, per_picture(border)))
    return bounds


def decoder_terms(
    schedule: Schedule, x_0: Tensor, x_1: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """`decoder_nats` in the shape of `step_nats`; t is 1."""
    return decoder_nats(schedule, x_0, x_1, eps_theta, variance)


def t_in_strata(strata: Sequence[range], generator: torch.Generator) -> Tensor:
    """A t drawn from each stratum, (strata,)."""
    sizes = torch.tensor([len(s) for s in strata])
    starts = torch.tensor([s.start for s in strata])
    drawn = torch.rand(len(strata), generator=generator, dtype=torch.float64)
    return starts + (drawn * sizes).long()


def predictions(
    model: NoisePredictor, x_t: Tensor, t: Tensor, labels: Tensor | None, repeats: int
) -> tuple[Tensor, Tensor | None]:
    """What the network says of these x_t, in float64 on the CPU; each label counts `repeats` times.

    Returns:
        eps_theta, shaped like x_t, and the share that its learned variance follows from, or None.
    """
    device = device_of(model)
    label = None if labels is None else labels.repeat_interleave(repeats).to(device)
    found = model.eps_and_share(x_t.float().to(device), t.to(device), label)
    eps_theta, share = (None if v is None else v.cpu().double() for v in found)
    assert eps_theta is not None
    return eps_theta, share
