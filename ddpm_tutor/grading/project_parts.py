"""The pieces of a diffusion model in anybody's project: found by the names that are usual, and
called with what their arguments are called.

A place is the module itself, or an object of one of its classes, made with what its constructor
asks for.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm_tutor.grading.project_files import MODULE, Project, TookTooLong, time_limit
from ddpm_tutor.grading.project_schedule import (
    ARRAYS,
    OwnSchedule,
    arrays_of,
    canonical,
    schedule_of,
)
from ddpm_tutor.grading.recorded_chance import Chance, Network, new_generator, recording

CALL_SECONDS = 4.0  # for one call
MAX_T = 4000  # steps of a schedule that is tried
SIZE = 8  # pixels of the pictures, where the project does not ask for more

# the pieces, by the names that are usual for them, in the order in which they are told
PIECES: dict[str, tuple[str, ...]] = {
    "q_sample": (
        "q_sample", "add_noise", "forward_diffusion", "forward_diffusion_sample", "noise_images",
        "noise_image", "diffuse", "perturb_input", "perturb", "forward_process", "forward_noising",
        "get_noisy_image", "add_noise_to_image", "forward_sample", "noising", "sample_forward",
        "diffusion_forward", "corrupt", "q_sample_eps", "noise_it", "to_noisy", "make_noisy",
        "add_noise_batch", "noise_x",
    ),
    "loss": (
        "p_losses", "training_losses", "training_loss", "loss", "compute_loss", "get_loss",
        "diffusion_loss", "train_loss", "calc_loss", "ddpm_loss", "noise_estimation_loss",
        "loss_fn",
        "simple_loss", "loss_simple", "train_step_loss",
    ),
    "predict_x_0": (
        "predict_start_from_noise", "predict_xstart_from_eps", "predict_x0", "predict_x_0",
        "predict_x0_from_eps", "predict_start", "x0_from_eps", "predict_x0_from_noise",
    ),
    "posterior": (
        "q_posterior", "q_posterior_mean_variance", "posterior_mean_variance", "posterior",
        "q_posterior_mean", "posterior_mean", "q_mean_variance_posterior",
    ),
    "step": (
        "p_sample", "step", "denoise", "denoise_step", "reverse_step", "p_step",
        "reverse_diffusion_step", "sample_timestep", "denoise_add_noise", "remove_noise",
        "ddpm_step", "sample_step", "backward_step", "p_sample_step", "sample_prev_timestep",
        "denoise_at_t", "backward",
    ),
    "sampler": (
        "p_sample_loop", "sample", "sample_loop", "generate", "sampling", "sample_images",
        "ddpm_sample", "sample_ddpm", "generate_samples", "ddpm_sampling", "reverse_diffusion",
        "generate_images", "p_sample_loop_final", "sample_image", "reverse_process", "draw",
    ),
    "time_encoding": (
        "get_timestep_embedding", "timestep_embedding", "sinusoidal_embedding", "time_embedding",
        "pos_encoding", "positional_encoding", "get_time_embedding", "time_encoding",
        "sinusoidal_time_embedding", "sinusoidal_position_embedding", "get_timestep_embeddings",
        "sinusoidalpositionembeddings", "sinusoidalposemb", "sinusoidalembedding", "timeembedding",
        "sinusoidalpositionalembedding", "positionalencoding", "sinusoidaltimeembedding",
        "positionalembedding", "sinusoidalpositionembedding", "timestepembedder", "timeencoding",
        "sinusoidalposembedding", "timepositionalembedding",
    ),
    "gather": (
        "extract", "gather", "extract_into_tensor", "get_index_from_list", "get_values",
        "get_index", "expand_to_batch", "match_dims",
    ),
    "guidance": (
        "guided_eps", "cfg", "classifier_free_guidance", "guided_noise", "forward_with_cond_scale",
        "predict_with_guidance", "guided_prediction", "cfg_noise", "guided",
    ),
}  # fmt: skip
TRIED_WITH_HOST = ("q_sample", "loss", "predict_x_0", "posterior", "step", "sampler")
SCHEDULES = re.compile(r"schedule|betas")  # functions that make one

# what arguments are called, by what they are
ROLES: dict[str, tuple[str, ...]] = {
    "model": (
        "model", "denoise_model", "denoise_fn", "net", "network", "eps_model", "unet", "nn_model",
        "noise_model", "noise_predictor", "predictor", "denoiser", "eps_net", "ddpm", "f", "fn",
        "score_model", "diffusion_model",
    ),
    "x_0": (
        "x_start", "x0", "x_0", "x", "img", "image", "images", "original_samples", "original",
        "batch", "data", "clean", "clean_images", "imgs", "input", "inputs", "x_init", "sample",
        "xstart", "pred_xstart", "clean_image", "x_batch", "pred_x0", "x0_hat", "x_clean",
        "samples",
    ),
    "x_t": (
        "x_t", "xt", "x", "img", "sample", "z_t", "noisy", "noisy_image", "image", "images", "y_t",
        "latents", "x_noisy", "noisy_images", "cur_x", "imgs", "sample_t", "y",
    ),
    "t": (
        "t", "timesteps", "timestep", "step", "ts", "time", "time_step", "time_steps", "i", "k",
        "n", "steps", "noise_step", "idx", "_ts", "t_batch", "cur_t",
    ),
    "t_int": ("t_index", "index", "idx", "timestep_index", "i", "t_idx"),
    "noise": ("noise", "eps", "epsilon", "e", "z"),
    "out": (
        "model_output", "pred_noise", "eps_theta", "noise_pred", "predicted_noise", "eps_pred",
        "pred", "eps", "epsilon", "noise", "noise_prediction", "pred_eps", "epsilon_theta", "out",
    ),
    "z": ("z", "noise", "new_noise", "fresh_noise"),
    "shape": ("shape", "size", "image_shape", "sample_shape", "img_shape", "x_shape"),
    "count": (
        "n", "batch_size", "num_samples", "n_samples", "n_sample", "num_images", "bs", "n_imgs",
        "nsamples", "b", "number", "batch", "n_images", "num", "num_imgs",
    ),
    "size": ("image_size", "img_size", "size", "resolution", "img_dim", "image_dim", "h", "w_px"),
    "channels": (
        "channels", "in_channels", "n_channels", "ch", "img_channels", "image_channels", "c_in",
        "num_channels",
    ),
    "T": (
        "timesteps", "t", "n_steps", "num_timesteps", "steps", "num_steps", "n_t",
        "diffusion_steps", "noise_steps", "num_train_timesteps", "n_timesteps",
        "num_diffusion_timesteps",
        "diffusion_timesteps", "total_steps", "max_t",
    ),
    "labels": ("y", "c", "labels", "label", "classes", "context", "cond", "class_labels", "c_i"),
    "guidance": ("cfg_scale", "guidance_scale", "guide_w", "w", "cond_scale", "guidance", "s"),
    "null_label": ("null_label", "null", "uncond", "null_class"),
    "x_T": ("x_t", "x", "noise", "z", "latents", "img", "start", "xt"),
    "dim": (
        "embedding_dim", "dim", "channels", "d_model", "n_channels", "emb_dim", "d", "embed_dim",
        "dimension", "time_dim", "time_emb_dim", "hidden_size", "n_embed",
    ),
    "a": ("a", "arr", "consts", "vals", "values", "tensor", "v", "coef", "coefficients", "consts"),
    "x_shape": ("x_shape", "shape", "broadcast_shape", "shp"),
    "like": ("x", "like", "x_t", "x_0", "ref"),
}  # fmt: skip
OF_PIECE: dict[str, tuple[str, ...]] = {
    "q_sample": ("x_0", "t", "noise"),
    "loss": ("model", "x_0", "t", "noise", "labels"),
    "predict_x_0": ("x_t", "t", "out"),
    "posterior": ("x_0", "x_t", "t"),
    "step": ("model", "x_t", "t", "t_int", "out", "z", "labels", "guidance"),
    "sampler": (
        "model", "shape", "count", "size", "channels", "labels", "guidance", "T", "x_T",
    ),
    "time_encoding": ("t", "dim"),
    "gather": ("a", "t", "x_shape", "like"),
    "guidance": ("model", "x_t", "t", "labels", "null_label", "guidance"),
}  # fmt: skip
HOLDERS = (  # arguments that stand for the whole schedule
    "schedule", "scheduler", "diffusion", "params", "coeffs", "constants", "sched", "consts",
    "coefs", "coefficients", "noise_schedule", "noise_scheduler", "d", "ddpm_params", "sch",
)  # fmt: skip


@dataclass
class Place:
    """Where pieces are: the module, or an object of a class."""

    name: str  # "" for the module
    thing: Any
    names: Mapping[str, Any]  # what the module has, for arguments that are called alike
    schedule: OwnSchedule | None = None
    arrays: dict[str, Tensor] = field(default_factory=dict)
    holder: Any = None  # a dict or object that holds the schedule's arrays
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


def plain(name: str) -> str:
    """A name without its underscores at the ends and its capitals."""
    return name.lower().strip("_")


def piece_of(name: str, mapped: Mapping[str, str]) -> str | None:
    """Which piece a name stands for."""
    for kind, given in mapped.items():
        if given in (name, name.split(".")[-1]):
            return kind
    found = (kind for kind, names in PIECES.items() if plain(name) in names)
    usual = next(found, None)
    return None if usual in mapped else usual


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
    found, failed = [], []
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
            failed.append(f"{name} could not be made: {error}")
    module = Place("", project.module, project.names)
    module.network = Network(module.chance)
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
    return [module, *found], failed


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
        if plain(name) in ROLES["model"] and (there is None or isinstance(there, nn.Module)):
            project.names[name] = module.network


def look_for_schedule(place: Place, things: Mapping[str, Any], holder: Any = None) -> None:
    """Takes note of the schedule among some things, or in a dict or an object among them.

    Args:
        holder: what has these things, where a function may be handed that.
    """
    holders = [(things, holder)]
    holders += [(v, v) for v in things.values() if isinstance(v, dict)]
    holders += [
        (vars(v), v)
        for v in things.values()
        if hasattr(v, "__dict__") and not inspect.isclass(v) and not inspect.isfunction(v)
        and not inspect.ismodule(v)
    ]  # fmt: skip
    for among, having in holders:
        try:
            schedule = schedule_of(among)
        except (TypeError, ValueError, RuntimeError):
            continue
        if schedule is not None and schedule.schedule.T <= MAX_T:
            place.schedule, place.holder = schedule, having
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


def is_array(value: Any) -> bool:
    """Whether it is a row of numbers."""
    return isinstance(value, Tensor | np.ndarray) and value.ndim >= 1 and len(value) > 1


def place_of_class(project: Project, name: str, cls: type, mapped: Mapping[str, str]) -> Place:
    """An object of a class, made with what its constructor asks for.

    Raises:
        CannotCall: it could not be made.
    """
    place = Place(name, None, project.names)
    place.network = Network(place.chance)
    said = said_in_calls(project.tree, name)
    error: BaseException | str = ""
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
        raise CannotCall(
            f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
        )
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
    """Takes note of which pictures an object wants."""
    for name, value in things.items():
        if isinstance(value, tuple | list) and value and plain(name) in ROLES["size"]:
            value = value[-1]
        if isinstance(value, int) and not isinstance(value, bool):
            if plain(name) in ROLES["size"] and 2 <= value <= 512:
                place.size = value
            elif plain(name) in ROLES["channels"] and 1 <= value <= 4:
                place.channels = value


def put_network(place: Place, things: Mapping[str, Any]) -> None:
    """Puts the stand-in in the place of the object's own network."""
    place.network = network = Network(place.chance, place.channels, place.size)
    for name, value in things.items():
        if isinstance(value, nn.Module) and plain(name) in ROLES["model"]:
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


