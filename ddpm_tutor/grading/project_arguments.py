"""What to call the functions of anybody's project with, by what their arguments are called."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm_tutor.grading.project_files import MODULE
from ddpm_tutor.grading.project_names import (
    HOLDERS,
    OF_PIECE,
    ROLES,
    plain,
)
from ddpm_tutor.grading.project_schedule import (
    ARRAYS,
    ImpossibleBetas,
    OwnSchedule,
    canonical,
)
from ddpm_tutor.grading.recorded_chance import Chance, Network, new_generator

CALL_SECONDS = 4.0  # for one call
MAX_T = 4000  # steps of a schedule that is tried
SIZE = 8  # pixels of the pictures, where the project does not ask for more
LARGE = 32  # more than that it does not get


@dataclass
class Place:
    """Where pieces are: the module, or an object of a class."""

    name: str  # "" for the module
    thing: Any
    names: Mapping[str, Any]  # what the module has, for arguments that are called alike
    schedule: OwnSchedule | None = None
    impossible: ImpossibleBetas | None = None  # where there are betas, but no schedule
    arrays: dict[str, Tensor] = field(default_factory=dict)
    holder: Any = None  # a dict or object that holds the schedule's arrays
    owns: bool = False  # the schedule was found in it, not in another place
    size: int = SIZE
    channels: int = 1
    network: Network | None = None
    chance: Chance = field(default_factory=Chance)
    is_network: bool = False  # the object is the network itself, too

    def called(self, name: str) -> str:
        """A function of it, as the learner would say it."""
        return f"{self.name}.{name}" if self.name else name


@dataclass(frozen=True)
class Piece:
    """A function that is one of the known pieces."""

    kind: str
    name: str  # as the learner says it
    function: Callable[..., Any]
    place: Place
    line: int | None = None


class CannotCall(Exception):
    """It is not known what to give to a function; the message says which argument."""


def is_array(value: Any) -> bool:
    """Whether it is a row of numbers."""
    return isinstance(value, Tensor | np.ndarray) and value.ndim >= 1 and len(value) > 1


def arguments(function: Any, kind: str, supply: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """What to call a function with, by what its arguments are called.

    Args:
        kind: the piece that it is; "make" for a constructor, "schedule" for what makes one.
        supply: what there is to give, by role; for a constructor by the argument's own name.

    Raises:
        CannotCall: it is not known what to give.
    """
    return next(all_arguments(function, kind, supply, place))


def all_arguments(
    function: Any, kind: str, supply: Mapping[str, Any], place: Place
) -> Iterator[dict[str, Any]]:
    """The ways to call a function: one, where all its arguments have known names; else what is
    left over in each order.

    Raises:
        CannotCall: there is none.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise CannotCall("its arguments are not known") from None
    names = {plain(parameter.name) for parameter in parameters}
    if kind == "sampler" and names & set(ROLES["count"]) and "size" in names:
        # `size` is then that of one picture
        supply = {role: value for role, value in supply.items() if role != "shape"}
    if {"h", "w"} <= names:  # `w` is the width, then
        supply = {role: value for role, value in supply.items() if role != "guidance"}
    given: dict[str, Any] = {}
    used: set[str] = set()
    unknown: list[str] = []
    for parameter in parameters:
        name, required = parameter.name, parameter.default is inspect.Parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        role = role_of(name, kind, supply, used)
        if role is not None:
            used.add(role)
            optional = ("z", "labels", "guidance", "few", "T", "x_T", "size", "channels")
            if required or role not in optional or (kind, role) == ("sampler", "guidance"):
                given[name] = supply[role]
            continue
        known, value = known_value(name, kind, supply, place, required)
        if known:
            given[name] = value
        elif required:
            unknown.append(name)
    left = [role for role in OF_PIECE.get(kind, ()) if role in supply and role not in used]
    named = ("t_int", "z", "labels", "guidance", "out", "eta", "t_prev", "taken", "few")
    left = [role for role in left if role not in named]
    if kind == "step" and "model" not in used and "out" in supply and "out" not in used:
        left.append("out")
    if len(unknown) > len(left):
        what = " and ".join(f"`{name}`" for name in unknown)
        raise CannotCall(f"it is not known what to give for {what}")
    for order in permutations(left, len(unknown)):
        yield given | {n: supply[role] for n, role in zip(unknown, order, strict=True)}


def role_of(name: str, kind: str, supply: Mapping[str, Any], used: set[str]) -> str | None:
    """What an argument is, by its name; of several it may be the first that is not given yet."""
    roles = [r for r in OF_PIECE.get(kind, ()) if r in supply and r not in used]
    if kind == "step" and "model" not in used:
        # without a network, what is called noise is what it has predicted
        roles.sort(key=lambda r: r == "z")
    elif kind == "step":
        roles.sort(key=lambda r: r == "out")
    return next((role for role in roles if plain(name) in ROLES[role]), None)


