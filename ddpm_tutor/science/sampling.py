"""Algorithm 2 and its relatives: from noise to pictures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, repeat
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    IMAGE_SHAPE,
    check_fits,
    check_indices,
    check_kind,
    check_labels,
    check_number,
    check_one_of,
    check_schedule,
    check_step,
    check_whole,
    classes_of,
    device_of,
    own_steps,
    said,
)
from ddpm_tutor.science.cuda_graph import replayed
from ddpm_tutor.science.diffusion import (
    VARIANCES,
    Variance,
    ddim_step,
    p_step,
    predict_eps,
    predict_x_0,
)
from ddpm_tutor.science.fast_sampling import for_sampling, is_plain
from ddpm_tutor.science.memory import in_parts_that_fit
from ddpm_tutor.science.noise import Generators, normal, normals, streams
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_uint8
from ddpm_tutor.science.schedule import Schedule, respaced, up_to
from ddpm_tutor.science.threads import quickest_threads

Method = Literal["ddpm", "ddim"]
METHODS: tuple[Method, ...] = get_args(Method)
# images drawn at once, when there are many: enough to keep a few cores, or a GPU, busy
CHUNK_SIZE, GPU_CHUNK_SIZE = 50, 500
MIN_RECORDED = 20  # steps of a chain that is worth a recording

# hook(take, x_t, t, t_prev) is the x_{t_prev} to go on with; see `sample`
Hook = Callable[[Callable[[Tensor], Tensor], Tensor, int, int], Tensor]


@dataclass(frozen=True)
class SamplingOptions:
    """How to sample. The defaults are Algorithm 2 of the paper, all its steps.

    Raises:
        ValueError: `method` or `variance` is unknown; `steps` is no whole number from 1 on;
            `guidance` is no number; `eta` is not in [0, 1], or is not 0 while the method is "ddpm";
            `variance` is given while it is "ddim".
    """

    method: Method = "ddpm"  # "ddim" adds no noise, unless `eta` says so (Song et al. 2020)
    steps: int | None = None  # how many of the T steps to take, evenly spread; None takes all
    # sigma_t^2 of "ddpm" (Section 3.2); None takes beta for the whole chain, and beta-tilde where
    # steps are skipped: in long steps the two part, and beta puts back too much noise (Nichol and
    # Dhariwal 2021)
    variance: Variance | None = None
    # keep the estimate of x_0 in [-1, 1], as the authors' code does; x_t itself is never clamped;
    # None clips where steps are skipped, where it matters
    clip: bool | None = None
    guidance: float = 1.0  # the guidance scale, see `guided_eps`
    # how much noise a step of "ddim" adds: 0 none, 1 as much as one of "ddpm" with beta-tilde
    eta: float = 0.0

    def __post_init__(self) -> None:
        check_one_of(self.method, METHODS, "method")
        check_one_of(self.variance, (*VARIANCES, None), "variance")
        if self.steps is not None:
            check_whole(self.steps, "steps")
        if self.clip not in (True, False, None):
            raise ValueError(f"clip is True, False or None, not {self.clip!r}")
        check_number(self.guidance, "guidance")
        if not isinstance(self.eta, int | float) or not 0 <= self.eta <= 1:
            raise ValueError(
                "eta is from 0, which is DDIM without noise, to 1, which adds as much as "
                f"Algorithm 2, not {self.eta}"
            )
        if self.eta and self.method == "ddpm":
            raise ValueError('eta belongs to method="ddim"; the noise of "ddpm" is its variance')
        if self.variance and self.method == "ddim":
            raise ValueError('variance belongs to method="ddpm"; the noise of "ddim" is its eta')

    def steps_of(self, T: int) -> int:
        """How many steps are taken of a chain of T."""
        return T if self.steps is None else self.steps

    @property
    def adds_noise(self) -> bool:
        """Whether the steps add fresh noise."""
        return self.method == "ddpm" or self.eta > 0

    def variance_of(self, T: int) -> Variance:
        """sigma_t^2 in a chain of T steps."""
        return self.variance or ("beta_tilde" if self.steps_of(T) < T else "beta")

    def clips(self, T: int) -> bool:
        """Whether the estimate of x_0 is clipped in a chain of T steps."""
        return self.steps_of(T) < T if self.clip is None else self.clip


ALGORITHM_2 = SamplingOptions()


class ChainState(NamedTuple):
    """One state of the reverse chain."""

    t: int  # T, ..., 0
    x_t: Tensor  # (B, 1, 32, 32)
    x_0_hat: Tensor  # (B, 1, 32, 32): the estimate of x_0 from x_t (Eq. 15); x_0 itself at t = 0


def guided_eps(
    model: NoisePredictor, x_t: Tensor, t: Tensor, label: Tensor | None, guidance: float
) -> Tensor:
    """The predicted noise with classifier-free guidance (Ho and Salimans 2022).

    eps = eps(no label) + guidance * (eps(label) - eps(no label)): 0 leaves the label out, 1 is the
    conditional network itself, more exaggerates what the label changes. (It is 1 + w in their
    Eq. 6.) Both predictions come from one call on a doubled batch.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        label: (B,) classes, or None for no label.
        guidance: the guidance scale; 1 is the conditional network itself.

    Raises:
        ValueError: the images, t, the label or the scale do not fit.

    Example:
        >>> guided_eps(model, x_t, t, label, guidance=2.0).shape
        torch.Size([2, 1, 32, 32])
    """
    check_number(guidance, "guidance")
    eps: Tensor
    if label is None or guidance in (0, 1):  # one of the two predictions is all of it
        eps = model(x_t, t, label if guidance else None).float()
        return eps
    null = model.label_or_null(None, t)
    both = model(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([label, null])).float()
    with_label, without = both.chunk(2)  # (B, 1, 32, 32) each
    eps = without + guidance * (with_label - without)
    return eps


def ancestral_sampling(
    model: Callable[[Tensor, Tensor], Tensor],
    p_step: Callable[..., Tensor],
    schedule: Schedule,
    x_T: Tensor,
    z: Mapping[int, Tensor],
) -> Iterator[tuple[int, Tensor]]:
    """Algorithm 2 as a generator: yields (t, x_t) for t = T, ..., 1, 0.

    Args:
        model: model(x_t, t) is the predicted noise; t is (B,).
        p_step: line 4: p_step(schedule, x_t, t, eps, z); it adds no noise at t = 1.
        schedule: the noise schedule; its fields are (T + 1,).
        x_T: (B, 1, 32, 32) noise from N(0, I).
        z: z[i] is the fresh noise of step i, like x_T.

    Raises:
        TypeError: `schedule` is none.

    Example:
        >>> short, noise = up_to(schedule, 2), {1: 0 * eps, 2: eps}
        >>> chain = ancestral_sampling(lambda x_t, t: 0 * x_t, p_step, short, eps, noise)
        >>> [t for t, x_t in chain]
        [2, 1, 0]
    """
    check_schedule(schedule)
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


@dataclass(frozen=True)
class Equations:
    """What a sampler is made of. A learner's own functions, or wrong ones, can be put in here."""

    guided_eps: Callable[..., Tensor] = guided_eps
    predict_x_0: Callable[..., Tensor] = predict_x_0
    p_step: Callable[..., Tensor] = p_step
    ddim_step: Callable[..., Tensor] = ddim_step
    loop: Callable[..., Iterator[tuple[int, Tensor]]] = ancestral_sampling