# --- arguments


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
            optional = ("z", "labels", "guidance", "T", "x_T", "size", "channels")
            if required or role not in optional or (kind, role) == ("sampler", "guidance"):
                given[name] = supply[role]
            continue
        known, value = known_value(name, kind, supply, place, required)
        if known:
            given[name] = value
        elif required:
            unknown.append(name)
    left = [role for role in OF_PIECE.get(kind, ()) if role in supply and role not in used]
    left = [role for role in left if role not in ("t_int", "z", "labels", "guidance", "out")]
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
        return True, place.holder
    if word in HOLDERS and place.arrays:
        return True, SimpleNamespace(**{n: v.float() for n, v in place.arrays.items()})
    if word in ("generator", "rng", "key", "gen"):
        return True, new_generator() if supply.get("numpy") else torch.Generator()
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


# --- pieces


def pieces_of(places: Sequence[Place], project: Project, mapped: Mapping[str, str]) -> list[Piece]:
    """The known pieces in all places, in the order of `PIECES`."""
    found: list[Piece] = []
    for place in places:
        for name, function in functions_of(place, project):
            kind = piece_of(place.called(name), mapped) or piece_of(name.split(".")[-1], mapped)
            if kind is not None:
                found.append(Piece(kind, place.called(name), function, place, line_of(function)))
        if loss := forward_as_loss(place, [p.kind for p in found if p.place is place]):
            found.append(loss)
    order = list(PIECES)
    return sorted(found, key=lambda piece: order.index(piece.kind))


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
