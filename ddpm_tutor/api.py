"""The names that `from ddpm_tutor import ...` gives: the science, the digits and the weights."""

from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.classifier import load_classifier, read_digits, read_features
from ddpm_tutor.evaluation.scorecard import load_real_digits, real_card, score
from ddpm_tutor.evaluation.scores import difference, share
from ddpm_tutor.science.devices import choose_device
from ddpm_tutor.science.diffusion import (
    beta_tilde,
    ddim_step,
    loss_simple,
    p_mean,
    p_step,
    predict_eps,
    predict_x_0,
    q_posterior,
    q_sample,
    q_step,
)
from ddpm_tutor.science.fast_sampling import for_sampling
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import time_encoding
from ddpm_tutor.science.pixels import pad_to_32, to_uint8, to_unit_range
from ddpm_tutor.science.sampling import (
    ChainState,
    Equations,
    SamplingOptions,
    ancestral_sampling,
    draw,
    guided_eps,
    last,
    sample,
)
from ddpm_tutor.science.schedule import Schedule, linear_schedule, respaced, schedule_from_beta
from ddpm_tutor.science.training import (
    TrainingConfig,
    TrainingState,
    drop_labels,
    noisy_batch,
    train,
    training_step,
)
from ddpm_tutor.science.unet import DoubleConv, Down, SelfAttention, UNet, Up
from ddpm_tutor.science.validation_loss import losses_by_t, validation_loss
from ddpm_tutor.storage.checkpoints import load_checkpoint, save_checkpoint
from ddpm_tutor.storage.digits import Digits, load_digits, load_offline_digits
from ddpm_tutor.storage.film_strip import load_film_strip

__all__ = [
    "ChainState",
    "Digits",
    "DoubleConv",
    "Down",
    "Equations",
    "LeanUNet",
    "SamplingOptions",
    "Schedule",
    "SelfAttention",
    "TrainingConfig",
    "TrainingState",
    "TutorError",
    "UNet",
    "Up",
    "ancestral_sampling",
    "beta_tilde",
    "choose_device",
    "ddim_step",
    "difference",
    "draw",
    "drop_labels",
    "for_sampling",
    "guided_eps",
    "last",
    "linear_schedule",
    "load_checkpoint",
    "load_classifier",
    "load_digits",
    "load_film_strip",
    "load_offline_digits",
    "load_real_digits",
    "loss_simple",
    "losses_by_t",
    "noisy_batch",
    "normal",
    "p_mean",
    "p_step",
    "pad_to_32",
    "predict_eps",
    "predict_x_0",
    "q_posterior",
    "q_sample",
    "q_step",
    "read_digits",
    "read_features",
    "real_card",
    "respaced",
    "sample",
    "save_checkpoint",
    "schedule_from_beta",
    "score",
    "share",
    "stream",
    "time_encoding",
    "to_uint8",
    "to_unit_range",
    "train",
    "training_step",
    "validation_loss",
]
