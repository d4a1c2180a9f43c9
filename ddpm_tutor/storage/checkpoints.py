"""Weights on disk: safetensors, with the network's configuration in the same file.

Loading needs no other file and runs no code from it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ddpm_tutor.errors import TutorError, UsageError, first_line
from ddpm_tutor.files import bundled, replacing
from ddpm_tutor.science.checks import as_path, check_device, check_kind
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.schedule import Schedule, linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.run_folders import WEIGHTS

NETWORKS: dict[str, type[NoisePredictor]] = {
    "unet": UNet,
    "lean": LeanUNet,
    "likelihood": LikelihoodUNet,
}
NUM_CLASSES = 10  # of the digits
FORMAT = "ddpm-tutor weights 1"
# a stranger's file may say anything: what is beyond these is not believed
MAX_STEPS = 100_000  # T of a schedule
MAX_WIDTH = 512
MAX_HEADER_BYTES = 10_000_000  # bytes of a safetensors file that say what is in it
MAX_REASON_LENGTH = 100  # characters quoted from an error, which may quote the file
TORCH_SAVE = (b"PK", b"\x80\x02")  # how its files begin: a zip, and before 1.6 a pickle


@dataclass
class Checkpoint:
    """A trained network and what is known about it."""

    model: NoisePredictor
    schedule: Schedule
    training: dict[str, Any] = field(default_factory=dict)  # images seen, losses, settings

    @property
    def conditional(self) -> bool:
        """Whether it draws a digit on request."""
        return self.model.num_classes is not None

    @property
    def log(self) -> list[dict[str, Any]]:
        """One entry an epoch of the training, from the first weights on.

        Where a run went on from the weights of another, its epochs and images count on from there.
        Empty where the file of the weights has none, or nonsense.
        """
        try:
            earlier = list(self.training.get("earlier", {}).get("log", []))
            epochs, images = (earlier[-1][k] if earlier else 0 for k in ("epoch", "images_seen"))
            return earlier + [
                {**e, "epoch": e["epoch"] + epochs, "images_seen": e["images_seen"] + images}
                for e in self.training.get("log", [])
            ]
        except (AttributeError, KeyError, TypeError):
            return []


def build_network(name: str, width: int, num_classes: int | None) -> NoisePredictor:
    """A fresh network: "unet" is the assignment's, "lean" ships, "likelihood" is for bits.

    Raises:
        UsageError: there is no network of that name, or it cannot have that width.
    """
    if name not in NETWORKS:
        raise UsageError(f"No network is called {name!r}. Choose from: {', '.join(NETWORKS)}.")
    try:
        return NETWORKS[name](width, num_classes)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def network_name(model: NoisePredictor) -> str:
    """The name under which `build_network` makes this kind of network.

    Raises:
        TypeError: it is of no such kind.
    """
    for name, kind in NETWORKS.items():
        if type(model) is kind:
            return name
    kinds = " or ".join(kind.__name__ for kind in NETWORKS.values())
    raise TypeError(f"model must be a {kinds}, not a {type(model).__name__}")


def shipped_weights() -> Path:
    """The weights that come with the package."""
    return bundled("assets") / WEIGHTS


def save_checkpoint(
    path: Path | str,
    model: NoisePredictor,
    training: dict[str, Any],
    *,
    linear_beta: tuple[int, float, float] = (1000, 1e-4, 0.02),
    half: bool = False,
) -> None:
    """Writes the weights of `model` and its configuration to `path`, whole or not at all.

    Args:
        path: the file to write.
        model: a `UNet`, `LeanUNet` or `LikelihoodUNet`.
        training: how they were trained, which travels with them; anything JSON can hold.
        linear_beta: T, beta_1 and beta_T of the linear schedule it was trained on.
        half: store float16, half the size.

    Raises:
        TypeError: the model is no network, or `path` no path. ValueError: the schedule is
            another.

    Example:
        >>> save_checkpoint("mine.safetensors", model, {"epochs": 1})
        >>> load_checkpoint("mine.safetensors").training
        {'epochs': 1}
    """
    from safetensors.torch import save

    path, network = as_path(path), network_name(model)
    check_kind(training, dict, "training", "a dictionary that JSON can hold")
    if not isinstance(linear_beta, list | tuple) or len(linear_beta) != 3:
        raise ValueError(f"linear_beta must be T, beta_1 and beta_T, not {linear_beta!r}")
    model.check_schedule(linear_schedule(*linear_beta))
    try:
        known = json.dumps(training)
    except (TypeError, ValueError) as error:
        raise TypeError(f"training must be what JSON can hold: {first_line(error)}") from error
    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    config = {
        "network": network,
        "width": model.width,
        "num_classes": model.num_classes,
        "linear_beta": linear_beta,
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(config),
        "training": known,
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def weights_file(path: Path | str | None = None) -> Path:
    """The file of the weights at `path`, a file or the folder of a run; None: those that ship.

    Raises:
        TutorError: there are none.
    """
    if path is None:
        return shipped_weights()
    path = as_path(path)
    file = path / WEIGHTS if path.is_dir() else path
    if file.is_file():
        return file
    what = f": the folder holds no {WEIGHTS}" if path.is_dir() else ""
    if file.exists():
        what = ": it is not a file"
    raise TutorError(f"No weights at {path}{what}. Train some with: ddpm-tutor train")


def load_checkpoint(
    path: Path | str | None = None, device: torch.device | str = "cpu"
) -> Checkpoint:
    """The network saved in `path`, or the one that ships, ready to draw, in float32.

    Args:
        path: a file of weights, or the folder of a run that holds one.
        device: where the network shall compute.

    Raises:
        TutorError: there is no such file, or it is not a checkpoint of this project.
        TypeError: `path` is no path. ValueError: the device is unknown.

    Example:
        >>> trained = load_checkpoint()
        >>> type(trained.model).__name__, trained.schedule.T
        ('LeanUNet', 1000)
    """
    path = weights_file(path)
    device = check_device(device)
    import safetensors  # noqa: F401 - an import that fails says nothing of the file

    try:
        loaded = _read(path)
    except Exception as error:  # whatever a stranger's file holds, the answer is the same
        if isinstance(error, PermissionError):
            raise
        with path.open("rb") as file:
            is_torch = file.read(2) in TORCH_SAVE
        reason = "written by torch.save" if is_torch else first_line(error)[:MAX_REASON_LENGTH]
        raise TutorError(
            f"{path} is not a checkpoint of ddpm-tutor ({reason}).\n"
            f"Name a {WEIGHTS} written by: ddpm-tutor train"
        ) from error
    # channels_last: the convolutions of both networks run faster so
    model = loaded.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Checkpoint(model.eval().requires_grad_(False), loaded.schedule, loaded.training)


def _read(path: Path) -> Checkpoint:
    """What a safetensors file holds. Nothing large is made before all that it says is checked.

    Raises:
        Exception: of one kind or another, where it is not a checkpoint.
    """
    from safetensors import safe_open

    with open(path, "rb") as opened:
        header = int.from_bytes(opened.read(8), "little")
    if header > MAX_HEADER_BYTES:
        raise ValueError("no file of safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError("it has no format line of ddpm-tutor")
        config, training = json.loads(metadata["config"]), json.loads(metadata["training"])
        if not isinstance(training, dict):
            raise ValueError("its training record is not an object of JSON")
        model = _announced(config)
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        if found != {name: list(tensor.shape) for name, tensor in model.state_dict().items()}:
            raise ValueError("its tensors are not those of the network that it names")
        # copies: the file is mapped into memory, and may change later
        tensors = {name: file.get_tensor(name).to(torch.float32, copy=True) for name in found}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("some of its weights are not finite")
    T, beta_1, beta_T = config["linear_beta"]
    if not 1 <= T <= MAX_STEPS:
        raise ValueError(f"T is {T}")
    schedule = linear_schedule(T, beta_1, beta_T)
    if isinstance(model, LeanUNet) and not torch.equal(
        schedule.alpha_bar, linear_schedule().alpha_bar
    ):
        raise ValueError("the lean network works only with the paper's schedule")
    model.load_state_dict(tensors, assign=True)
    return Checkpoint(model, schedule, training)


def _announced(config: dict[str, Any]) -> NoisePredictor:
    """The network that a file says it holds: its shapes, without the memory for its weights.

    Buffers that no file holds, such as `LeanUNet.coef_v`, are whole: schedules are made on the CPU.
    """
    name, width, classes = config["network"], config["width"], config["num_classes"]
    if type(width) is not int or width > MAX_WIDTH:
        raise ValueError(f"width is {width!r}")
    if classes is not None and (type(classes) is not int or classes != NUM_CLASSES):
        raise ValueError(f"num_classes is {classes!r}")
    with torch.device("meta"), WithoutDraws():
        return build_network(name, width, classes)


class WithoutDraws(TorchFunctionMode):
    """Networks made inside draw no first weights; others are about to take their place.

    On the "meta" device a draw would also load torch's compiler, which takes as long as torch.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # some of torch.nn.init's functions are seen here themselves, of others the draw they make
        module, name = (getattr(func, attribute, "") for attribute in ("__module__", "__name__"))
        if module == "torch.nn.init" or name in ("uniform_", "normal_"):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
