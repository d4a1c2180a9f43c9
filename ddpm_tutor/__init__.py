"""ddpm-tutor: Denoising Diffusion Probabilistic Models (Ho et al. 2020), step by step.

The science is usable as a library: `from ddpm_tutor import linear_schedule, q_sample, UNet`.
Names are loaded when they are first used, so that `ddpm-tutor --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ddpm_tutor.errors import TutorError as TutorError
    from ddpm_tutor.science.checkpoints import load_checkpoint as load_checkpoint
    from ddpm_tutor.science.checkpoints import save_checkpoint as save_checkpoint
    from ddpm_tutor.science.classifier import load_classifier as load_classifier
    from ddpm_tutor.science.classifier import read_digits as read_digits
    from ddpm_tutor.science.data import Digits as Digits
    from ddpm_tutor.science.data import load_digits as load_digits
    from ddpm_tutor.science.data import pad_to_32 as pad_to_32
    from ddpm_tutor.science.data import to_uint8 as to_uint8
    from ddpm_tutor.science.data import to_unit_range as to_unit_range
    from ddpm_tutor.science.devices import choose_device as choose_device
    from ddpm_tutor.science.diffusion import beta_tilde as beta_tilde
    from ddpm_tutor.science.diffusion import ddim_step as ddim_step
    from ddpm_tutor.science.diffusion import loss_simple as loss_simple
    from ddpm_tutor.science.diffusion import p_mean as p_mean
    from ddpm_tutor.science.diffusion import p_step as p_step
    from ddpm_tutor.science.diffusion import predict_eps as predict_eps
    from ddpm_tutor.science.diffusion import predict_x_0 as predict_x_0
    from ddpm_tutor.science.diffusion import q_posterior as q_posterior
    from ddpm_tutor.science.diffusion import q_sample as q_sample
    from ddpm_tutor.science.diffusion import q_step as q_step
    from ddpm_tutor.science.film_strip import load_film_strip as load_film_strip
    from ddpm_tutor.science.lean_unet import LeanUNet as LeanUNet
    from ddpm_tutor.science.network import time_encoding as time_encoding
    from ddpm_tutor.science.noise import normal as normal
    from ddpm_tutor.science.noise import stream as stream
    from ddpm_tutor.science.sampling import draw as draw
    from ddpm_tutor.science.sampling import guided_eps as guided_eps
    from ddpm_tutor.science.sampling import last as last
    from ddpm_tutor.science.sampling import sample as sample
    from ddpm_tutor.science.schedule import Schedule as Schedule
    from ddpm_tutor.science.schedule import linear_schedule as linear_schedule
    from ddpm_tutor.science.schedule import respaced as respaced
    from ddpm_tutor.science.schedule import schedule_from_beta as schedule_from_beta
    from ddpm_tutor.science.training import TrainingConfig as TrainingConfig
    from ddpm_tutor.science.training import TrainingState as TrainingState
    from ddpm_tutor.science.training import drop_labels as drop_labels
    from ddpm_tutor.science.training import losses_by_t as losses_by_t
    from ddpm_tutor.science.training import train as train
    from ddpm_tutor.science.training import validation_loss as validation_loss
    from ddpm_tutor.science.unet import DoubleConv as DoubleConv
    from ddpm_tutor.science.unet import Down as Down
    from ddpm_tutor.science.unet import SelfAttention as SelfAttention
    from ddpm_tutor.science.unet import UNet as UNet
    from ddpm_tutor.science.unet import Up as Up

_WHERE = {
    "errors": ["TutorError"],
    "science.checkpoints": ["load_checkpoint", "save_checkpoint"],
    "science.classifier": ["load_classifier", "read_digits"],
    "science.data": ["Digits", "load_digits", "pad_to_32", "to_uint8", "to_unit_range"],
    "science.devices": ["choose_device"],
    "science.diffusion": [
        "beta_tilde", "ddim_step", "loss_simple", "p_mean", "p_step", "predict_eps", "predict_x_0",
        "q_posterior", "q_sample", "q_step",
    ],
    "science.film_strip": ["load_film_strip"],
    "science.lean_unet": ["LeanUNet"],
    "science.network": ["time_encoding"],
    "science.noise": ["normal", "stream"],
    "science.sampling": ["draw", "guided_eps", "last", "sample"],
    "science.schedule": ["Schedule", "linear_schedule", "respaced", "schedule_from_beta"],
    "science.training": [
        "TrainingConfig", "TrainingState", "drop_labels", "losses_by_t", "train",
        "validation_loss",
    ],
    "science.unet": ["DoubleConv", "Down", "SelfAttention", "UNet", "Up"],
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
