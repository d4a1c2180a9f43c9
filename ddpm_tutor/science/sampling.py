"""Algorithm 2 and its relatives: from noise to pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ddpm_tutor.errors import is_out_of_memory
from ddpm_tutor.science.diffusion import Variance, ddim_step, p_step, predict_eps, predict_x_0
from ddpm_tutor.science.fast import for_sampling, is_plain
from ddpm_tutor.science.graph import Function, replayed
from ddpm_tutor.science.network import NoisePredictor
from ddpm_tutor.science.noise import Generators, normal, normals, streams
from ddpm_tutor.science.pixels import to_uint8
from ddpm_tutor.science.schedule import Schedule, respaced

Method = Literal["ddpm", "ddim"]
IMAGE_SHAPE = (1, 32, 32)
# images drawn at once, when there are many: enough to keep a few cores, or a GPU, busy
CHUNK, CHUNK_ON_GPU = 50, 500


class Sampled(NamedTuple):
    """One moment of sampling."""

    t: int  # T, ..., 0
    x_t: Tensor  # (B, 1, 32, 32)
    x_0: Tensor  # (B, 1, 32, 32): the estimate of x_0 from x_t (Eq. 15); x_0 itself at t = 0


def guided_eps(
    model: NoisePredictor, x_t: Tensor, t: Tensor, label: Tensor | None, guidance: float
) -> Tensor:
    """The predicted noise with classifier-free guidance (Ho and Salimans 2022).

    eps = eps(no label) + guidance * (eps(label) - eps(no label)): 0 leaves the label out, 1 is the
    conditional network itself, more exaggerates what the label changes. (It is 1 + w in their
    Eq. 6.) Both predictions come from one call on a doubled batch.
    """
    if label is None or guidance == 1:
        return model(x_t, t, label).float()
    null = model.label_or_null(None, t)
    both = model(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([label, null])).float()
    with_label, without = both.chunk(2)  # (B, 1, 32, 32) each
    return without + guidance * (with_label - without)


@dataclass(frozen=True)
class Equations:
    """What a sampler is made of. A learner's own functions, or wrong ones, can be put in here."""

    guided_eps: Callable[..., Tensor] = guided_eps
    predict_x_0: Callable[..., Tensor] = predict_x_0
    p_step: Callable[..., Tensor] = p_step
    ddim_step: Callable[..., Tensor] = ddim_step


OURS = Equations()


