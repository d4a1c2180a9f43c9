"""Changing a picture: mixing two, noise and back, filling in a part, another label (Section 4.4).

Each is Algorithm 2 begun elsewhere, or with a change to each step; see `sample`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    IMAGE_SHAPE,
    check_alike,
    check_fits,
    check_images,
    check_indices,
    check_kind,
    check_labels,
    check_shape,
    check_share,
    check_step,
    classes_of,
    device_of,
    is_whole,
    length,
    own_steps,
)
from ddpm_tutor.science.diffusion import per_image, q_jump, q_sample
from ddpm_tutor.science.noise import normal, streams
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.sampling import (
    ALGORITHM_2,
    ChainState,
    SamplingOptions,
    draw,
    sample,
)
from ddpm_tutor.science.schedule import Schedule, respaced


def interpolate_at(
    schedule: Schedule,
    x_0: Tensor,
    x_0_other: Tensor,
    t: Tensor,
    share: Tensor,
    eps: Tensor,
    eps_other: Tensor | None = None,
) -> Tensor:
    """Two images mixed at step t: (1 - share) x_t + share x_t_other (Section 4.4).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        x_0_other: the other images, shaped like x_0.
        t: (B,) whole numbers in 0..T.
        share: (B,) of the other image: 0 is the first, 1 is the other.
        eps: the noise of the first image, and of the other as well, if that has none of its own;
            shaped like x_0.
        eps_other: the noise of the other, shaped like x_0. Noises of their own cancel in part: half
            way the mix has half the variance of noise that it should have at t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> share = torch.tensor([0.0, 0.5])
        >>> interpolate_at(schedule, x_0, x_0.flip(0), t, share, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_alike(x_0=x_0, x_0_other=x_0_other, eps=eps)
    check_share(share, max(length(x_0), length(x_0_other), length(eps)), "share")
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps if eps_other is None else eps_other)
    share = per_image(share, x_t)
    return (1 - share) * x_t + share * x_t_other


def keep_known(
    schedule: Schedule, x_prev: Tensor, t_prev: Tensor, x_0: Tensor, known: Tensor, eps: Tensor
) -> Tensor:
    """x_{t_prev} with the known part of the image put in, as noisy as the rest.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_prev: (B, 1, 32, 32), where the step from t has led.
        t_prev: (B,) its step, in 0..T. The known part gets the noise of t_prev, not of t.
        x_0: (B, 1, 32, 32), whose known part counts; what it has elsewhere does not matter.
        known: True where a pixel is known, shaped like x_0, or for all images alike.
        eps: the noise for the known part, shaped like x_0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> known = x_0 > 0
        >>> keep_known(schedule, x_t, 0 * t, x_0, known, eps)[known].equal(x_0[known])
        True
    """
    check_alike(x_prev=x_prev, x_0=x_0, eps=eps)
    check_mask(known, x_prev)
    return torch.where(known, q_sample(schedule, x_0, t_prev, eps), x_prev)