OURS = Equations()


class Noises(Mapping[int, Tensor]):
    """The noise z of each step, drawn when it is asked for, in the order of Algorithm 2.

    Args:
        noise: gives the noise of the steps T, T - 1, ..., 1 in turn.
        keep: whether it can be asked for again; else only that of the latest step can.
    """

    def __init__(self, T: int, noise: Iterator[Tensor], keep: bool) -> None:
        self.T, self.noise, self.keep = T, noise, keep
        self.next, self.drawn = T, dict[int, Tensor]()

    def __getitem__(self, i: int) -> Tensor:
        i = int(i)
        if not 1 <= i <= self.T:
            raise KeyError(f"there is noise for the steps 1 to {self.T}, not for {i}")
        if self.next >= i and not self.keep:
            self.drawn.clear()
        while self.next >= i:
            self.drawn[self.next] = next(self.noise)
            self.next -= 1
        return self.drawn[i]

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, self.T + 1))

    def __len__(self) -> int:
        return self.T


class ReverseStep:
    """The two halves of a step of the reverse process, as `ancestral_sampling` calls them.

    Args:
        short: the schedule of the steps that are taken.
        spread: (steps + 1,) the network's t for each of them.
        T: steps of the whole schedule.
        x_T: (B, 1, 32, 32), where the chain begins.
        hook: may change a step, see `sample`; None for plain steps.
        noise: gives the fresh noise of a step that a hook takes once more.
    """

    x_0_hat: Tensor  # (B, 1, 32, 32): the estimate of x_0 from the x_t that was asked for last

    def __init__(
        self,
        model: NoisePredictor,
        short: Schedule,
        spread: Tensor,
        options: SamplingOptions,
        T: int,
        label: Tensor | None,
        x_T: Tensor,
        equations: Equations,
        hook: Hook | None,
        noise: Iterator[Tensor],
    ) -> None:
        self.x_0_hat = x_T  # until there is an estimate
        self.times, self.hook, self.noise = spread.tolist(), hook, noise
        guided = label is not None and options.guidance not in (0, 1)
        fast = for_sampling(model, self.times[:0:-1], len(x_T) * (2 if guided else 1))
        clip, variance = options.clips(T), options.variance_of(T)
        network_t = spread.to(short.beta.device)

        @own_steps()
        def predict(x_t: Tensor, t: Tensor) -> tuple[Tensor, ...]:
            eps = equations.guided_eps(fast, x_t, network_t[t], label, options.guidance)
            x_0_hat = equations.predict_x_0(short, x_t, t, eps)
            if clip:
                x_0_hat = x_0_hat.clamp(-1, 1)
                eps = predict_eps(short, x_t, t, x_0_hat)
            return eps, x_0_hat

        @own_steps()
        def step(x_t: Tensor, t: Tensor, eps: Tensor, z: Tensor) -> tuple[Tensor, ...]:
            if options.method == "ddim" and options.eta:
                return (equations.ddim_step(short, x_t, t, t - 1, eps, options.eta, z),)
            if options.method == "ddim":
                return (equations.ddim_step(short, x_t, t, t - 1, eps),)
            return (equations.p_step(short, x_t, t, eps, z, variance),)

        self.predict, self.step = predict, step
        # what Python a learner's own functions run is not known; to record takes some steps' time
        known = equations is OURS and is_plain(model)
        if known and short.T >= MIN_RECORDED:
            self.predict, self.step = replayed(predict), replayed(step)
        if known and x_T.device.type == "cpu":
            self.predict = quickest_threads(self.predict)

    def eps_theta(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The predicted noise; the estimate of x_0 that belongs to it is kept."""
        eps, self.x_0_hat = self.predict(x_t, t)
        return eps

    def p_step(self, schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor, z: Tensor) -> Tensor:
        """x_{t-1}; `schedule` is the short one."""
        if self.hook:
            return self.hooked(self.hook, x_t, t, eps, z)
        return self.step(x_t, t, eps, z)[0]

    def hooked(self, hook: Hook, x_t: Tensor, t: Tensor, eps: Tensor, z: Tensor) -> Tensor:
        """What the hook makes of the step; the estimate of x_0 stays that from x_t.

        Raises:
            ValueError: it is not shaped like x_t.
        """
        x_0_hat, fresh = self.x_0_hat, chain([z], self.noise)
        version = x_t._version  # which counts the changes that are made in place

        def take(x: Tensor) -> Tensor:
            same = x is x_t and x._version == version
            eps_of_x = eps if same else self.eps_theta(x, t)
            return self.step(x, t, eps_of_x, next(fresh))[0]

        i = int(t[0])
        x_prev = hook(take, x_t, self.times[i], self.times[i - 1])
        self.x_0_hat = x_0_hat
        if not isinstance(x_prev, Tensor) or x_prev.shape != x_t.shape:
            what = tuple(x_prev.shape) if isinstance(x_prev, Tensor) else type(x_prev).__name__
            raise ValueError(
                f"the hook must give images of shape {tuple(x_t.shape)}, such as take(x_t), "
                f"not {what}"
            )
        return x_prev.to(x_t)


@torch.no_grad()
def sample(
    model: NoisePredictor,
    schedule: Schedule,
    x_T: Tensor | None = None,
    options: SamplingOptions = ALGORITHM_2,
    *,
    t_start: int | None = None,
    x_t: Tensor | None = None,
    eta: float | None = None,
    label: Tensor | None = None,
    generator: Generators = None,
    equations: Equations = OURS,
    hook: Hook | None = None,
) -> Iterator[ChainState]:
    """Algorithm 2 on the noise levels that `options` ask for, from t = T to t = 0.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_T: (B, 1, 32, 32) noise from N(0, I), on the model's device.
        options: how to sample; by default all steps of Algorithm 2.
        t_start: begin here in place of T, with `x_t` in place of x_T. `options.steps` then counts
            the steps from here, 1..t_start; None takes all of them.
        x_t: (B, 1, 32, 32) images with the noise of step `t_start`, such as `q_sample` makes.
        eta: takes the steps of DDIM with so much noise: 0 none, 1 as much as Algorithm 2 with
            beta-tilde. The same as `method="ddim"` and `eta` in the options.
        label: (B,) classes, or None to draw without labels.
        generator: a CPU generator for the noise z, or one for each image.
        equations: the functions to step with.
        hook: called in place of each step, `hook(take, x_t, t, t_prev)`: gives x_{t_prev}, the
            images to go on with. `take(x_t)` is the plain step from t to t_prev; called again it
            draws new noise, also from other images. So `lambda take, x_t, t, t_prev: take(x_t)`
            changes nothing. t and t_prev are whole numbers, steps of `schedule`; t_prev is 0 in
            the end. No gradients are kept.

    Yields:
        steps + 1 states; the last has t = 0 and the finished images.

    Raises:
        ValueError: at the first state asked for, when `steps` is not in 1..T, a label is given to
            a network that takes none, guidance without a label, or it is not clear where to begin;
            later when a hook gives something that is not shaped like x_t.
        TypeError: `model`, `options` or `schedule` is of another kind.

    Example:
        >>> [state.t for state in sample(model, schedule, eps, few, label=label)]
        [1000, 500, 0]
    """
    check_kind(options, SamplingOptions, "options", "SamplingOptions")
    if eta is not None:
        options = replace(options, method="ddim", eta=eta)
    if not callable(model):
        raise TypeError(f"model must be a network, called model(x_t, t, label), not {said(model)}")
    check_fits(model, schedule)
    start, schedule = beginning(schedule, x_T, t_start, x_t)
    check_start(model, start, "x_T" if x_t is None else "x_t")
    if label is not None:
        check_labels(label, len(start), classes_of(model))
    elif options.guidance not in (0, 1):
        raise ValueError(
            f"guidance={options.guidance:g} stretches what a label changes, and there is no label: "
            "give one, or leave guidance at 1"
        )
    T, steps = schedule.T, options.steps_of(schedule.T)
    short, spread = respaced(schedule.to(start.device), steps)  # first say which steps
    times = spread.tolist()
    noise: Iterator[Tensor] = repeat(torch.zeros_like(start))
    if options.adds_noise and hook is None:
        noise = normals(start.shape, generator, start.device, steps)
    elif options.adds_noise:  # a hook may ask for more, or draw from the generator itself
        noise = (normal(start.shape, generator, start.device) for _ in count())
    reverse = ReverseStep(model, short, spread, options, T, label, start, equations, hook, noise)
    z = Noises(steps, noise, keep=equations.loop is not ancestral_sampling)
    # a state is whole when its x_0 has been estimated, just before the next one comes
    before: tuple[int, Tensor] | None = None
    for i, x in equations.loop(reverse.eps_theta, reverse.p_step, short, start, z):
        if before:
            yield ChainState(times[before[0]], before[1], reverse.x_0_hat)
        before = int(i), x
    if before:
        yield ChainState(times[before[0]], before[1], before[1])


def beginning(
    schedule: Schedule, x_T: Tensor | None, t_start: int | None, x_t: Tensor | None
) -> tuple[Tensor, Schedule]:
    """Where a chain begins, and its schedule: all of it, or up to `t_start`.

    Raises:
        ValueError: there are two beginnings, or none, or `t_start` is not in 1..T.
    """
    if (t_start is None) != (x_t is None):
        raise ValueError("t_start and x_t belong together: a step, and images with its noise")
    if (x_T is None) == (x_t is None):
        raise ValueError("begin with x_T, or with x_t at t_start: one of the two")
    if t_start is None:
        assert x_T is not None
        return x_T, schedule
    assert x_t is not None
    check_step(schedule, t_start, "t_start")
    return x_t, up_to(schedule, t_start)


def check_start(model: NoisePredictor, x: Tensor, name: str) -> None:
    """Refuses images that a chain of this network cannot begin with.

    Raises:
        TypeError: it is no tensor. ValueError: the shape, dtype, device or a value is another.
    """
    check_kind(x, Tensor, name, "a tensor (B, 1, 32, 32)")
    if isinstance(model, NoisePredictor):
        model.check_shape(x, name)
    if not x.is_floating_point():
        noise = ", noise from N(0, I)" if name == "x_T" else ""
        raise ValueError(f"{name} must be floats{noise}, not {said(x)}")
    if not len(x):
        raise ValueError(f"{name} must be images (B, 1, 32, 32), not {tuple(x.shape)}")
    if isinstance(model, NoisePredictor):
        model.check_weights(x, name)
    if not bool(x.isfinite().all()):
        raise ValueError(f"{name} must be finite: it has NaN, or infinity")


def draw(
    model: NoisePredictor,
    schedule: Schedule,
    label: Tensor | None,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
    indices: Sequence[int],
    x_T: Tensor | None = None,
    t_start: int | None = None,
    x_t: Tensor | None = None,
    eta: float | None = None,
    equations: Equations = OURS,
    hook: Hook | None = None,
) -> Iterator[ChainState]:
    """`sample` from noise named by a seed: image number i of a seed is the same in any batch.

    What it begins with stands third in both: there x_T, here the label, for a seed names the noise.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        label: (B,) classes, on any device, or None to draw without labels.
        options: how to sample; by default all steps of Algorithm 2.
        seed: names the noise.
        indices: the numbers of the images to draw, one each of the batch.
        x_T: start from this (B, 1, 32, 32) instead of noise of the seed.
        t_start: begin at this step, with `x_t`, (B, 1, 32, 32); see `sample`.
        x_t: with `t_start`, the (B, 1, 32, 32) to begin with; see `sample`.
        eta: see `sample`.
        equations: the functions to step with.
        hook: called in place of each step, see `sample`.

    Raises:
        TypeError: the model is no network. ValueError: the label, the indices or where it
            begins do not fit.

    Example:
        >>> last(draw(model, schedule, label, few, seed=0, indices=range(2))).shape
        torch.Size([2, 1, 32, 32])
    """
    device = device_of(model)
    check_indices(indices)
    if label is not None:
        check_labels(label, len(indices), classes_of(model))
    if not len(indices):
        raise ValueError("indices must name at least one image, for x_T of (B, 1, 32, 32)")
    generators = streams(seed, "sampling", indices)
    noise = normal((len(indices), *IMAGE_SHAPE), generators, device)
    if x_T is None and x_t is None:
        x_T = noise
    return sample(
        model,
        schedule,
        None if x_T is None else x_T.to(device),
        options,
        t_start=t_start,
        x_t=None if x_t is None else x_t.to(device),
        eta=eta,
        label=None if label is None else label.to(device),
        generator=generators,
        equations=equations,
        hook=hook,
    )


def draw_many(
    model: NoisePredictor,
    schedule: Schedule,
    labels: Tensor | None,
    count: int,
    options: SamplingOptions = ALGORITHM_2,
    *,
    seed: int,
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
        all `number_of_yields(...)`, where memory suffices.
    """
    chunk = at_once = chunk_size(model, count, world_size)

    def draw_fewer(fewer: int) -> None:
        nonlocal at_once
        at_once = fewer
        on_fewer(fewer)

    def draw_part(part: range) -> Iterator[Tensor | None]:
        asked = None if labels is None else labels[part.start : part.stop]
        for state in draw(model, schedule, asked, options, seed=seed, indices=part):
            yield None if state.t > 0 else to_uint8(state.x_t).cpu()

    for start in range(rank * chunk, count + rank * chunk, world_size * chunk):
        numbers = range(min(start, count), min(start + chunk, count))
        drawn = [torch.empty((0, *IMAGE_SHAPE), dtype=torch.uint8)]
        for images in in_parts_that_fit(draw_part, numbers, at_once, draw_fewer):
            if images is None:
                yield None
            else:
                drawn.append(images)
        yield torch.cat(drawn)


def chunk_size(model: NoisePredictor, count: int, world_size: int = 1) -> int:
    """How many of `count` images a process draws at once."""
    on_gpu = device_of(model).type == "cuda"
    return min(GPU_CHUNK_SIZE if on_gpu else CHUNK_SIZE, -(-count // world_size))


def number_of_yields(model: NoisePredictor, count: int, steps: int, world_size: int = 1) -> int:
    """How often `draw_many` yields to one process: for progress bars."""
    return -(-count // (world_size * chunk_size(model, count, world_size))) * (steps + 1)


def last(states: Iterator[ChainState]) -> Tensor:
    """Runs a sampler to its end and returns the finished images, (B, 1, 32, 32).

    Args:
        states: those of `sample`, `draw` or an edit.

    Raises:
        TypeError: they are no states. ValueError: there is none.

    Example:
        >>> last(sample(model, schedule, eps, few)).shape
        torch.Size([2, 1, 32, 32])
    """
    check_kind(states, Iterable, "states", "those of a sampler, ChainState each")
    state = None
    for state in states:  # noqa: B007 - the last one is wanted
        pass
    if state is None:
        raise ValueError("there is no state: a sampler gives at least one")
    check_kind(state, ChainState, "states", "those of a sampler, ChainState each")
    return state.x_t
