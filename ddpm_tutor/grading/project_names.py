"""What the pieces of a diffusion model, and their arguments, are usually called."""

import re
from collections.abc import Mapping

# names of a loss, where none has a better one: in other code they are an optimizer's steps
LAST_RESORT = ("train_step", "training_step")

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
        "simple_loss", "loss_simple", "train_step_loss", *LAST_RESORT,
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
        "denoise_at_t", "backward", "denoise_sample", "ddim_step", "denoise_ddim", "p_sample_ddim",
        "step_ddim", "ddim_reverse_step", "ddim_denoise", "ddim_p_sample", "sample_ddim_step",
    ),
    "sampler": (
        "p_sample_loop", "sample", "sample_loop", "generate", "sampling", "sample_images",
        "ddpm_sample", "sample_ddpm", "generate_samples", "ddpm_sampling", "reverse_diffusion",
        "generate_images", "p_sample_loop_final", "sample_image", "reverse_process", "draw",
        "ddim_sample", "sample_ddim", "ddim_sample_loop", "ddim_sampling", "ddim", "generate_ddim",
        "ddim_loop", "generalized_steps", "ddim_generate", "sample_loop_ddim", "ddim_sampler",
        "p_sample_loop_ddim", "pipeline", "run_sampler", "sampling_loop", "denoise_loop",
        "reverse_loop", "run_sampling", "sampler",
    ),
    "time_encoding": (
        "get_timestep_embedding", "timestep_embedding", "sinusoidal_embedding", "time_embedding",
        "pos_encoding", "positional_encoding", "get_time_embedding", "time_encoding",
        "sinusoidal_time_embedding", "sinusoidal_position_embedding", "get_timestep_embeddings",
        "sinusoidalpositionembeddings", "sinusoidalposemb", "sinusoidalembedding", "timeembedding",
        "sinusoidalpositionalembedding", "positionalencoding", "sinusoidaltimeembedding",
        "positionalembedding", "sinusoidalpositionembedding", "timestepembedder", "timeencoding",
        "sinusoidalposembedding", "time_features", "timestep_features", "sinusoidal", "t_embedding",
        "sinusoidal_encoding", "sinusoidal_pos_emb", "sinusoidal_embed", "embed_time",
        "timepositionalembedding",
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
    "t_prev": (
        "t_prev", "prev_t", "t_next", "next_t", "prev_timestep", "timestep_prev", "t_previous",
        "previous_t", "prev_time_step", "next_timestep", "time_next", "t_minus",
    ),
    "eta": ("eta", "ddim_eta", "ddim_sampling_eta", "sampling_eta"),
    "few": (
        "num_inference_steps", "ddim_steps", "sampling_timesteps", "ddim_timesteps",
        "inference_steps", "sampling_steps", "sample_steps", "num_sampling_steps", "ddim_num_steps",
    ),
    "taken": ("seq", "tau", "taus", "subsequence", "time_seq", "timestep_seq", "t_seq"),
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
    "step": ("model", "x_t", "t", "t_int", "out", "z", "labels", "guidance", "t_prev", "eta"),
    "sampler": (
        "model", "shape", "count", "size", "channels", "labels", "guidance", "few", "T", "x_T",
        "eta", "taken",
    ),
    "time_encoding": ("t", "dim"),
    "gather": ("a", "t", "x_shape", "like"),
    "guidance": ("model", "x_t", "t", "labels", "null_label", "guidance"),
}  # fmt: skip
HOLDERS = (  # arguments that stand for the whole schedule
    "schedule", "scheduler", "diffusion", "params", "coeffs", "constants", "sched", "consts",
    "coefs", "coefficients", "noise_schedule", "noise_scheduler", "d", "ddpm_params", "sch",
)  # fmt: skip


def is_ddim(name: str) -> bool:
    """Whether a function is one of DDIM, by its name."""
    return "ddim" in name.lower() or "generalized" in name.lower()


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