def interpolate(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    x_0_other: Tensor,
    t: int,
    share: Tensor,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
    label: Tensor | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[ChainState]:
    """Two images mixed in x_t and drawn anew from there (Section 4.4, Fig. 8).

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32), or (1, 1, 32, 32) for one that is mixed in B ways; so `x_0_other`.
        x_0_other: the other images, as many or one, shaped like them.
        t: in 1..T. The larger, the more of the image is drawn anew.
        share: (B,) of the other image.
        options: `steps` counts those from t; None takes all of them.
        seed: names the noise.
        label: (B,), or None: a mix has none.
        indices: names the noise of each mix, that of x_t and that of the steps. None gives one
            noise to all, so that share alone makes a difference.

    Yields:
        the states from t to 0.

    Raises:
        ValueError: at the first state, when images, shapes or t make no sense.
        TypeError: an image, or `share`, is no tensor.

    Example:
        >>> share = torch.tensor([0.5])
        >>> chain = interpolate(model, schedule, x_0[:1], x_0[1:], 500, share, few, seed=0)
        >>> last(chain).shape
        torch.Size([1, 1, 32, 32])
    """
    check_images(x_0, "x_0")
    check_images(x_0_other, "x_0_other")
    check_kind(share, Tensor, "share", "a tensor (B,) of floats")
    count = length(share)
    check_share(share, count, "share")
    check_count(x_0, count, "x_0")
    check_count(x_0_other, count, "x_0_other")

    def mixed(at: Schedule, times: Tensor, eps: Tensor) -> Tensor:
        one, other = (x.to(eps).expand_as(eps) for x in (x_0, x_0_other))
        return interpolate_at(at, one, other, times, share.to(eps.device), eps)

    numbers = [0] * count if indices is None else indices
    yield from back_from(model, schedule, mixed, t, options, label, seed, numbers, count)


def noise_and_back(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    t: int,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
    label: Tensor | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[ChainState]:
    """Noise up to t, and Algorithm 2 from there: a rough drawing becomes a digit.

    SDEdit (Meng et al. 2022): the noise drowns what is rough, and what is left says where to go.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) in [-1, 1].
        t: in 1..T. A small t stays near the image, a large one near what the network knows.
        options: `steps` counts those from t; None takes all of them.
        seed: names the noise.
        label: (B,), what it shall become; None for no label.
        indices: names the noise of each image; None counts from 0.

    Yields:
        the states from t to 0.

    Raises:
        ValueError: at the first state, when the images, the labels or t make no sense.

    Example:
        >>> last(noise_and_back(model, schedule, x_0, 500, few, seed=0, label=label)).shape
        torch.Size([2, 1, 32, 32])
    """
    check_images(x_0, "x_0")

    def noisy(at: Schedule, times: Tensor, eps: Tensor) -> Tensor:
        return q_sample(at, x_0.to(eps), times, eps)

    numbers = range(len(x_0)) if indices is None else indices
    yield from back_from(model, schedule, noisy, t, options, label, seed, numbers, len(x_0))


def back_from(
    model: NoisePredictor,
    schedule: Schedule,
    x_t_from: Callable[[Schedule, Tensor, Tensor], Tensor],
    t: int,
    options: SamplingOptions,
    label: Tensor | None,
    seed: int,
    indices: Sequence[int],
    count: int,
) -> Iterator[ChainState]:
    """The chain from the x_t that `x_t_from(schedule, t, eps)` gives, down to x_0."""
    check_step(schedule, t)
    check_fits(model, schedule)
    check_numbers(model, indices, label, count)
    device = device_of(model)
    eps = normal((count, *IMAGE_SHAPE), streams(seed, "editing", indices), device)
    times = torch.full((count,), int(t), device=device)
    x_t = x_t_from(schedule.to(device), times, eps)
    return draw(model, schedule, label, options, seed=seed, indices=indices, t_start=t, x_t=x_t)


def inpaint(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    known: Tensor,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
    resamples: int = 1,
    label: Tensor | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[ChainState]:
    """Draws the part of an image that is not known: the known part is put in after each step.

    The two parts may disagree at their seam: a step does not see the known part of x_{t_prev} that
    is put in after it. RePaint (Lugmayr et al. 2022, Algorithm 1) goes back up to t with fresh
    noise and takes the step again, so that it does.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) in [-1, 1]; what it has in the part to be drawn does not matter.
        known: True where a pixel is known: (B, 1, 32, 32), or what expands to it.
        options: how to sample, from T.
        seed: names the noise.
        resamples: how often each step is taken; 1 does not go back up. All take so many times as
            long.
        label: (B,), or None for no label.
        indices: names the noise of each image; None counts from 0.

    Yields:
        the states from T to 0; in the last the known part is that of x_0.

    Raises:
        ValueError: at the first state, when images, mask, labels or `resamples` make no sense.

    Example:
        >>> known = torch.zeros(1, 32, 32, dtype=torch.bool)
        >>> last(inpaint(model, schedule, x_0, known, few, seed=0)).shape
        torch.Size([2, 1, 32, 32])
    """
    check_shape(x_0, "x_0")
    check_mask(known, x_0)
    x_0 = torch.where(known.to(x_0.device), x_0, 0)  # the rest may be anything, even NaN
    check_images(x_0, "x_0")
    if not is_whole(resamples) or resamples < 1:
        raise ValueError(f"resamples must be a whole number from 1 on, not {resamples}")
    numbers = range(len(x_0)) if indices is None else indices
    check_numbers(model, numbers, label, len(x_0))
    device = device_of(model)
    schedule_there, known = schedule.to(device), known.to(device)
    there = x_0.to(device, torch.float32)
    generators = streams(seed, "editing", numbers)

    @own_steps()
    def step(take: Callable[[Tensor], Tensor], x_t: Tensor, t: int, t_prev: int) -> Tensor:
        now, before = (torch.full((len(x_t),), time, device=device) for time in (t, t_prev))

        def noise() -> Tensor:
            return normal(x_t.shape, generators, device)

        def with_known(x_prev: Tensor) -> Tensor:
            return keep_known(schedule_there, x_prev, before, there, known, noise())

        x_prev = with_known(take(x_t))
        for _ in range(resamples - 1 if t_prev else 0):
            again = q_jump(schedule_there, x_prev, before, now, noise())
            x_prev = with_known(take(again))
        return x_prev

    yield from draw(model, schedule, label, options, seed=seed, indices=numbers, hook=step)


def change_label(
    model: NoisePredictor,
    schedule: Schedule,
    first: Tensor,
    second: Tensor,
    t: int,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
    indices: Sequence[int] | None = None,
) -> Iterator[ChainState]:
    """Draws with the labels `first` until x_t has come, and from there with `second`.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        first, second: (B,) classes.
        t: where the label changes: one of the steps that `options` take.
        options: of the whole chain.
        seed: names the noise.
        indices: names the noise of each image; None counts from 0.

    Yields:
        the states from T to 0. That at t is yielded once, with the estimate of x_0 that the second
        label gives.

    Raises:
        TypeError: at the first state, when a label is no tensor. ValueError: then, when the labels
            do not match or the chain skips t.

    Example:
        >>> chain = change_label(model, schedule, label, label.flip(0), 500, few, seed=0)
        >>> [state.t for state in chain]
        [1000, 500, 0]
    """
    check_step(schedule, t)
    check_fits(model, schedule)
    for name, label in (("first", first), ("second", second)):
        check_kind(label, Tensor, name, "a tensor (B,) of whole numbers")
    if first.ndim != 1:
        raise ValueError(f"first must be labels (B,), not {tuple(first.shape)}")
    if first.shape != second.shape:
        before, after = (length(label) for label in (first, second))
        raise ValueError(f"{before} labels before t and {after} after it: give as many")
    numbers = range(len(first)) if indices is None else indices
    check_numbers(model, numbers, first, len(first))
    check_numbers(model, numbers, second, len(first))
    T = schedule.T
    _, spread = respaced(schedule, options.steps_of(T))
    times = spread.tolist()
    if t not in times:
        near = min(times[1:], key=lambda time: abs(time - t))
        raise ValueError(f"{len(times) - 1} steps of {T} skip t = {t}; the nearest is {near}")
    rest = replace(
        options,
        steps=times.index(t),
        variance=options.variance_of(T) if options.method == "ddpm" else None,
        clip=options.clips(T),
    )
    for state in draw(model, schedule, first, options, seed=seed, indices=numbers):
        if state.t == t:
            break
        yield state
    device = state.x_t.device
    yield from sample(
        model,
        schedule,
        options=rest,
        t_start=t,
        x_t=state.x_t,
        label=second.to(device),
        generator=streams(seed, "second label", numbers),
    )


def check_count(x_0: Tensor, count: int, name: str) -> None:
    """Refuses images that are neither one nor `count`.

    Raises:
        ValueError: they are so many.
    """
    if len(x_0) not in (1, count):
        raise ValueError(f"{name} holds {len(x_0)} images for {count} mixes: give 1 or {count}")


def check_numbers(
    model: NoisePredictor, indices: Sequence[int], label: Tensor | None, count: int
) -> None:
    """Refuses numbers or labels that are not one each of `count` images, or that no network knows.

    Raises:
        TypeError: they are no numbers. ValueError: they are more or fewer, or unknown.
    """
    check_indices(indices)
    if len(indices) != count:
        raise ValueError(f"{len(indices)} indices for {count} images")
    if label is not None:
        check_labels(label, count, classes_of(model))


def check_mask(known: Tensor, x_0: Tensor) -> None:
    """Refuses what is no mask for the images.

    Raises:
        ValueError: it is not of True and False, or does not expand to their shape.
    """
    check_kind(known, Tensor, "known", "a tensor of True and False")
    if known.dtype != torch.bool:
        raise ValueError("known must be True where a pixel is known, and False elsewhere")
    try:
        known.expand_as(x_0)
    except RuntimeError:
        raise ValueError(
            f"known of shape {tuple(known.shape)} does not fit images {tuple(x_0.shape)}"
        ) from None
