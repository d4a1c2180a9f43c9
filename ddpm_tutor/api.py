"""The names that `from ddpm_tutor import ...` gives: the science, the digits and the weights."""

from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.classifier import load_classifier, read_digits, read_features
from ddpm_tutor.evaluation.scorecard import load_real_digits, real_card, score
from ddpm_tutor.evaluation.scores import difference, share
from ddpm_tutor.science.bits import (
    Bound,
    ReverseProcess,
    bounds_of,
    chunk_size,
    default_process,
    estimate_bound,
    mean_of,
)
from ddpm_tutor.science.bound import (
    bits_per_dim,
    decoder_nats,
    distance_of_means,
    kl_gaussians,
    learned_variance,
    log_decoder,
    loss_vlb,
    losses_vlb,
    per_picture,
    prior_nats,
    reverse_variance,
    step_nats,
    term_nats,
    to_bits,
    variance_nats,
    vlb_weight,
)
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
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import time_encoding
from ddpm_tutor.science.pixels import pad_to_32, to_uint8, to_unit_range
from ddpm_tutor.science.progressive import Received, coding_times, progressive_coding
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
from ddpm_tutor.storage.digits import (
    Digits,
    UnseenDigits,
    load_digits,
    load_offline_digits,
    load_unseen_digits,
)
from ddpm_tutor.storage.film_strip import load_film_strip

__all__ = [
    "Bound",
    "ChainState",
    "Digits",
    "DoubleConv",
    "Down",
    "Equations",
    "LeanUNet",
    "LikelihoodUNet",
    "Received",
    "ReverseProcess",
    "SamplingOptions",
    "Schedule",
    "SelfAttention",
    "TrainingConfig",
    "TrainingState",
    "TutorError",
    "UNet",
    "UnseenDigits",
    "Up",
    "ancestral_sampling",
    "beta_tilde",
    "bits_per_dim",
    "bounds_of",
    "choose_device",
    "chunk_size",
    "coding_times",
    "ddim_step",
    "decoder_nats",
    "default_process",
    "difference",
    "distance_of_means",
    "draw",
    "drop_labels",
    "estimate_bound",
    "for_sampling",
    "guided_eps",
    "kl_gaussians",
    "last",
    "learned_variance",
    "linear_schedule",
    "load_checkpoint",
    "load_classifier",
    "load_digits",
    "load_film_strip",
    "load_offline_digits",
    "load_real_digits",
    "load_unseen_digits",
    "log_decoder",
    "loss_simple",
    "loss_vlb",
    "losses_by_t",
    "losses_vlb",
    "mean_of",
    "noisy_batch",
    "normal",
    "p_mean",
    "p_step",
    "pad_to_32",
    "per_picture",
    "predict_eps",
    "predict_x_0",
    "prior_nats",
    "progressive_coding",
    "q_posterior",
    "q_sample",
    "q_step",
    "read_digits",
    "read_features",
    "real_card",
    "respaced",
    "reverse_variance",
    "sample",
    "save_checkpoint",
    "schedule_from_beta",
    "score",
    "share",
    "step_nats",
    "stream",
    "term_nats",
    "time_encoding",
    "to_bits",
    "to_uint8",
    "to_unit_range",
    "train",
    "training_step",
    "validation_loss",
    "variance_nats",
    "vlb_weight",
]
