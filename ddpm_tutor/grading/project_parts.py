"""The pieces of a diffusion model in anybody's project: found by the names that are usual, and
called with what their arguments are called.

A place is the module itself, or an object of one of its classes, made with what its constructor
asks for.
"""

import ast
import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm_tutor.grading.project_arguments import (
    CALL_SECONDS,
    LARGE,
    MAX_T,
    SIZE,
    CannotCall,
    Piece,
    Place,
    arguments,
    is_array,
)
from ddpm_tutor.grading.project_files import Project, TookTooLong, time_limit
from ddpm_tutor.grading.project_names import (
    LAST_RESORT,
    PIECES,
    ROLES,
    SCHEDULES,
    is_ddim,
    piece_of,
    plain,
)
from ddpm_tutor.grading.project_schedule import (
    arrays_of,
    impossible_betas,
    schedule_of,
)
from ddpm_tutor.grading.project_stand_ins import NOT_INSTALLED, StandIn, of_a_stand_in
from ddpm_tutor.grading.recorded_chance import Network, recording
from ddpm_tutor.grading.trials import in_a_line


def line_of(function: Any) -> int | None:
    """Where a function or class begins."""
    function = function.func if isinstance(function, partial) else function
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        return int(code.co_firstlineno)
    method = getattr(function, "__init__", None)
    code = getattr(method, "__code__", None)
    return int(code.co_firstlineno) if code else None


# --- places


def places_of(project: Project, mapped: Mapping[str, str]) -> tuple[list[Place], list[str]]:
    """The module and the objects of its classes; and what could not be made, and why."""
    found: list[Place] = []
    failed: list[tuple[str, type, str]] = []
    wanted = {name.split(".")[-1] for name in mapped.values()}
    for name, thing in list(project.names.items()):
        if not (inspect.isclass(thing) and project.is_own(thing)) or issubclass(thing, Enum):
            continue
        own = {n for base in thing.__mro__ if project.is_own(base) for n in vars(base)}
        kinds = {piece_of(n, mapped) for n in own} - {None, "time_encoding", "gather"}
        if not kinds and not own & wanted:
            continue
        try:
            found.append(place_of_class(project, name, thing, mapped))
        except CannotCall as error:
            failed.append((name, thing, str(error)))
    module = Place("", project.module, project.names)
    module.network = Network(module.chance)
    failed = made_with_others(found, failed, project, mapped)
    hand_announced(found)
    look_for_schedule(module, named_betas(project.names, mapped))
    other = next((place for place in found if place.schedule), None)
    if other and (module.schedule is None or made_of(other, module)):
        module.schedule, module.arrays, module.holder = (
            other.schedule, other.arrays, other.holder,
        )  # fmt: skip
    if module.schedule is None:
        schedule_from_functions(module, project)
    put_networks(module, project)
    for place in found:
        if place.schedule is None:
            place.schedule, place.arrays, place.holder = (
                module.schedule, module.arrays, module.holder,
            )  # fmt: skip
    impossible = next((place.impossible for place in (module, *found) if place.impossible), None)
    for place in (module, *found):
        place.impossible = None if place.schedule else impossible
    return [module, *found], [f"{name} could not be made: {why}" for name, _, why in failed]


def made_with_others(
    found: list[Place], failed: Sequence[tuple[str, type, str]], project: Project,
    mapped: Mapping[str, str],
) -> list[tuple[str, type, str]]:  # fmt: skip
    """Makes the objects that are handed one that has the schedule, and adds them to `found`; those
    that cannot be made even so.
    """
    owner = next((place for place in found if place.schedule), None)
    if owner is None:
        return list(failed)
    left = []
    for name, thing, why in failed:
        try:
            place = place_of_class(project, name, thing, mapped, owner.thing)
        except CannotCall:
            left.append((name, thing, why))
            continue
        place.schedule, place.arrays, place.holder = owner.schedule, owner.arrays, owner.holder
        place.owns = False
        found.append(place)
    return left


