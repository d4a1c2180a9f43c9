"""Two small pieces of somebody's project: the time encoding, and what picks a number for each t."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ddpm_tutor.grading.known_mistakes import recognised
from ddpm_tutor.grading.project_arguments import CALL_SECONDS, CannotCall, Piece, arguments
from ddpm_tutor.grading.project_calls import BATCH, CallFailed, Form, call, t_in
from ddpm_tutor.grading.project_files import TookTooLong, time_limit
from ddpm_tutor.grading.project_trials import checking_of, exercise_of, not_called
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.recorded_chance import recording, tensor_of
from ddpm_tutor.grading.trials import Outcome, alike, in_a_line, outcome_of

ENCODING = 4  # the exercise that asks for it
CHANNELS = 32
# other encodings that are as good, as long as training and sampling use the same
AS_GOOD = {
    "interleaved": "sines and cosines take turns",
    "cosines_first": "the cosines come first",
    "inclusive": "the exponents run up to 1 itself, as in the authors' code",
}


def try_time_encoding(piece: Piece) -> Finding | None:
    """How a time encoding does; None where it has weights of its own, and is more than that."""
    t = torch.tensor([1, 7, 250, 999, 500])
    try:
        encode = encoder(piece)
    except CannotCall as error:
        return not_called(piece, error)
    except (Exception, SystemExit, TookTooLong) as error:
        says = f"It could not be made: {in_a_line(error)}."
        return Finding(piece.kind, piece.name, "not called", says, piece.line)
    if encode is None:
        return None
    first: BaseException | None = None
    for kind in range(8):
        try:
            shown = encoded(piece, encode, as_kind(kind, t))
        except (Exception, SystemExit, TookTooLong) as problem:
            first = first or problem
            continue
        if shown is not None and shown.numel() >= len(t) * CHANNELS:
            small = None
            with contextlib.suppress(Exception, SystemExit, TookTooLong):
                small = encoded(piece, encode, as_kind(kind, torch.tensor([1e-5, 2e-5])))
            return judged(piece, t, shown.reshape(len(t), -1).float(), small)
    says = f"It stops: {in_a_line(first)}." if first else "It gives no row of numbers for each t."
    return Finding(piece.kind, piece.name, "not called", says, piece.line)


def as_kind(kind: int, t: Tensor) -> Any:
    """t as encodings want it: (B,) or (B, 1), whole or not, a tensor or NumPy's."""
    t = t.float() if kind % 4 in (1, 2) else t
    t = t[:, None] if kind % 4 in (2, 3) else t
    return t.numpy() if kind >= 4 else t


def encoded(piece: Piece, encode: Callable[..., Any], t: Any) -> Tensor | None:
    """The encoding of t; None where it is no array of numbers."""
    with recording(piece.place.chance), time_limit(CALL_SECONDS), torch.no_grad():
        result = encode(t)
    return tensor_of(result)


def encoder(piece: Piece) -> Callable[..., Any] | None:
    """What encodes t (B,), with `CHANNELS` channels; None where it has weights.

    Raises:
        CannotCall: it is not known what to give; or whatever its constructor raises.
    """
    function = piece.function
    if inspect.isclass(function):
        given = arguments(function, "time_encoding", {"dim": CHANNELS}, piece.place)
        with recording(piece.place.chance), time_limit(CALL_SECONDS):
            made = function(**given)
        weighted = isinstance(made, nn.Module) and any(True for _ in made.parameters())
        return None if weighted else cast(Callable[..., Any], made)

    def encode(t: Any) -> Any:
        given = arguments(function, "time_encoding", {"t": t, "dim": CHANNELS}, piece.place)
        return function(**given)

    return encode


def exponents_of(small: Tensor) -> Tensor | None:
    """To which powers 10000 is taken, by an encoding at t = 0.00001 and twice that; None where that
    cannot be seen.
    """
    sine, cosine = small.reshape(2, -1).double().chunk(2, dim=1)  # (2, C / 2) each
    if not torch.allclose(sine**2 + cosine**2, torch.ones_like(sine), atol=1e-4):
        return None
    angle = torch.atan2(sine, cosine)[0] * 1e5  # at t = 1
    return -angle.log() / torch.tensor(10_000.0).log() if bool((angle > 0).all()) else None