def known_value(
    name: str, kind: str, supply: Mapping[str, Any], place: Place, required: bool
) -> tuple[bool, Any]:
    """Whether it is known what to give for an argument that is no role, and what."""
    word = plain(name)
    if kind == "make" and name in supply:
        return True, supply[name]
    if word == "device" and required:
        return True, "cpu"
    if not required:
        return False, None
    if kind in ("make", "schedule"):
        return of_constructor(name, supply, place)
    meaning = canonical(name)
    if meaning in ARRAYS and name not in place.names and meaning in place.arrays:
        values = place.arrays[meaning]
        return True, values.numpy() if supply.get("numpy") else values.float()
    if word in HOLDERS and place.holder is not None:
        return True, copy(place.holder)  # what one piece sets in it is not for another to find
    if word in HOLDERS and place.arrays:
        return True, SimpleNamespace(**{n: v.float() for n, v in place.arrays.items()})
    if word in ("w", "width", "height"):
        return True, place.size
    if word in ("generator", "rng", "key", "gen"):
        return True, new_generator() if supply.get("numpy") else torch.Generator()
    if word in ("batch_idx", "batch_nb", "batch_index"):  # Lightning's, of no use to the loss
        return True, 0
    if word in ("loss_type", "objective"):
        return True, "l2"
    if name in place.names and not inspect.isfunction(place.names[name]):
        return True, place.names[name]
    if word in ROLES["T"] and place.schedule is not None:
        return True, place.schedule.schedule.T
    return False, None


def of_constructor(name: str, supply: Mapping[str, Any], place: Place) -> tuple[bool, Any]:
    """What to give to a constructor, or to a function that makes a schedule."""
    word, T = plain(name), steps_in(place.names)
    if word in HOLDERS and place.holder is not None:
        return True, place.holder
    if word in ROLES["model"]:
        return True, place.network
    if word == "betas":
        return True, (1e-4, 0.02) if supply.get("betas kind") == "pair" else betas_in(place, T)
    if word in ("beta_start", "beta1", "beta_1", "beta_min", "start"):
        return True, 1e-4
    if word in ("beta_end", "beta2", "beta_t", "beta_max", "end"):
        return True, 0.02
    if word in ROLES["T"]:
        return True, T
    if word in ROLES["size"]:
        return True, SIZE
    if word in ROLES["channels"]:
        return True, 1
    if word in ("n_classes", "num_classes"):
        return True, 10
    if word in ("drop_prob", "p_uncond"):
        return True, 0.1
    if word == "device":
        return True, "cpu"
    if word in ("schedule", "beta_schedule", "schedule_name", "schedule_type", "kind", "mode"):
        return True, "linear"
    guesses = {"loss_type": ("mse", "l2"), "model_mean_type": ("eps", "epsilon"),
               "model_var_type": ("fixedlarge", "fixed_large"), "criterion": ("mse",)}  # fmt: skip
    if word in guesses:
        kinds = [v for v in place.names.values() if inspect.isclass(v) and issubclass(v, Enum)]
        for member in (member for kind in kinds for member in kind):
            if member.name.lower() in guesses[word]:
                return True, member
        if word == "criterion":
            return True, nn.MSELoss()
        return True, guesses[word][0]
    if name in place.names and not inspect.isfunction(place.names[name]):
        return True, place.names[name]
    if word in ("args", "cfg", "config", "opt", "hparams"):
        return True, SimpleNamespace(
            timesteps=T, T=T, beta_start=1e-4, beta_end=0.02, device="cpu", image_size=SIZE
        )
    return False, None


def steps_in(names: Mapping[str, Any]) -> int:
    """How many steps the module says there are; 1000 where it does not."""
    found = (v for n, v in names.items() if plain(n) in ROLES["T"] and isinstance(v, int))
    return next((v for v in found if 4 <= v <= MAX_T), 1000)


def betas_in(place: Place, T: int) -> Any:
    """The betas of the module, or those that a function of it makes; else the paper's own."""
    if is_array(place.names.get("betas")):
        return place.names["betas"]
    for name, thing in place.names.items():
        if inspect.isfunction(thing) and "beta" in name and thing.__module__ == MODULE:
            try:
                made = thing(**arguments(thing, "schedule", {}, place))
            except (Exception, SystemExit):
                continue
            if is_array(made):
                return made
    return np.linspace(1e-4, 0.02, T, dtype=np.float64)