def hand_announced(places: Sequence[Place]) -> None:
    """Hands an object that of another class which its own only announces, such as
    `diffusion: DenoiseDiffusion`; not where they have other numbers of steps.
    """
    owners = {place.name: place for place in places if place.owns}
    for place in places:
        steps = {
            value for name, value in things_of(place.thing).items()
            if isinstance(value, int) and plain(name) in ROLES["T"]
        }  # fmt: skip
        for name, kind in inspect.get_annotations(type(place.thing)).items():
            owner = owners.get(getattr(kind, "__name__", str(kind)))
            if owner is None or owner is place or hasattr(place.thing, name):
                continue
            if owner.schedule is None or steps - {owner.schedule.schedule.T}:
                continue
            with contextlib.suppress(AttributeError):  # one that can only be read
                setattr(place.thing, name, owner.thing)
            place.network, place.chance = owner.network, owner.chance
            place.schedule, place.arrays, place.holder = owner.schedule, owner.arrays, owner.holder


def named_betas(things: Mapping[str, Any], mapped: Mapping[str, str]) -> dict[str, Any]:
    """Some things, and that which was said to be the betas under their own name."""
    name = mapped.get("betas", "").split(".")[-1]
    return {**things, "betas": things[name]} if name in things else dict(things)


def made_of(place: Place, module: Place) -> bool:
    """Whether an object has the very schedule of its module."""
    if place.schedule is None or module.schedule is None:
        return False
    mine, other = place.schedule.schedule.beta, module.schedule.schedule.beta
    return mine.shape == other.shape and torch.allclose(mine, other)