@torch.no_grad()
def sample(
    model: NoisePredictor,
    schedule: Schedule,
    x_T: Tensor,
    *,
    label: Tensor | None = None,
    guidance: float = 1.0,
    method: Method = "ddpm",
    steps: int | None = None,
    variance: Variance = "beta",
    clip: bool = False,
    generator: Generators = None,
    equations: Equations = OURS,
) -> Iterator[Sampled]:
    """Algorithm 2 as a generator over (t, x_t, estimate of x_0), from t = T to t = 0.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        x_T: (B, 1, 32, 32) noise from N(0, I), on the model's device.
        label: (B,) classes, or None to draw without labels.
        guidance: see `guided_eps`.
        method: "ddpm" adds the noise of Algorithm 2, line 4; "ddim" adds none (Song et al. 2020).
        steps: how many of the T steps to take, evenly spread; None takes all.
        variance: sigma_t^2 of "ddpm" (Section 3.2).
        clip: keep the estimate of x_0 in [-1, 1], as the authors' code does. It matters when
            steps are few. x_t itself is never clamped.
        generator: a CPU generator for the noise z, or one for each image.
        equations: the functions to step with.

    Yields:
        steps + 1 moments; the last has t = 0 and the finished images.

    Raises:
        ValueError: at the first moment asked for, when `steps` is not in 1..T, `method` is
            unknown, or a label is given to a network that takes none.
    """
    if method not in ("ddpm", "ddim"):
        raise ValueError(f'method is "ddpm" or "ddim", not {method!r}')
    if label is not None and model.num_classes is None:
        raise ValueError("this network was trained without labels, so it draws no digit on request")
    short, spread = respaced(schedule.to(x_T.device), schedule.T if steps is None else steps)
    guided = label is not None and guidance != 1
    fast = for_sampling(model, spread.tolist()[:0:-1], len(x_T) * (2 if guided else 1))
    times = spread.to(x_T.device)  # (steps + 1,)

    def step(x_t: Tensor, i: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The estimate of x_0 at step i, (1,), of the short schedule, and x_t one step on."""
        index = i.expand(len(x_t))  # (B,)
        eps = equations.guided_eps(fast, x_t, times[index], label, guidance)
        x_0 = equations.predict_x_0(short, x_t, index, eps)
        if clip:
            x_0 = x_0.clamp(-1, 1)
            eps = predict_eps(short, x_t, index, x_0)
        if method == "ddim":
            return x_0, equations.ddim_step(short, x_t, index, index - 1, eps)
        return x_0, equations.p_step(short, x_t, index, eps, z, variance)

    x_t, indices, zeros = x_T, torch.arange(short.T + 1, device=x_T.device), torch.zeros_like(x_T)
    quick: Function = step
    if equations is OURS and is_plain(model):  # what Python a learner's own runs is not known
        quick = replayed(step)
    noise = normals(x_T.shape, generator, x_T.device, short.T - 1) if method == "ddpm" else iter(())
    for i in range(short.T, 0, -1):
        x_0, x_prev = quick(x_t, indices[i : i + 1], next(noise, zeros))  # z = 0 at the last step
        yield Sampled(int(spread[i]), x_t, x_0)
        x_t = x_prev
    yield Sampled(0, x_t, x_t)


def draw(
    model: NoisePredictor,
    schedule: Schedule,
    labels: Tensor | None,
    *,
    seed: int,
    indices: Sequence[int],
    guidance: float = 1.0,
    method: Method = "ddpm",
    steps: int | None = None,
    variance: Variance | None = None,
    clip: bool | None = None,
    x_T: Tensor | None = None,
    equations: Equations = OURS,
) -> Iterator[Sampled]:
    """`sample` from noise named by a seed: image number i of a seed is the same in any batch.

    Args:
        variance: as in `sample`; None takes beta for the whole chain, and beta-tilde where steps
            are skipped. In long steps the two part, and beta puts back too much noise (Nichol
            and Dhariwal 2021).
        clip: as in `sample`; None clips where steps are skipped.
        labels: (B,) on any device, or None.
        indices: the numbers of the images to draw, one each of the batch.
        x_T: start from this (B, 1, 32, 32) instead of noise of the seed.
        equations: the functions to step with.
    """
    device = next(model.parameters()).device
    generators = streams(seed, "sampling", indices)
    noise = normal((len(indices), *IMAGE_SHAPE), generators, device)
    x_T = noise if x_T is None else x_T.to(device)
    skips = steps is not None and steps < schedule.T
    return sample(
        model,
        schedule,
        x_T,
        label=None if labels is None else labels.to(device),
        guidance=guidance,
        method=method,
        steps=steps,
        variance=variance or ("beta_tilde" if skips else "beta"),
        clip=skips if clip is None else clip,
        generator=generators,
        equations=equations,
    )


def draw_many(
    model: NoisePredictor,
    schedule: Schedule,
    labels: Tensor | None,
    count: int,
    *,
    seed: int,
    guidance: float = 1.0,
    method: Method = "ddpm",
    steps: int = 1000,
    rank: int = 0,
    world_size: int = 1,
    on_fewer: Callable[[int], object] = lambda at_once: None,
) -> Iterator[Tensor | None]:
    """`draw` for the images 0 to count - 1 of a seed, in chunks, so that memory does not grow.

    Of several processes each draws every `world_size`-th chunk, and all as many, though the last
    may be empty. A chunk for which there is too little memory is drawn in halves, or quarters.

    Args:
        on_fewer: told how many images are drawn at once from now on, when memory was short.

    Yields:
        None after each step, and (B, 1, 32, 32) uint8 on the CPU at the end of each chunk: all in
        all `moments_of(...)` things, where memory suffices.
    """
    chunk = at_once = chunk_size(model, count, world_size)
    for start in range(rank * chunk, count + rank * chunk, world_size * chunk):
        numbers = range(min(start, count), min(start + chunk, count))
        if not numbers:
            yield torch.empty((0, *IMAGE_SHAPE), dtype=torch.uint8)
            return
        drawn: list[Tensor] = []
        while numbers:
            part = numbers[:at_once]
            moments = draw(
                model,
                schedule,
                None if labels is None else labels[part.start : part.stop],
                seed=seed,
                indices=part,
                guidance=guidance,
                method=method,
                steps=steps,
            )
            try:
                for moment in moments:
                    if moment.t > 0:
                        yield None
                    else:
                        drawn.append(to_uint8(moment.x_t).cpu())
            except (RuntimeError, MemoryError) as error:
                if len(part) == 1 or not is_out_of_memory(error):
                    raise
                at_once = len(part) // 2
                on_fewer(at_once)
            else:
                numbers = numbers[len(part) :]
        yield torch.cat(drawn)


def chunk_size(model: NoisePredictor, count: int, world_size: int = 1) -> int:
    """How many of `count` images a process draws at once."""
    on_gpu = next(model.parameters()).device.type == "cuda"
    return min(CHUNK_ON_GPU if on_gpu else CHUNK, -(-count // world_size))


def moments_of(model: NoisePredictor, count: int, steps: int, world_size: int = 1) -> int:
    """How many things `draw_many` yields to one process: for progress bars."""
    return -(-count // (world_size * chunk_size(model, count, world_size))) * (steps + 1)


def last(moments: Iterator[Sampled]) -> Tensor:
    """Runs a sampler to its end and returns the finished images, (B, 1, 32, 32)."""
    x_0 = torch.empty(0)
    for moment in moments:
        x_0 = moment.x_t
    return x_0