def judged(piece: Piece, t: Tensor, shown: Tensor, small: Tensor | None) -> Finding:
    """What to say of an encoding of t."""
    exercise, right = exercise_of(ENCODING), checking_of(ENCODING)["right"]
    mine = Outcome({"result": shown})

    def does(function: Callable[..., Any]) -> bool:
        return alike(mine, outcome_of(function, {"t": t, "channels": CHANNELS}))

    def said(
        state: Any, says: str, mistake: str = "", leads_to: str = "", note: str = ""
    ) -> Finding:
        return Finding(
            piece.kind, piece.name, state, says, piece.line, mistake, ENCODING, leads_to,
            notes=(note,) if note else (),
        )  # fmt: skip

    if does(right):
        return said("right", "It is right.")
    inclusive = 10_000 ** -torch.linspace(0, 1, CHANNELS // 2)
    angle = t[:, None] * inclusive
    if alike(mine, Outcome({"result": torch.cat([angle.cos(), angle.sin()], 1)})):
        return said(
            "right", "It is right.", note=f"{AS_GOOD['cosines_first']}; {AS_GOOD['inclusive']}"
        )
    mistake = recognised(exercise, does)
    if mistake is None:
        powers = exponents_of(small) if small is not None else None
        if powers is not None and float(powers.min()) < -0.01:
            wrong = exercise.mistake("multiplied")
            return said("mistake", wrong.what, wrong.name, wrong.leads_to)
        words = "It is not the one of Vaswani et al."
        if powers is not None:
            begun, second, *_, last = (f"{round(power, 3) + 0:g}" for power in powers.tolist())
            words = f"t is divided by 10000 to the powers {begun}, {second}, ..., {last}."
        apart = (shown[:, None] - shown[None]).abs().amax(2) < 1e-3
        if bool(apart.fill_diagonal_(False).any()):
            return said("differs", f"Different t look alike to it. {words}")
        return said("right", "Each t has its own encoding.", note=words)
    if mistake.name in AS_GOOD:
        return said("right", "It is right.", note=AS_GOOD[mistake.name])
    if mistake.name == "float64":
        return said("right", "It is right.", note=mistake.what)
    return said("mistake", mistake.what, mistake.name, mistake.leads_to)


def try_gather(piece: Piece) -> Finding:
    """Whether a function picks, for each picture, the number of its t."""
    values = torch.linspace(0, 1, 40).square()
    t = torch.tensor([0, 7, 39, 20, 3])
    x = torch.zeros(BATCH, 1, 8, 8)
    error: BaseException | None = None
    for numpy in (False, True):
        form = Form((1, 8, 8), "each", numpy)
        given = {"a": values, "t": t_in(form, t), "x_shape": x.shape, "like": x}
        try:
            done = call(piece, given, form)
        except CannotCall as problem:
            return not_called(piece, problem)
        except CallFailed as failed:
            error = error or failed.error
            continue
        found = done.results[0].float() if done.results else torch.empty(0)
        if found.shape == x.shape and not bool((found - found[..., :1, :1]).any()):
            found = found[..., :1, :1]
        if found.shape == (BATCH, 1, 1, 1) and torch.allclose(found.flatten(), values[t]):
            return Finding(piece.kind, piece.name, "right", "It is right.", piece.line)
        if found.shape == (BATCH, 1, 1, 1) and torch.allclose(found.flatten(), values[t - 1]):
            note = "It takes t for counted from 1."
            return Finding(piece.kind, piece.name, "right", "It is right.", piece.line,
                           notes=(note,))  # fmt: skip
        if found.shape == (BATCH,) and torch.allclose(found, values[t]):
            note = "It gives (B,): pictures need that as (B, 1, 1, 1)."
            return Finding(piece.kind, piece.name, "right", "It is right.", piece.line,
                           notes=(note,))  # fmt: skip
        says = f"It gives {tuple(found.shape)} for 5 pictures; (5, 1, 1, 1) is needed."
        if found.numel() == BATCH:
            i = int((found.flatten() - values[t]).abs().argmax())
            says = (
                f"At t = {int(t[i])} it gives {float(found.flatten()[i]):.4g}, where entry "
                f"{int(t[i])} is {float(values[t[i]]):.4g}."
            )
        return Finding(piece.kind, piece.name, "differs", says, piece.line)
    assert error is not None
    return Finding(
        piece.kind, piece.name, "not called", f"It stops: {in_a_line(error)}.", piece.line
    )
