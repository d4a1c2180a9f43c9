"""Drawing with other functions in the place of the package's own: a learner's, or a known mistake.

The network, its weights and the noise are those of any other drawing; only the equations change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.science.diffusion import predict_eps
from ddpm_tutor.science.fast import for_sampling
from ddpm_tutor.science.network import NoisePredictor
from ddpm_tutor.science.noise import normal, streams
from ddpm_tutor.science.sampling import (
    IMAGE_SHAPE,
    Equations,
    Method,
    Sampled,
    draw,
    guided_eps,
    last,
)
from ddpm_tutor.science.schedule import Schedule, respaced
from ddpm_tutor.storage.checkpoints import load_checkpoint

Functions = Mapping[str, Callable[..., Any]]  # by the names that the exercises give them

# the functions of exercises that a drawing is made of; the loop is its own, DDIM's is the package's
OF_DDPM = ("predict_x_0", "p_step", "sample", "guided_eps")

OF_DDIM = ("predict_x_0", "ddim_step", "guided_eps")


def used_in(method: Method) -> tuple[str, ...]:
    """The functions of exercises that a drawing calls."""
    return OF_DDIM if method == "ddim" else OF_DDPM


def sample(
    model: Callable[[Tensor, Tensor], Tensor],
    p_step: Callable[..., Tensor],
    schedule: Schedule,
    x_T: Tensor,
    z: Mapping[int, Tensor],
) -> Iterator[tuple[int, Tensor]]:
    """Algorithm 2 at its barest, with the model, the step and the noise handed in (exercise 9)."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


def equations(functions: Functions) -> Equations:
    """The package's equations, with those among `functions` in their places."""
    places: dict[str, Callable[..., Tensor]] = {}
    for name in ("predict_x_0", "ddim_step"):
        if name in functions:
            places[name] = functions[name]
    if "p_step" in functions:
        # the exercise has one variance only, beta
        places["p_step"] = lambda *given: functions["p_step"](*given[:5])
    if "guided_eps" in functions:
        places["guided_eps"] = lambda *given: guided_by(functions["guided_eps"], *given)
    return Equations(**places)


def guided_by(
    function: Callable[..., Tensor],
    model: NoisePredictor,
    x_t: Tensor,
    t: Tensor,
    label: Tensor | None,
    guidance: float,
) -> Tensor:
    """The function of exercise 14, called as the package's `guided_eps` is."""
    if label is None or guidance == 1:
        return guided_eps(model, x_t, t, label, guidance)
    # both predictions in one call, as in the package: as quick, and the same to the last bit
    null = model.label_or_null(None, t)
    both = model(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([label, null])).float().chunk(2)

    def answer(x: Tensor, at: Tensor, wanted: Tensor) -> Tensor:
        for known, eps in zip((label, null), both, strict=True):
            if x is x_t and wanted.shape == known.shape and torch.equal(wanted, known):
                return eps
        return model(x, at, wanted).float()

    return function(answer, x_t, t, label, model.num_classes, guidance)


class Noises(Mapping[int, Tensor]):
    """The noise of each step, drawn when it is asked for, in the order of Algorithm 2."""

    def __init__(self, T: int, noise: Callable[[], Tensor]) -> None:
        self.next, self.noise = T, noise
        self.T, self.drawn = T, dict[int, Tensor]()

    def __getitem__(self, i: int) -> Tensor:
        i = int(i)
        if not 1 <= i <= self.T:
            raise KeyError(f"there is noise for the steps 1 to {self.T}, not for {i}")
        while self.next >= i:
            self.drawn[self.next] = self.noise()
            self.next -= 1
        return self.drawn[i]

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, self.T + 1))

    def __len__(self) -> int:
        return self.T


@torch.no_grad()
def draw_with(
    functions: Functions,
    model: NoisePredictor,
    schedule: Schedule,
    labels: Tensor | None,
    *,
    seed: int,
    indices: Sequence[int],
    guidance: float = 1.0,
    method: Method = "ddpm",
    steps: int | None = None,
    clip: bool | None = None,
) -> Iterator[Sampled]:
    """`draw`, with `functions` in place of the package's. See there for the arguments."""
    ours, loop = equations(functions), functions.get("sample")
    if "p_step" in functions:
        loop = loop or sample  # it hands noise to the last step too, which is not to add it
    if loop is None or method == "ddim":
        yield from draw(
            model, schedule, labels, seed=seed, indices=indices, guidance=guidance,
            method=method, steps=steps, clip=clip, equations=ours,
        )  # fmt: skip
        return
    device = next(model.parameters()).device
    generators = streams(seed, "sampling", indices)
    shape = (len(indices), *IMAGE_SHAPE)
    x_T = normal(shape, generators, device)
    label = None if labels is None else labels.to(device)
    short, spread = respaced(schedule.to(device), steps or schedule.T)
    skips = short.T < schedule.T
    times = spread.to(device)
    guided = label is not None and guidance != 1
    fast = for_sampling(model, times.tolist()[:0:-1], len(x_T) * (2 if guided else 1))
    guesses: list[Tensor] = []  # of x_0, one for each call of the network

    def predicted(x_t: Tensor, t: Tensor) -> Tensor:
        eps = ours.guided_eps(fast, x_t, times[t], label, guidance)
        guess = ours.predict_x_0(short, x_t, t, eps)
        if skips if clip is None else clip:
            guess = guess.clamp(-1, 1)
            eps = predict_eps(short, x_t, t, guess)
        guesses.append(guess)
        return eps

    def step(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor, z: Tensor) -> Tensor:
        return ours.p_step(schedule, x_t, t, eps, z, "beta_tilde" if skips else "beta")

    z = Noises(short.T, lambda: normal(shape, generators, device))
    before: tuple[int, Tensor] | None = None
    for i, x_t in loop(predicted, step, short, x_T, z):
        if before:
            yield Sampled(int(times[before[0]]), before[1], guesses[-1] if guesses else before[1])
        before = int(i), x_t
    if before:
        yield Sampled(int(times[before[0]]), before[1], before[1])


def quick_drawing(
    method: Method = "ddpm", steps: int = 50, guidance: float = 1.0, **functions: Callable[..., Any]
) -> Tensor:
    """A 3, a 5 and a 7, drawn by the shipped network with these functions."""
    loaded = load_checkpoint()
    moments = draw_with(
        functions, loaded.model, loaded.schedule, torch.tensor([3, 5, 7]),
        seed=0, indices=range(3), guidance=guidance, method=method, steps=steps, clip=False,
    )  # fmt: skip
    return last(moments).nan_to_num(-1.0)