def put_networks(module: Place, project: Project) -> None:
    """Puts the stand-in in the place of the networks that the module's functions take from it."""
    loaded = {
        node.id
        for node in ast.walk(project.tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and len(node.id) > 2
    }
    for name in loaded:
        there = project.names.get(name)
        if plain(name) in ROLES["model"] and isinstance(there, nn.Module | StandIn | None):
            project.names[name] = module.network


def look_for_schedule(place: Place, things: Mapping[str, Any], holder: Any = None) -> None:
    """Takes note of the schedule among some things, or in a dict or an object among them.

    Args:
        holder: what has these things, where a function may be handed that.
    """
    holders = [(things, holder)]
    holders += [(v, v) for v in things.values() if isinstance(v, dict)]
    holders += [
        (things_of(v), v)
        for v in things.values()
        if hasattr(v, "__dict__") and not inspect.isclass(v) and not inspect.isfunction(v)
        and not inspect.ismodule(v)
    ]  # fmt: skip
    for among, having in holders:
        try:
            schedule = schedule_of(among)
            if schedule is None:
                place.impossible = place.impossible or impossible_betas(among)
        except (TypeError, ValueError, RuntimeError):
            continue
        if schedule is not None and schedule.schedule.T <= MAX_T:
            place.schedule, place.holder, place.owns = schedule, having, True
            place.arrays = {m: v for m, (_, v) in arrays_of(among).items()}
            return


def schedule_from_functions(place: Place, project: Project) -> None:
    """Takes note of the schedule that a function of the project makes, if there is one."""
    for name, thing in list(project.names.items()):
        if not inspect.isfunction(thing) or not project.is_own(thing):
            continue
        if not SCHEDULES.search(name.lower()) and not schedule_like(thing):
            continue
        try:
            given = arguments(thing, "schedule", {}, place)
            with recording(place.chance), time_limit(CALL_SECONDS):
                made = thing(**given)
        except (Exception, SystemExit, TookTooLong):
            continue
        if isinstance(made, dict):
            look_for_schedule(place, made, made)
        elif isinstance(made, tuple | list) and made and all(is_array(v) for v in made):
            names = returned_names(project, name) or ["betas", "alphas", "alphas_cumprod"]
            look_for_schedule(place, dict(zip(names, made, strict=False)))
            place.holder = made
        elif is_array(made):
            values = torch.as_tensor(np.asarray(made)).double()
            falling = bool((values.diff() <= 0).all())
            look_for_schedule(place, {"alphas_cumprod" if falling else "betas": made})
        elif made is not None:
            look_for_schedule(place, {"made": made}, made)
        if place.schedule is not None:
            return


def schedule_like(function: Any) -> bool:
    """Whether a function asks for the ends of a schedule."""
    names = {plain(name) for name in inspect.signature(function).parameters}
    return bool(names & {"beta1", "beta_start", "beta_1"})


def returned_names(project: Project, name: str) -> list[str]:
    """What a function calls the things that it returns together."""
    for node in ast.walk(project.tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Tuple):
                    return [ast.unparse(e).split(".")[-1] for e in inner.value.elts]
    return []


def place_of_class(
    project: Project, name: str, cls: type, mapped: Mapping[str, str], holder: Any = None
) -> Place:
    """An object of a class, made with what its constructor asks for.

    Args:
        holder: the object of another class that has the schedule, where this one is handed that.

    Raises:
        CannotCall: it could not be made.
    """
    place = Place(name, None, project.names, holder=holder)
    place.network = Network(place.chance)
    said = said_in_calls(project.tree, name)
    error: BaseException = CannotCall("")
    kinds = ("pair", "array") if asks_for_ends(cls) else ("array", "pair")
    for betas in kinds:
        try:
            given = arguments(cls, "make", {**said, "betas kind": betas}, place)
            with recording(place.chance), time_limit(CALL_SECONDS):
                place.thing = cls(**given)
            break
        except (Exception, SystemExit, TookTooLong) as problem:
            error = problem
    if place.thing is None:
        if isinstance(error, CannotCall):
            raise error
        raise CannotCall(NOT_INSTALLED if of_a_stand_in(error) else in_a_line(error))
    things = things_of(place.thing)
    take_sizes(place, things)
    put_network(place, things)
    look_for_schedule(place, named_betas(things, mapped), place.thing)
    if place.schedule is None:
        schedule_from_methods(place)
    return place


def asks_for_ends(cls: type) -> bool:
    """Whether a class takes the ends of its schedule for `betas`, not all of them."""
    try:
        return "betas[1]" in inspect.getsource(cls)
    except (OSError, TypeError):
        return False


def schedule_from_methods(place: Place) -> None:
    """Takes note of the schedule that a method makes, where the object keeps none."""
    for name in dir(place.thing):
        if "schedule" in name.lower() and callable(getattr(place.thing, name)):
            try:
                with recording(place.chance), time_limit(CALL_SECONDS):
                    made = getattr(place.thing, name)()
            except (Exception, SystemExit, TookTooLong):
                continue
            if is_array(made):
                look_for_schedule(place, {"betas": made})


def things_of(thing: Any) -> dict[str, Any]:
    """The attributes of an object, a network's buffers and a class's own among them."""
    found: dict[str, Any] = {}
    for base in type(thing).__mro__[::-1]:
        numbers = (Tensor, np.ndarray, int, float)
        found |= {n: v for n, v in vars(base).items() if isinstance(v, numbers)}
    found |= dict(vars(thing))
    if isinstance(thing, nn.Module) and "_buffers" in vars(thing):
        found |= {n: v for n, v in thing.named_buffers(recurse=False)}
        found.update(thing.named_children())
    return found


def take_sizes(place: Place, things: Mapping[str, Any]) -> None:
    """Takes note of which pictures an object wants; large ones are made small, for a loop of a
    thousand steps is remembered whole.
    """
    for name, value in things.items():
        sides = value
        if isinstance(value, tuple | list) and value and plain(name) in ROLES["size"]:
            value = value[-1]
        if isinstance(value, int) and not isinstance(value, bool):
            if plain(name) in ROLES["size"] and value > LARGE:
                value = SIZE
                small = value if isinstance(sides, int) else type(sides)([SIZE] * len(sides))
                with contextlib.suppress(AttributeError):  # one that can only be read
                    setattr(place.thing, name, small)
            if plain(name) in ROLES["size"] and 2 <= value <= LARGE:
                place.size = value
            elif plain(name) in ROLES["channels"] and 1 <= value <= 4:
                place.channels = value


def put_network(place: Place, things: Mapping[str, Any]) -> None:
    """Puts the stand-in in the place of the object's own network."""
    place.network = network = Network(place.chance, place.channels, place.size)
    for name, value in things.items():
        if isinstance(value, nn.Module | StandIn) and plain(name) in ROLES["model"]:
            setattr(place.thing, name, network)
    forward = getattr(place.thing, "forward", None)
    if forward is None or not isinstance(place.thing, nn.Module):
        return
    try:
        text = inspect.getsource(type(place.thing))
    except (OSError, TypeError):
        text = ""
    takes = {plain(n) for n in inspect.signature(forward).parameters}
    if re.search(r"self(\.forward)?\(\s*\w", text) and takes & set(ROLES["t"]):
        place.is_network = True
        place.thing.forward = network.forward


def said_in_calls(tree: ast.Module, name: str) -> dict[str, Any]:
    """The plain numbers and words that the file itself makes an object of this class with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
            found = {}
            for keyword in node.keywords:
                try:
                    found[keyword.arg or ""] = ast.literal_eval(keyword.value)
                except ValueError:
                    continue
            return found
    return {}


# --- pieces


def pieces_of(places: Sequence[Place], project: Project, mapped: Mapping[str, str]) -> list[Piece]:
    """The known pieces in all places, in the order of `PIECES`."""
    found: list[Piece] = []
    for place in places:
        for name, function in functions_of(place, project):
            kind = piece_of(place.called(name), mapped) or piece_of(name.split(".")[-1], mapped)
            if kind == "sampler" and is_ddim(name) and steps_once(function):
                kind = "step"  # in some code `ddim_sample` is the loop, in some one step of it
            if kind is not None:
                found.append(Piece(kind, place.called(name), function, place, line_of(function)))
        if loss := forward_as_loss(place, [p.kind for p in found if p.place is place]):
            found.append(loss)
    if any(piece.kind == "loss" and not is_last_resort(piece) for piece in found):
        found = [piece for piece in found if not is_last_resort(piece)]
    order = list(PIECES)
    return sorted(found, key=lambda piece: order.index(piece.kind))


def is_last_resort(piece: Piece) -> bool:
    """Whether it is a loss by its name only where there is no other."""
    return piece.kind == "loss" and plain(piece.name.split(".")[-1]) in LAST_RESORT


def steps_once(function: Any) -> bool:
    """Whether a function is given x_t and one t."""
    needed = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty]
    names = {plain(name) for name in needed if name != "T"}
    return bool(names & set(ROLES["x_t"])) and bool(names & {"t", "timestep", "i", "step", "ts"})


def functions_of(place: Place, project: Project) -> Iterator[tuple[str, Any]]:
    """What can be called in a place and is the project's own, by name."""
    if place.name:
        own = {n for b in type(place.thing).__mro__ if project.is_own(b) for n in vars(b)}
        for name in sorted(own):
            if not (name.startswith("__") and name.endswith("__")):
                function = getattr(place.thing, name, None)
                if inspect.ismethod(function) or inspect.isfunction(function):
                    yield name, function
        return
    for name, thing in list(place.names.items()):
        if callable(thing) and project.is_own(thing) and not name.startswith("__"):
            is_class = inspect.isclass(thing)
            if is_class:
                yield from encodings_of(name, thing)
            if is_class and piece_of(name, {}) != "time_encoding":
                continue
            if inspect.isfunction(inspect.unwrap(thing)) or is_class:
                yield name, thing


def encodings_of(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """The methods of a network that encode t: they need nothing of it but its device."""
    for method, function in vars(cls).items():
        if plain(method) in PIECES["time_encoding"] and inspect.isfunction(function):
            yield f"{name}.{method}", partial(function, SimpleNamespace(device="cpu"))


def forward_as_loss(place: Place, kinds: Sequence[str]) -> Piece | None:
    """The `forward` of a class that is no network, and has no other loss."""
    forward = getattr(place.thing, "forward", None)
    if not place.name or forward is None or place.is_network or "loss" in kinds:
        return None
    if not isinstance(place.thing, nn.Module) or not {"step", "sampler"} & set(kinds):
        return None
    if type(place.thing).forward is nn.Module.forward:
        return None
    return Piece("loss", place.called("forward"), forward, place, line_of(forward))
