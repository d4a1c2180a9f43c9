"""The names that `from ddpm_tutor import ...` gives: the science, the digits and the weights.

Every function's docstring has an example. They share these names, of two digits:

    schedule    the paper's, T = 1000
    images      (2, 1, 32, 32) uint8; label: (2,), their classes
    x_0         the images in [-1, 1]; t: (2,), two steps; eps: noise; x_t: q_sample of these
    tau         (2,), shares of noise
    model       a small UNet that takes labels; lean: a LeanUNet that takes none
    few         SamplingOptions(steps=2); config: a TrainingConfig of one step
    generator   of random numbers
    reader      load_classifier().model; real: load_real_digits(); twenty: 20 UnseenDigits

Arguments come in one order: model, schedule, pictures, t, what is predicted or drawn. `label` is
that of a batch, beside x_t; `labels` are those of a set of images.
"""

from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.classifier import (
    Classifier,
    Reading,
    TrainedClassifier,
    load_classifier,
    read_digits,
    read_features,
)
from ddpm_tutor.evaluation.scorecard import (
    Card,
    RealDigits,
    Scores,
    load_real_digits,
    real_card,
    score,
)
from ddpm_tutor.evaluation.scores import Difference, Share, difference, share
from ddpm_tutor.pictures.grids import grid
from ddpm_tutor.pictures.saving import save_gif, save_png
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
from ddpm_tutor.science.classifier_guidance import classifier_gradient, classifier_guided_eps
from ddpm_tutor.science.devices import choose_device
from ddpm_tutor.science.diffusion import (
    beta_tilde,
    ddim_step,
    loss_simple,
    p_mean,
    p_step,
    predict_eps,
    predict_x_0,
    q_jump,
    q_posterior,
    q_sample,
    q_step,
)
from ddpm_tutor.science.editing import (
    change_label,
    inpaint,
    interpolate,
    interpolate_at,
    keep_known,
    noise_and_back,
)
from ddpm_tutor.science.exact import (
    ExactNoisePredictor,
    exact_eps,
    exact_posterior_mean,
    log_density,
    posterior_weights,
)
from ddpm_tutor.science.fast_sampling import for_sampling
from ddpm_tutor.science.flow import (
    flow_loss,
    flow_sampling,
    flow_step,
    flow_target,
    flow_velocity,
    flow_x_0,
    straight_path,
)
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import NoisePredictor, time_encoding
from ddpm_tutor.science.ode import euler_step, heun_step, noise_to_signal, solve_ode
from ddpm_tutor.science.parameterizations import (
    Predictor,
    converted,
    eps_from_v,
    error_weight,
    train_predictor,
    v_from,
    x_0_from_v,
)
from ddpm_tutor.science.pixels import doubled, halved, pad_to_32, to_uint8, to_unit_range
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
from ddpm_tutor.science.schedule import (
    Schedule,
    cosine_schedule,
    linear_schedule,
    respaced,
    schedule_from_beta,
    up_to,
)
from ddpm_tutor.science.score import eps_from_score, langevin_step, score_from_eps
from ddpm_tutor.science.training import (
    Diverged,
    StepReport,
    TrainingConfig,
    TrainingState,
    drop_labels,
    noisy_batch,
    train,
    training_step,
)
from ddpm_tutor.science.unet import DoubleConv, Down, SelfAttention, UNet, Up
from ddpm_tutor.science.validation_loss import Estimate, losses_by_t, validation_loss
from ddpm_tutor.storage.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from ddpm_tutor.storage.digits import (
    Digits,
    UnseenDigits,
    load_digits,
    load_offline_digits,
    load_unseen_digits,
)
from ddpm_tutor.storage.film_strip import FilmStrip, load_film_strip
from ddpm_tutor.storage.predictor_logs import PredictorLog, PredictorLogs, load_predictor_logs

__all__ = [
    "Bound",
    "Card",
    "ChainState",
    "Checkpoint",
    "Classifier",
    "Difference",
    "Digits",
    "Diverged",
    "DoubleConv",
    "Down",
    "Equations",
    "Estimate",
    "ExactNoisePredictor",
    "FilmStrip",
    "LeanUNet",
    "LikelihoodUNet",
    "NoisePredictor",
    "Predictor",
    "PredictorLog",
    "PredictorLogs",
    "Reading",
    "RealDigits",
    "Received",
    "ReverseProcess",
    "SamplingOptions",
    "Schedule",
    "Scores",
    "SelfAttention",
    "Share",
    "StepReport",
    "TrainedClassifier",
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
    "change_label",
    "choose_device",
    "chunk_size",
    "classifier_gradient",
    "classifier_guided_eps",
    "coding_times",
    "converted",
    "cosine_schedule",
    "ddim_step",
    "decoder_nats",
    "default_process",
    "difference",
    "distance_of_means",
    "doubled",
    "draw",
    "drop_labels",
    "eps_from_score",
    "eps_from_v",
    "error_weight",
    "estimate_bound",
    "euler_step",
    "exact_eps",
    "exact_posterior_mean",
    "flow_loss",
    "flow_sampling",
    "flow_step",
    "flow_target",
    "flow_velocity",
    "flow_x_0",
    "for_sampling",
    "grid",
    "guided_eps",
    "halved",
    "heun_step",
    "inpaint",
    "interpolate",
    "interpolate_at",
    "keep_known",
    "kl_gaussians",
    "langevin_step",
    "last",
    "learned_variance",
    "linear_schedule",
    "load_checkpoint",
    "load_classifier",
    "load_digits",
    "load_film_strip",
    "load_offline_digits",
    "load_predictor_logs",
    "load_real_digits",
    "load_unseen_digits",
    "log_decoder",
    "log_density",
    "loss_simple",
    "loss_vlb",
    "losses_by_t",
    "losses_vlb",
    "mean_of",
    "noise_and_back",
    "noise_to_signal",
    "noisy_batch",
    "normal",
    "p_mean",
    "p_step",
    "pad_to_32",
    "per_picture",
    "posterior_weights",
    "predict_eps",
    "predict_x_0",
    "prior_nats",
    "progressive_coding",
    "q_jump",
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
    "save_gif",
    "save_png",
    "schedule_from_beta",
    "score",
    "score_from_eps",
    "share",
    "solve_ode",
    "step_nats",
    "straight_path",
    "stream",
    "term_nats",
    "time_encoding",
    "to_bits",
    "to_uint8",
    "to_unit_range",
    "train",
    "train_predictor",
    "training_step",
    "up_to",
    "v_from",
    "validation_loss",
    "variance_nats",
    "vlb_weight",
    "x_0_from_v",
]
