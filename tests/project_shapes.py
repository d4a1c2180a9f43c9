"""Diffusion models as people write them: fifteen shapes of public code, written anew by their
conventions, and mistakes to be planted in them.
"""
# ruff: noqa: E501

SHAPES = {}

# a class with buffers and `extract`, t from 0, the mean by way of x_0 (clipped), objectives
SHAPES["buffers"] = """
import math
from collections import namedtuple
from functools import partial
import torch
import torch.nn.functional as F
from torch import nn
from einops import reduce
from tqdm.auto import tqdm
from ema_pytorch_that_is_absent import EMA

ModelPrediction = namedtuple("ModelPrediction", ["pred_noise", "pred_x_start"])

def default(val, d):
    return val if val is not None else (d() if callable(d) else d)

def extract(a, t, x_shape):
    b, *_ = t.shape
    return a.gather(-1, t).reshape(b, *((1,) * (len(x_shape) - 1)))

def linear_beta_schedule(timesteps):
    scale = 1000 / timesteps
    return torch.linspace(scale * 0.0001, scale * 0.02, timesteps, dtype=torch.float64)

def cosine_beta_schedule(timesteps, s=0.008):
    x = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64)
    bar = torch.cos(((x / timesteps) + s) / (1 + s) * math.pi * 0.5) ** 2
    bar = bar / bar[0]
    return torch.clip(1 - (bar[1:] / bar[:-1]), 0, 0.999)

class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim, theta=10000):
        super().__init__()
        self.dim = dim
        self.theta = theta

    def forward(self, x):
        half = self.dim // 2
        emb = math.log(self.theta) / (half - 1)
        emb = torch.exp(torch.arange(half, device=x.device) * -emb)
        emb = x[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)

class GaussianDiffusion(nn.Module):
    def __init__(self, model, *, image_size, timesteps=60, objective="pred_noise",
                 beta_schedule="cosine", auto_normalize=True):
        super().__init__()
        assert not model.random_or_learned_sinusoidal_cond
        self.model = model
        self.channels = self.model.channels
        self.image_size = image_size
        self.objective = objective
        betas = linear_beta_schedule(timesteps) if beta_schedule == "linear" else cosine_beta_schedule(timesteps)
        alphas = 1.0 - betas
        alphas_cumprod = torch.cumprod(alphas, dim=0)
        alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
        self.num_timesteps = int(betas.shape[0])
        register_buffer = lambda name, val: self.register_buffer(name, val.to(torch.float32))
        register_buffer("betas", betas)
        register_buffer("alphas_cumprod", alphas_cumprod)
        register_buffer("alphas_cumprod_prev", alphas_cumprod_prev)
        register_buffer("sqrt_alphas_cumprod", torch.sqrt(alphas_cumprod))
        register_buffer("sqrt_one_minus_alphas_cumprod", torch.sqrt(1.0 - alphas_cumprod))
        register_buffer("sqrt_recip_alphas_cumprod", torch.sqrt(1.0 / alphas_cumprod))
        register_buffer("sqrt_recipm1_alphas_cumprod", torch.sqrt(1.0 / alphas_cumprod - 1))
        posterior_variance = betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)
        register_buffer("posterior_variance", posterior_variance)
        register_buffer("posterior_log_variance_clipped", torch.log(posterior_variance.clamp(min=1e-20)))
        register_buffer("posterior_mean_coef1", betas * torch.sqrt(alphas_cumprod_prev) / (1.0 - alphas_cumprod))
        register_buffer("posterior_mean_coef2", (1.0 - alphas_cumprod_prev) * torch.sqrt(alphas) / (1.0 - alphas_cumprod))
        self.normalize = (lambda img: img * 2 - 1) if auto_normalize else (lambda img: img)
        self.unnormalize = (lambda img: (img + 1) * 0.5) if auto_normalize else (lambda img: img)

    @property
    def device(self):
        return self.betas.device

    def predict_start_from_noise(self, x_t, t, noise):
        return (extract(self.sqrt_recip_alphas_cumprod, t, x_t.shape) * x_t
                - extract(self.sqrt_recipm1_alphas_cumprod, t, x_t.shape) * noise)

    def q_posterior(self, x_start, x_t, t):
        mean = (extract(self.posterior_mean_coef1, t, x_t.shape) * x_start
                + extract(self.posterior_mean_coef2, t, x_t.shape) * x_t)
        variance = extract(self.posterior_variance, t, x_t.shape)
        return mean, variance, extract(self.posterior_log_variance_clipped, t, x_t.shape)

    def model_predictions(self, x, t, x_self_cond=None):
        out = self.model(x, t, x_self_cond)
        if self.objective == "pred_noise":
            return ModelPrediction(out, self.predict_start_from_noise(x, t, out).clamp(-1, 1))
        return ModelPrediction(None, out.clamp(-1, 1))

    @torch.inference_mode()
    def p_sample(self, x, t: int, x_self_cond=None):
        b, *_, device = *x.shape, self.device
        batched_times = torch.full((b,), t, device=device, dtype=torch.long)
        x_start = self.model_predictions(x, batched_times, x_self_cond).pred_x_start
        mean, _, log_variance = self.q_posterior(x_start=x_start, x_t=x, t=batched_times)
        noise = torch.randn_like(x) if t > 0 else 0.0
        return mean + (0.5 * log_variance).exp() * noise, x_start

    @torch.inference_mode()
    def p_sample_loop(self, shape, return_all_timesteps=False):
        img = torch.randn(shape, device=self.device)
        for t in tqdm(reversed(range(0, self.num_timesteps)), total=self.num_timesteps):
            img, x_start = self.p_sample(img, t, None)
        return self.unnormalize(img)

    @torch.inference_mode()
    def sample(self, batch_size=16, return_all_timesteps=False):
        return self.p_sample_loop((batch_size, self.channels, self.image_size, self.image_size))

    def q_sample(self, x_start, t, noise=None):
        noise = default(noise, lambda: torch.randn_like(x_start))
        return (extract(self.sqrt_alphas_cumprod, t, x_start.shape) * x_start
                + extract(self.sqrt_one_minus_alphas_cumprod, t, x_start.shape) * noise)

    def p_losses(self, x_start, t, noise=None):
        noise = default(noise, lambda: torch.randn_like(x_start))
        x = self.q_sample(x_start=x_start, t=t, noise=noise)
        out = self.model(x, t, None)
        target = noise if self.objective == "pred_noise" else x_start
        loss = F.mse_loss(out, target, reduction="none")
        return reduce(loss, "b ... -> b", "mean").mean()

    def forward(self, img, *args, **kwargs):
        b = img.shape[0]
        t = torch.randint(0, self.num_timesteps, (b,), device=img.device).long()
        return self.p_losses(self.normalize(img), t, *args, **kwargs)
"""

# functions of a module with globals, and a training at the end that has no guard
SHAPES["globals"] = """
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from datasets_that_are_absent import load_dataset

def linear_beta_schedule(timesteps):
    return torch.linspace(0.0001, 0.02, timesteps)

timesteps = 60
betas = linear_beta_schedule(timesteps=timesteps)
alphas = 1. - betas
alphas_cumprod = torch.cumprod(alphas, axis=0)
alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
sqrt_recip_alphas = torch.sqrt(1.0 / alphas)
sqrt_alphas_cumprod = torch.sqrt(alphas_cumprod)
sqrt_one_minus_alphas_cumprod = torch.sqrt(1. - alphas_cumprod)
posterior_variance = betas * (1. - alphas_cumprod_prev) / (1. - alphas_cumprod)

def extract(a, t, x_shape):
    out = a.gather(-1, t.cpu())
    return out.reshape(t.shape[0], *((1,) * (len(x_shape) - 1))).to(t.device)

def q_sample(x_start, t, noise=None):
    if noise is None:
        noise = torch.randn_like(x_start)
    kept = extract(sqrt_alphas_cumprod, t, x_start.shape)
    added = extract(sqrt_one_minus_alphas_cumprod, t, x_start.shape)
    return kept * x_start + added * noise

def p_losses(denoise_model, x_start, t, noise=None, loss_type="l1"):
    if noise is None:
        noise = torch.randn_like(x_start)
    x_noisy = q_sample(x_start=x_start, t=t, noise=noise)
    predicted = denoise_model(x_noisy, t)
    if loss_type == "l1":
        return F.l1_loss(noise, predicted)
    elif loss_type == "l2":
        return F.mse_loss(noise, predicted)
    raise NotImplementedError()

@torch.no_grad()
def p_sample(model, x, t, t_index):
    betas_t = extract(betas, t, x.shape)
    root = extract(sqrt_one_minus_alphas_cumprod, t, x.shape)
    recip = extract(sqrt_recip_alphas, t, x.shape)
    mean = recip * (x - betas_t * model(x, t) / root)
    if t_index == 0:
        return mean
    noise = torch.randn_like(x)
    return mean + torch.sqrt(extract(posterior_variance, t, x.shape)) * noise

@torch.no_grad()
def p_sample_loop(model, shape):
    device = next(model.parameters()).device
    b = shape[0]
    img = torch.randn(shape, device=device)
    imgs = []
    for i in tqdm(reversed(range(0, timesteps)), desc="sampling", total=timesteps):
        img = p_sample(model, img, torch.full((b,), i, device=device, dtype=torch.long), i)
        imgs.append(img.cpu().numpy())
    return imgs

@torch.no_grad()
def sample(model, image_size, batch_size=16, channels=3):
    return p_sample_loop(model, shape=(batch_size, channels, image_size, image_size))

dataset = load_dataset("fashion_mnist")
device = "cuda" if torch.cuda.is_available() else "cpu"
model = Unet(dim=28, channels=1).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(5):
    for step, batch in enumerate(dataloader):
        loss = p_losses(model, batch, t)
        loss.backward()
        optimizer.step()
"""

# the authors' own: a class with NumPy's arrays, strings for what the network predicts
SHAPES["numpy_arrays"] = """
import numpy as np
import torch

def get_beta_schedule(beta_schedule, *, beta_start, beta_end, num_diffusion_timesteps):
    if beta_schedule == "linear":
        return np.linspace(beta_start, beta_end, num_diffusion_timesteps, dtype=np.float64)
    raise NotImplementedError(beta_schedule)

class GaussianDiffusion2:
    def __init__(self, *, betas, model_mean_type, model_var_type, loss_type):
        self.model_mean_type = model_mean_type
        self.model_var_type = model_var_type
        self.loss_type = loss_type
        assert isinstance(betas, np.ndarray)
        self.betas = betas = betas.astype(np.float64)
        assert (betas > 0).all() and (betas <= 1).all()
        self.num_timesteps, = betas.shape
        alphas = 1. - betas
        self.alphas_cumprod = np.cumprod(alphas, axis=0)
        self.alphas_cumprod_prev = np.append(1., self.alphas_cumprod[:-1])
        self.sqrt_alphas_cumprod = np.sqrt(self.alphas_cumprod)
        self.sqrt_one_minus_alphas_cumprod = np.sqrt(1. - self.alphas_cumprod)
        self.sqrt_recip_alphas_cumprod = np.sqrt(1. / self.alphas_cumprod)
        self.sqrt_recipm1_alphas_cumprod = np.sqrt(1. / self.alphas_cumprod - 1)
        self.posterior_variance = betas * (1. - self.alphas_cumprod_prev) / (1. - self.alphas_cumprod)
        self.posterior_log_variance_clipped = np.log(np.append(self.posterior_variance[1], self.posterior_variance[1:]))
        self.posterior_mean_coef1 = betas * np.sqrt(self.alphas_cumprod_prev) / (1. - self.alphas_cumprod)
        self.posterior_mean_coef2 = (1. - self.alphas_cumprod_prev) * np.sqrt(alphas) / (1. - self.alphas_cumprod)

    @staticmethod
    def _extract(a, t, x_shape):
        out = torch.from_numpy(a).to(t.device)[t].float()
        return out.reshape([t.shape[0]] + (len(x_shape) - 1) * [1])

    def q_sample(self, x_start, t, noise=None):
        if noise is None:
            noise = torch.randn_like(x_start)
        return (self._extract(self.sqrt_alphas_cumprod, t, x_start.shape) * x_start
                + self._extract(self.sqrt_one_minus_alphas_cumprod, t, x_start.shape) * noise)

    def q_posterior_mean_variance(self, x_start, x_t, t):
        mean = (self._extract(self.posterior_mean_coef1, t, x_t.shape) * x_start
                + self._extract(self.posterior_mean_coef2, t, x_t.shape) * x_t)
        return (mean, self._extract(self.posterior_variance, t, x_t.shape),
                self._extract(self.posterior_log_variance_clipped, t, x_t.shape))

    def _predict_xstart_from_eps(self, x_t, t, eps):
        return (self._extract(self.sqrt_recip_alphas_cumprod, t, x_t.shape) * x_t
                - self._extract(self.sqrt_recipm1_alphas_cumprod, t, x_t.shape) * eps)

    def p_mean_variance(self, denoise_fn, *, x, t, clip_denoised):
        out = denoise_fn(x, t)
        variance, log_variance = {
            "fixedlarge": (self.betas, np.log(np.append(self.posterior_variance[1], self.betas[1:]))),
            "fixedsmall": (self.posterior_variance, self.posterior_log_variance_clipped),
        }[self.model_var_type]
        log_variance = self._extract(log_variance, t, x.shape) * torch.ones_like(x)
        assert self.model_mean_type == "eps"
        x_start = self._predict_xstart_from_eps(x, t, out)
        if clip_denoised:
            x_start = x_start.clamp(-1., 1.)
        mean, _, _ = self.q_posterior_mean_variance(x_start=x_start, x_t=x, t=t)
        return mean, log_variance

    def p_sample(self, denoise_fn, *, x, t, noise_fn=torch.randn_like, clip_denoised=True):
        mean, log_variance = self.p_mean_variance(denoise_fn, x=x, t=t, clip_denoised=clip_denoised)
        noise = noise_fn(x)
        mask = (t != 0).float().reshape([x.shape[0]] + [1] * (x.dim() - 1))
        return mean + mask * torch.exp(0.5 * log_variance) * noise

    def p_sample_loop(self, denoise_fn, *, shape, noise_fn=torch.randn):
        img = noise_fn(shape)
        for i in reversed(range(self.num_timesteps)):
            t = torch.full((shape[0],), i, dtype=torch.long)
            img = self.p_sample(denoise_fn, x=img, t=t)
        return img

    def training_losses(self, denoise_fn, x_start, t, noise=None):
        if noise is None:
            noise = torch.randn_like(x_start)
        x_t = self.q_sample(x_start=x_start, t=t, noise=noise)
        out = denoise_fn(x_t, t)
        return (noise - out).square().mean(dim=list(range(1, x_start.dim())))

betas = get_beta_schedule("linear", beta_start=1e-4, beta_end=0.02, num_diffusion_timesteps=60)
"""

# an annotated implementation: gather, q_xt_x0, sigma2 = beta, a loss that draws t
SHAPES["annotated"] = """
from typing import Optional, Tuple
import torch
import torch.nn.functional as F
from torch import nn
from labml_utils_that_are_absent import gather_of_another
from .sibling_that_is_absent import Something

def gather(consts: torch.Tensor, t: torch.Tensor):
    return consts.gather(-1, t).reshape(-1, 1, 1, 1)

class DenoiseDiffusion:
    def __init__(self, eps_model: nn.Module, n_steps: int, device: torch.device):
        super().__init__()
        self.eps_model = eps_model
        self.beta = torch.linspace(0.0001, 0.02, n_steps).to(device)
        self.alpha = 1. - self.beta
        self.alpha_bar = torch.cumprod(self.alpha, dim=0)
        self.n_steps = n_steps
        self.sigma2 = self.beta

    def q_xt_x0(self, x0: torch.Tensor, t: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        mean = gather(self.alpha_bar, t) ** 0.5 * x0
        var = 1 - gather(self.alpha_bar, t)
        return mean, var

    def q_sample(self, x0: torch.Tensor, t: torch.Tensor, eps: Optional[torch.Tensor] = None):
        if eps is None:
            eps = torch.randn_like(x0)
        mean, var = self.q_xt_x0(x0, t)
        return mean + (var ** 0.5) * eps

    def p_sample(self, xt: torch.Tensor, t: torch.Tensor):
        eps_theta = self.eps_model(xt, t)
        alpha_bar = gather(self.alpha_bar, t)
        alpha = gather(self.alpha, t)
        eps_coef = (1 - alpha) / (1 - alpha_bar) ** .5
        mean = 1 / (alpha ** 0.5) * (xt - eps_coef * eps_theta)
        var = gather(self.sigma2, t)
        eps = torch.randn(xt.shape, device=xt.device)
        return mean + (t > 0).view(-1, 1, 1, 1) * (var ** .5) * eps

    def loss(self, x0: torch.Tensor, noise: Optional[torch.Tensor] = None):
        t = torch.randint(0, self.n_steps, (x0.shape[0],), device=x0.device, dtype=torch.long)
        if noise is None:
            noise = torch.randn_like(x0)
        xt = self.q_sample(x0, t, eps=noise)
        return F.mse_loss(noise, self.eps_model(xt, t))
"""

# a scheduler: add_noise and step, with a config and an object that step returns
SHAPES["scheduler"] = """
from dataclasses import dataclass
from types import SimpleNamespace
import torch
from diffusers_that_is_absent import ConfigMixin, SchedulerMixin, register_to_config

@dataclass
class SchedulerOutput:
    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor = None

class DDPMScheduler(SchedulerMixin, ConfigMixin):
    def __init__(self, num_train_timesteps=1000, beta_start=0.0001, beta_end=0.02,
                 prediction_type="epsilon", variance_type="fixed_small", clip_sample=True):
        super().__init__()
        self.config = SimpleNamespace(num_train_timesteps=num_train_timesteps,
                                      prediction_type=prediction_type,
                                      variance_type=variance_type, clip_sample=clip_sample)
        self.betas = torch.linspace(beta_start, beta_end, num_train_timesteps)
        self.alphas = 1.0 - self.betas
        self.alphas_cumprod = torch.cumprod(self.alphas, dim=0)
        self.one = torch.tensor(1.0)
        self.timesteps = torch.arange(num_train_timesteps).flip(0)

    def _get_variance(self, t):
        prev = self.alphas_cumprod[t - 1] if t > 0 else self.one
        variance = (1 - prev) / (1 - self.alphas_cumprod[t]) * self.betas[t]
        return torch.clamp(variance, min=1e-20)

    def step(self, model_output, timestep, sample, generator=None, return_dict=True):
        t = timestep
        bar = self.alphas_cumprod[t]
        prev = self.alphas_cumprod[t - 1] if t > 0 else self.one
        alpha = bar / prev
        if self.config.prediction_type == "epsilon":
            x_0 = (sample - (1 - bar) ** 0.5 * model_output) / bar ** 0.5
        elif self.config.prediction_type == "sample":
            x_0 = model_output
        else:
            x_0 = bar ** 0.5 * sample - (1 - bar) ** 0.5 * model_output
        if self.config.clip_sample:
            x_0 = x_0.clamp(-1, 1)
        c_0 = prev ** 0.5 * (1 - alpha) / (1 - bar)
        c_t = alpha ** 0.5 * (1 - prev) / (1 - bar)
        mean = c_0 * x_0 + c_t * sample
        variance = 0
        if t > 0:
            z = torch.randn(model_output.shape, generator=generator, dtype=model_output.dtype)
            variance = self._get_variance(t) ** 0.5 * z
        out = mean + variance
        return SchedulerOutput(prev_sample=out, pred_original_sample=x_0) if return_dict else (out,)

    def add_noise(self, original_samples, noise, timesteps):
        bars = self.alphas_cumprod.to(dtype=original_samples.dtype)
        kept = (bars[timesteps] ** 0.5).flatten()
        added = ((1 - bars[timesteps]) ** 0.5).flatten()
        while len(kept.shape) < len(original_samples.shape):
            kept, added = kept.unsqueeze(-1), added.unsqueeze(-1)
        return kept * original_samples + added * noise
"""

# a class with noise_images(x, t) that returns (x_t, eps); t from 1; bytes come back
SHAPES["noise_images"] = """
import logging
import torch
import torch.nn as nn
from tqdm import tqdm
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--run", required=True)
args = parser.parse_args()

class Diffusion:
    def __init__(self, noise_steps=50, beta_start=1e-4, beta_end=0.1, img_size=8, device="cuda"):
        self.noise_steps = noise_steps
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.img_size = img_size
        self.device = device
        self.beta = self.prepare_noise_schedule().to(device)
        self.alpha = 1. - self.beta
        self.alpha_hat = torch.cumprod(self.alpha, dim=0)

    def prepare_noise_schedule(self):
        return torch.linspace(self.beta_start, self.beta_end, self.noise_steps)

    def noise_images(self, x, t):
        kept = torch.sqrt(self.alpha_hat[t])[:, None, None, None]
        added = torch.sqrt(1 - self.alpha_hat[t])[:, None, None, None]
        eps = torch.randn_like(x)
        return kept * x + added * eps, eps

    def sample_timesteps(self, n):
        return torch.randint(low=1, high=self.noise_steps, size=(n,))

    def sample(self, model, n):
        logging.info(f"Sampling {n} new images....")
        model.eval()
        with torch.no_grad():
            x = torch.randn((n, 3, self.img_size, self.img_size)).to(self.device)
            for i in tqdm(reversed(range(1, self.noise_steps)), position=0):
                t = (torch.ones(n) * i).long().to(self.device)
                predicted_noise = model(x, t)
                alpha = self.alpha[t][:, None, None, None]
                alpha_hat = self.alpha_hat[t][:, None, None, None]
                beta = self.beta[t][:, None, None, None]
                if i > 1:
                    noise = torch.randn_like(x)
                else:
                    noise = torch.zeros_like(x)
                x = 1 / torch.sqrt(alpha) * (x - ((1 - alpha) / (torch.sqrt(1 - alpha_hat))) * predicted_noise) + torch.sqrt(beta) * noise
        model.train()
        x = (x.clamp(-1, 1) + 1) / 2
        return (x * 255).type(torch.uint8)

class UNet(nn.Module):
    def __init__(self, time_dim=256, device="cuda"):
        super().__init__()
        self.device = device
        self.lin = nn.Linear(time_dim, 8)

    def pos_encoding(self, t, channels):
        inv_freq = 1.0 / (10000 ** (torch.arange(0, channels, 2, device=self.device).float() / channels))
        a = torch.sin(t.repeat(1, channels // 2) * inv_freq)
        b = torch.cos(t.repeat(1, channels // 2) * inv_freq)
        return torch.cat([a, b], dim=-1)

def train(args):
    diffusion = Diffusion(img_size=args.image_size, device=args.device)
    mse = nn.MSELoss()

if __name__ == "__main__":
    train(args)
"""

# a dict of schedules, a module whose forward is the loss, t from 1 told as t / T, guidance with w
SHAPES["dict_of_schedules"] = """
import torch
import torch.nn as nn
import numpy as np

def ddpm_schedules(beta1, beta2, T):
    assert beta1 < beta2 < 1.0, "beta1 and beta2 must be in (0, 1)"
    beta_t = (beta2 - beta1) * torch.arange(0, T + 1, dtype=torch.float32) / T + beta1
    sqrt_beta_t = torch.sqrt(beta_t)
    alpha_t = 1 - beta_t
    log_alpha_t = torch.log(alpha_t)
    alphabar_t = torch.cumsum(log_alpha_t, dim=0).exp()
    sqrtab = torch.sqrt(alphabar_t)
    oneover_sqrta = 1 / torch.sqrt(alpha_t)
    sqrtmab = torch.sqrt(1 - alphabar_t)
    mab_over_sqrtmab = (1 - alpha_t) / sqrtmab
    return {
        "alpha_t": alpha_t, "oneover_sqrta": oneover_sqrta, "sqrt_beta_t": sqrt_beta_t,
        "alphabar_t": alphabar_t, "sqrtab": sqrtab, "sqrtmab": sqrtmab,
        "mab_over_sqrtmab": mab_over_sqrtmab,
    }

class DDPM(nn.Module):
    def __init__(self, nn_model, betas, n_T, device, drop_prob=0.1):
        super().__init__()
        self.nn_model = nn_model.to(device)
        for k, v in ddpm_schedules(betas[0], betas[1], n_T).items():
            self.register_buffer(k, v)
        self.n_T = n_T
        self.device = device
        self.drop_prob = drop_prob
        self.loss_mse = nn.MSELoss()

    def forward(self, x, c):
        _ts = torch.randint(1, self.n_T + 1, (x.shape[0],)).to(self.device)
        noise = torch.randn_like(x)
        x_t = self.sqrtab[_ts, None, None, None] * x + self.sqrtmab[_ts, None, None, None] * noise
        context_mask = torch.bernoulli(torch.zeros_like(c.float()) + self.drop_prob).to(self.device)
        return self.loss_mse(noise, self.nn_model(x_t, c, _ts / self.n_T, context_mask))

    def sample(self, n_sample, size, device, guide_w=0.0):
        x_i = torch.randn(n_sample, *size).to(device)
        c_i = torch.arange(0, 10).to(device)
        c_i = c_i.repeat(int(n_sample / c_i.shape[0]))
        context_mask = torch.zeros_like(c_i).to(device)
        c_i = c_i.repeat(2)
        context_mask = context_mask.repeat(2)
        context_mask[n_sample:] = 1.
        for i in range(self.n_T, 0, -1):
            t_is = torch.tensor([i / self.n_T]).to(device)
            t_is = t_is.repeat(n_sample, 1, 1, 1)
            x_i = x_i.repeat(2, 1, 1, 1)
            t_is = t_is.repeat(2, 1, 1, 1)
            z = torch.randn(n_sample, *size).to(device) if i > 1 else 0
            eps = self.nn_model(x_i, c_i, t_is, context_mask)
            eps1 = eps[:n_sample]
            eps2 = eps[n_sample:]
            eps = (1 + guide_w) * eps1 - guide_w * eps2
            x_i = x_i[:n_sample]
            x_i = self.oneover_sqrta[i] * (x_i - eps * self.mab_over_sqrtmab[i]) + self.sqrt_beta_t[i] * z
        return x_i

ddpm = DDPM(nn_model=ContextUnet(in_channels=1), betas=(1e-4, 0.02), n_T=50, device="cuda:0", drop_prob=0.1)
"""

# t from 1 to T, with an entry for t = 0 in every array; a step that is given the noise
SHAPES["padded"] = """
import torch

timesteps = 40
beta1, beta2 = 1e-4, 0.1
device = torch.device("cuda:0")
b_t = torch.cat([torch.zeros(1), torch.linspace(beta1, beta2, timesteps)]).to(device)
a_t = 1 - b_t
ab_t = torch.cumsum(a_t.log(), dim=0).exp()
ab_t[0] = 1

def perturb_input(x, t, noise):
    return ab_t.sqrt()[t, None, None, None] * x + (1 - ab_t[t, None, None, None]).sqrt() * noise

def denoise_add_noise(x, t, pred_noise, z=None):
    if z is None:
        z = torch.randn_like(x)
    noise = b_t.sqrt()[t] * z
    mean = (x - pred_noise * ((1 - a_t[t]) / (1 - ab_t[t]).sqrt())) / a_t[t].sqrt()
    return mean + noise

@torch.no_grad()
def sample_ddpm(n_sample, save_rate=20):
    samples = torch.randn(n_sample, 3, height, height).to(device)
    intermediate = []
    for i in range(timesteps, 0, -1):
        print(f"sampling timestep {i:3d}", end="\\r")
        t = torch.tensor([i / timesteps])[:, None, None, None].to(device)
        z = torch.randn_like(samples) if i > 1 else 0
        eps = nn_model(samples, t)
        samples = denoise_add_noise(samples, i, eps, z)
        if i % save_rate == 0 or i == timesteps or i < 8:
            intermediate.append(samples.detach().cpu().numpy())
    return samples, intermediate

height = 8
nn_model = ContextUnet(in_channels=3, n_feat=64).to(device)
"""

# functions that are handed a dict of coefficients, t from 1 on arrays that start at step 1
SHAPES["handed_dict"] = """
import math
import torch

def make_schedule(T=60, s=0.008):
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    betas = (1 - f[1:] / f[:-1]).clamp(max=0.999).float()
    alphas = 1 - betas
    return {"betas": betas, "alphas": alphas, "alpha_bars": alphas.cumprod(0)}

def diffuse(params, clean, noise, t):
    abar = params["alpha_bars"][t - 1].view(-1, 1, 1, 1)
    return abar.sqrt() * clean + (1 - abar).sqrt() * noise

def ddpm_step(params, net, x_t, t, z):
    beta, alpha, abar = (params[k][t - 1].view(-1, 1, 1, 1) for k in ("betas", "alphas", "alpha_bars"))
    eps = net(x_t, t)
    mean = (x_t - beta / (1 - abar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * z * (t > 1).float().view(-1, 1, 1, 1)

def training_loss(params, net, clean):
    T = len(params["betas"])
    t = torch.randint(1, T + 1, (clean.shape[0],))
    noise = torch.randn_like(clean)
    return ((net(diffuse(params, clean, noise, t), t) - noise) ** 2).mean()

def generate(params, net, shape):
    x = torch.randn(shape)
    for i in range(len(params["betas"]), 0, -1):
        t = torch.full((shape[0],), i)
        x = ddpm_step(params, net, x, t, torch.randn(shape))
    return x
"""

# NumPy alone, on points
SHAPES["numpy_only"] = """
import numpy as np

rng = np.random.default_rng(0)
T = 50
betas = np.linspace(1e-4, 0.15, T)
alphas = 1 - betas
alpha_bars = np.array([np.prod(alphas[: i + 1]) for i in range(T)])

def forward_diffusion(x0, t):
    noise = rng.standard_normal(x0.shape)
    ab = alpha_bars[t][:, None]
    return np.sqrt(ab) * x0 + np.sqrt(1 - ab) * noise, noise

def reverse_step(model, x, t):
    eps = model(x, np.full((len(x),), t))
    mean = (x - betas[t] / np.sqrt(1 - alpha_bars[t]) * eps) / np.sqrt(alphas[t])
    if t == 0:
        return mean
    return mean + np.sqrt(betas[t]) * rng.standard_normal(x.shape)

def sample(model, n_samples):
    x = rng.standard_normal((n_samples, 2))
    for t in range(T - 1, -1, -1):
        x = reverse_step(model, x, t)
    return x

if __name__ == "__main__":
    raise SystemExit("this is not to be run")
"""

# a course's own: T = 1000, a class whose forward is the network and whose methods ask itself
SHAPES["own_network"] = """
import torch
from torch import nn
import torch.nn.functional as F

class DDPM(nn.Module):
    def __init__(self, T=1000, beta_1=1e-4, beta_T=0.02):
        super().__init__()
        self.T = T
        self.register_buffer("beta", torch.linspace(beta_1, beta_T, T))
        self.register_buffer("alpha", 1 - self.beta)
        self.register_buffer("alpha_bar", self.alpha.cumprod(0))
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 1, 3, padding=1))

    def forward(self, x_t, t):
        return self.net(x_t)

    def q_sample(self, x_0, t, eps):
        alpha_bar = self.alpha_bar[t].view(-1, 1, 1, 1)
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps

    def training_loss(self, x_0):
        t = torch.randint(0, self.T, (x_0.size(0),), device=x_0.device)
        eps = torch.randn_like(x_0)
        return F.mse_loss(self(self.q_sample(x_0, t, eps), t), eps)

    @torch.no_grad()
    def p_sample(self, x_t, t):
        z = torch.randn_like(x_t) if t > 0 else torch.zeros_like(x_t)
        ts = torch.full((x_t.size(0),), t, dtype=torch.long)
        eps = self(x_t, ts)
        mean = (x_t - self.beta[t] / (1 - self.alpha_bar[t]).sqrt() * eps) / self.alpha[t].sqrt()
        return mean + self.beta[t].sqrt() * z

    @torch.no_grad()
    def sample(self, n):
        x_t = torch.randn(n, 1, 28, 28)
        for t in reversed(range(self.T)):
            x_t = self.p_sample(x_t, t)
        return x_t
"""

# with labels: classifier-free guidance in the loop, two questions in each step
SHAPES["guided"] = """
import torch
import torch.nn.functional as F

class ConditionalDiffusion:
    def __init__(self, model, num_timesteps=50, num_classes=10):
        self.model = model
        self.num_timesteps = num_timesteps
        self.null = num_classes
        self.betas = torch.linspace(1e-3, 0.12, num_timesteps)
        self.alphas = 1 - self.betas
        self.alpha_bars = torch.cumprod(self.alphas, 0)

    def add_noise(self, x, t, noise):
        bar = self.alpha_bars[t].reshape(-1, 1, 1, 1)
        return bar.sqrt() * x + (1 - bar).sqrt() * noise

    def compute_loss(self, x, y):
        t = torch.randint(0, self.num_timesteps, (len(x),))
        noise = torch.randn_like(x)
        drop = torch.rand(len(x)) < 0.1
        y = torch.where(drop, torch.full_like(y, self.null), y)
        return F.mse_loss(self.model(self.add_noise(x, t, noise), t, y), noise)

    @torch.no_grad()
    def sample(self, y, cfg_scale, shape=(1, 8, 8)):
        x = torch.randn(len(y), *shape)
        for i in reversed(range(self.num_timesteps)):
            t = torch.full((len(y),), i)
            with_label = self.model(x, t, y)
            without = self.model(x, t, torch.full_like(y, self.null))
            eps = without + cfg_scale * (with_label - without)
            beta, alpha, bar = self.betas[i], self.alphas[i], self.alpha_bars[i]
            mean = (x - beta / (1 - bar).sqrt() * eps) / alpha.sqrt()
            x = mean + beta.sqrt() * torch.randn_like(x) if i > 0 else mean
        return x
"""

# DDIM over a subsequence, with η, by a network that predicts x_0; a dict of settings, index -1 is ᾱ = 1
SHAPES["strided"] = """
import torch

config = {"timesteps": 100, "sampling": {"steps": 10, "eta": 0.5}}

class Runner:
    def __init__(self, config):
        self.config = config
        self.num_timesteps = config["timesteps"]
        self.betas = torch.linspace(1e-4, 0.15, self.num_timesteps)

    def compute_alpha(self, t):
        beta = torch.cat([torch.zeros(1), self.betas])
        return (1 - beta).cumprod(0).index_select(0, t + 1).view(-1, 1, 1, 1)

    def add_noise(self, x0, t, e):
        a = self.compute_alpha(t)
        return x0 * a.sqrt() + e * (1.0 - a).sqrt()

    def loss(self, model, x0):
        n = x0.size(0)
        t = torch.randint(0, self.num_timesteps, (n // 2 + 1,))
        t = torch.cat([t, self.num_timesteps - t - 1])[:n]
        e = torch.randn_like(x0)
        return (x0 - model(self.add_noise(x0, t, e), t.float())).square().sum(dim=(1, 2, 3)).mean()

    @torch.no_grad()
    def generalized_steps(self, x, seq, model, eta=0.0):
        seq_next = [-1] + list(seq[:-1])
        for i, j in zip(reversed(seq), reversed(seq_next)):
            t = torch.full((len(x),), i)
            at = self.compute_alpha(t)
            at_next = self.compute_alpha(torch.full((len(x),), j))
            x0_t = model(x, t.float())
            et = (x - at.sqrt() * x0_t) / (1 - at).sqrt()
            c1 = eta * ((1 - at / at_next) * (1 - at_next) / (1 - at)).sqrt()
            c2 = ((1 - at_next) - c1 ** 2).sqrt()
            x = at_next.sqrt() * x0_t + c1 * torch.randn_like(x) + c2 * et
        return x.clamp(-1, 1)

    def sample_image(self, model, n=16):
        x = torch.randn(n, 1, 8, 8)
        seq = range(0, self.num_timesteps, self.num_timesteps // self.config["sampling"]["steps"])
        return self.generalized_steps(x, seq, model, eta=self.config["sampling"]["eta"])
"""

# a variance that is learned, between log of both of the paper's; a cosine schedule; one step of DDIM
SHAPES["learned_variance"] = """
import math
import numpy as np
import torch as th

def betas_for_alpha_bar(n, alpha_bar, max_beta=0.999):
    return np.array([min(1 - alpha_bar((i + 1) / n) / alpha_bar(i / n), max_beta) for i in range(n)])

def extract(arr, t, shape):
    return th.from_numpy(arr)[t].float().view(-1, *[1] * (len(shape) - 1)).expand(shape)

class LearnedVarianceDiffusion:
    def __init__(self, steps=30):
        self.betas = betas = betas_for_alpha_bar(steps, lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2)
        alphas = 1.0 - betas
        self.alphas_cumprod = np.cumprod(alphas)
        self.alphas_cumprod_prev = prev = np.append(1.0, self.alphas_cumprod[:-1])
        variance = betas * (1.0 - prev) / (1.0 - self.alphas_cumprod)
        self.log_variance_clipped = np.log(np.append(variance[1], variance[1:]))
        self.posterior_mean_coef1 = betas * np.sqrt(prev) / (1.0 - self.alphas_cumprod)
        self.posterior_mean_coef2 = (1.0 - prev) * np.sqrt(alphas) / (1.0 - self.alphas_cumprod)

    def q_sample(self, x_start, t, noise):
        a = extract(self.alphas_cumprod, t, x_start.shape)
        return a.sqrt() * x_start + (1 - a).sqrt() * noise

    def predict_xstart_from_eps(self, x_t, t, eps):
        a = extract(self.alphas_cumprod, t, x_t.shape)
        return (1 / a).sqrt() * x_t - (1 / a - 1).sqrt() * eps

    def p_mean_variance(self, model, x, t):
        out, values = th.split(model(x, t), x.shape[1], dim=1)
        min_log = extract(self.log_variance_clipped, t, x.shape)
        max_log = extract(np.log(self.betas), t, x.shape)
        frac = (values + 1) / 2
        log_variance = frac * max_log + (1 - frac) * min_log
        x_start = self.predict_xstart_from_eps(x, t, out).clamp(-1, 1)
        mean = extract(self.posterior_mean_coef1, t, x.shape) * x_start + extract(self.posterior_mean_coef2, t, x.shape) * x
        return mean, log_variance, x_start

    def p_sample(self, model, x, t):
        mean, log_variance, _ = self.p_mean_variance(model, x, t)
        nonzero = (t != 0).float().view(-1, 1, 1, 1)
        return mean + nonzero * th.exp(0.5 * log_variance) * th.randn_like(x)

    def p_sample_loop(self, model, shape):
        img = th.randn(*shape)
        for i in list(range(len(self.betas)))[::-1]:
            img = self.p_sample(model, img, th.tensor([i] * shape[0]))
        return img

    def ddim_sample(self, model, x, t, eta=0.0):
        _, _, x_start = self.p_mean_variance(model, x, t)
        a, prev = (extract(v, t, x.shape) for v in (self.alphas_cumprod, self.alphas_cumprod_prev))
        eps = (x - a.sqrt() * x_start) / (1 - a).sqrt()
        sigma = eta * th.sqrt((1 - prev) / (1 - a)) * th.sqrt(1 - a / prev)
        return x_start * prev.sqrt() + th.sqrt(1 - prev - sigma ** 2) * eps + sigma * th.randn_like(x)

    def training_losses(self, model, x_start, t, noise):
        x_t = self.q_sample(x_start, t, noise)
        eps, values = th.split(model(x_t, t), x_start.shape[1], dim=1)
        frozen = th.cat([eps.detach(), values], dim=1)
        mean, log_variance, _ = self.p_mean_variance(lambda *_: frozen, x_t, t)
        vb = (log_variance + (x_start - mean) ** 2 / log_variance.exp()).mean()
        return ((noise - eps) ** 2).mean() + 0.001 * vb
"""

# a module of arrays of T + 1 entries, the first written over; t_prev is an argument; told t / T
SHAPES["overwritten"] = """
import torch

timesteps = 60
b_t = (0.1 - 1e-4) * torch.linspace(0, 1, timesteps + 1) + 1e-4
a_t = 1 - b_t
ab_t = torch.cumsum(a_t.log(), dim=0).exp()
ab_t[0] = 1
nn_model = torch.nn.Conv2d(3, 3, 3)

def perturb_input(x, t, noise):
    return ab_t.sqrt()[t, None, None, None] * x + (1 - ab_t[t, None, None, None]).sqrt() * noise

def denoise_add_noise(x, t, pred_noise, z=None):
    z = torch.randn_like(x) if z is None else z
    mean = (x - pred_noise * ((1 - a_t[t]) / (1 - ab_t[t]).sqrt())) / a_t[t].sqrt()
    return mean + b_t.sqrt()[t] * z

def denoise_ddim(x, t, t_prev, pred_noise):
    ab = ab_t[t]
    ab_prev = ab_t[t_prev]
    x0_pred = ab_prev.sqrt() / ab.sqrt() * (x - (1 - ab).sqrt() * pred_noise)
    dir_xt = (1 - ab_prev).sqrt() * pred_noise
    return x0_pred + dir_xt

@torch.no_grad()
def sample_ddim(n_sample, n=12):
    samples = torch.randn(n_sample, 3, 8, 8)
    step_size = timesteps // n
    for i in range(timesteps, 0, -step_size):
        t = torch.tensor([i / timesteps])[:, None, None, None]
        eps = nn_model(samples, t)
        samples = denoise_ddim(samples, i, i - step_size, eps)
    return samples
"""

# mistakes to be planted: the shape, what is replaced by what, and as what it is to be found: the
# piece and the known mistake's name, or, for those without one, words that are said
PLANTED = [
    ("globals", "0.0001, 0.02", "0.0001, 20.0", "schedule", "less than 1"),
    ("annotated", "0.0001, 0.02", "0.0001, -0.02", "schedule", "more than 0"),
    ("handed_dict", ".clamp(max=0.999)", "", "schedule", "clipped, at 0.999"),
    (
        "numpy_arrays",
        "self._extract(self.posterior_variance, t, x_t.shape),\n",
        "2 * self._extract(self.posterior_variance, t, x_t.shape),\n",
        "posterior",
        "the variance is",
    ),
    (
        "guided",
        "drop = torch.rand(len(x)) < 0.1",
        "drop = torch.rand(len(x)) > 0.1",
        "loss",
        "hides the label of",
    ),
    # noise that is not N(0, I), one for each pixel
    (
        "own_network",
        "torch.randn_like(x_t) if t > 0",
        "torch.rand_like(x_t) if t > 0",
        "step",
        "uniform_noise",
    ),
    (
        "own_network",
        "eps = torch.randn_like(x_0)",
        "eps = torch.rand_like(x_0)",
        "loss",
        "uniform_noise",
    ),
    (
        "globals",
        "noise = torch.randn_like(x_start)",
        "noise = torch.rand_like(x_start)",
        "q_sample",
        "uniform_noise",
    ),
    (
        "globals",
        "noise = torch.randn_like(x_start)",
        "noise = torch.randn(1)",
        "q_sample",
        "one number for all the pixels",
    ),
    (
        "buffers",
        "lambda: torch.randn_like(x_start))\n        return",
        "lambda: torch.randn_like(x_start[:1]))\n        return",
        "q_sample",
        "one for all the pictures",
    ),
    # steps left out, η, and a variance that is learned
    (
        "strided",
        "((1 - at_next) - c1 ** 2).sqrt()",
        "(1 - at_next).sqrt()",
        "sampler",
        "ddim_sigma_kept",
    ),
    (
        "strided",
        "(len(x),), j))",
        "(len(x),), j % self.num_timesteps))",
        "sampler",
        "ddim_nan_at_end",
    ),
    ("strided", "c1 = eta * (", "c1 = (", "sampler", "η = 1 where η = 0.5 was asked for"),
    (
        "learned_variance",
        "frac * max_log + (1 - frac) * min_log",
        "frac * min_log + (1 - frac) * max_log",
        "step",
        "learned_swapped",
    ),
    ("learned_variance", "((noise - eps)", "((x_start - eps)", "loss", "target_x_0"),
    ("overwritten", "ab_prev = ab_t[t_prev]", "ab_prev = a_t[t_prev]", "step", "ddim_alpha"),
    (
        "overwritten",
        "(1 - ab_prev).sqrt() * pred",
        "(1 - ab_prev) * pred",
        "step",
        "ddim_root_of_eps",
    ),
    (
        "dict_of_schedules",
        "guide_w) * eps1 - guide_w * eps2",
        "guide_w) * eps1 + guide_w * eps2",
        "guidance",
        "The two answers are added",
    ),
    # what the network is told, and what it is compared with
    (
        "own_network",
        "self(x_t, ts)",
        "self(x_t, ts * 2.5)",
        "together",
        "t is what it is trained with, 2.5 t what it is asked with",
    ),
    ("own_network", "eps), t), eps)", "eps), 0 * t), eps)", "loss", "told 0, whatever t is"),
    ("own_network", "alpha_bar[t].view", "alpha_bar[t - 1].view", "loss", "takes entry t - 1"),
    ("noise_images", "added * eps, eps", "added * eps, torch.randn_like(x)", "q_sample", "anew"),
    # the schedule
    (
        "globals",
        "torch.cumprod(alphas, axis=0)",
        "torch.cumsum(alphas, axis=0)",
        "schedule",
        "the sum of all α",
    ),
    (
        "annotated",
        "torch.cumprod(self.alpha, dim=0)",
        "torch.cumprod(self.beta, dim=0)",
        "schedule",
        "the product of all β",
    ),
    (
        "globals",
        "torch.sqrt(1. - alphas_cumprod)\npost",
        "1. - torch.sqrt(alphas_cumprod)\npost",
        "schedule",
        "1 - √ᾱ_t",
    ),
    (
        "buffers",
        "betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)",
        "betas * (1.0 - alphas_cumprod) / (1.0 - alphas_cumprod_prev)",
        "schedule",
        "posterior_variance",
    ),
    (
        "numpy_arrays",
        "np.sqrt(1. - self.alphas_cumprod)",
        "1. - self.alphas_cumprod",
        "schedule",
        "(= 1 - ᾱ_t)",
    ),
    # q_sample
    (
        "buffers",
        "extract(self.sqrt_alphas_cumprod, t, x_start.shape) * x_start",
        "extract(self.alphas_cumprod, t, x_start.shape) * x_start",
        "q_sample",
        "you multiply x_0 by",
    ),
    (
        "annotated",
        "return mean + (var ** 0.5) * eps",
        "return mean + var * eps",
        "q_sample",
        "one_root",
    ),
    (
        "scheduler",
        "kept * original_samples + added * noise",
        "added * original_samples + kept * noise",
        "q_sample",
        "swapped",
    ),
    (
        "noise_images",
        "torch.sqrt(1 - self.alpha_hat[t])[:, None",
        "(1 - torch.sqrt(self.alpha_hat[t]))[:, None",
        "q_sample",
        "one_minus_root",
    ),
    (
        "noise_images",
        "self.alpha_hat[t])[:, None, None, None]\n        added = torch.sqrt(1 - self.alpha_hat[t]",
        "self.alpha[t])[:, None, None, None]\n        added = torch.sqrt(1 - self.alpha[t]",
        "q_sample",
        "alpha",
    ),
    (
        "padded",
        "ab_t.sqrt()[t, None, None, None] * x + (1 - ab_t[t,",
        "ab_t.sqrt()[t - 1, None, None, None] * x + (1 - ab_t[t - 1,",
        "q_sample",
        "off_by_one",
    ),
    (
        "own_network",
        "alpha_bar = self.alpha_bar[t].view(-1, 1, 1, 1)",
        "alpha_bar = self.alpha_bar[t]",
        "q_sample",
        "no_broadcast",
    ),
    (
        "guided",
        "bar.sqrt() * x + (1 - bar).sqrt() * noise",
        "bar * x + (1 - bar) * noise",
        "q_sample",
        "no_root",
    ),
    (
        "handed_dict",
        "abar.sqrt() * clean + (1 - abar).sqrt() * noise",
        "(abar.sqrt() * clean + (1 - abar).sqrt() * noise).clamp(-1, 1)",
        "q_sample",
        "clamped",
    ),
    (
        "numpy_only",
        "np.sqrt(ab) * x0 + np.sqrt(1 - ab) * noise, noise",
        "np.sqrt(ab) * x0 + (1 - ab) * noise, noise",
        "q_sample",
        "one_root",
    ),
    (
        "own_network",
        "self.alpha_bar[t].view(-1, 1, 1, 1)",
        "self.alpha_bar[t[0]]",
        "q_sample",
        "one_t",
    ),
    # the guess of x_0 and the posterior
    (
        "buffers",
        "- extract(self.sqrt_recipm1_alphas_cumprod",
        "+ extract(self.sqrt_recipm1_alphas_cumprod",
        "predict_x_0",
        "x_0_sign",
    ),
    (
        "numpy_arrays",
        "self._extract(self.posterior_mean_coef1, t, x_t.shape) * x_start\n                + self._extract(self.posterior_mean_coef2, t, x_t.shape) * x_t",
        "self._extract(self.posterior_mean_coef2, t, x_t.shape) * x_start\n                + self._extract(self.posterior_mean_coef1, t, x_t.shape) * x_t",
        "posterior",
        "swapped",
    ),
    # the loss
    (
        "globals",
        "F.l1_loss(noise, predicted)",
        "F.l1_loss(x_start, predicted)",
        "loss",
        "target_x_0",
    ),
    (
        "annotated",
        "F.mse_loss(noise, self.eps_model(xt, t))",
        "F.mse_loss(x0, self.eps_model(xt, t))",
        "loss",
        "target_x_0",
    ),
    (
        "buffers",
        "x = self.q_sample(x_start=x_start, t=t, noise=noise)",
        "x = self.q_sample(x_start=x_start, t=t)",
        "loss",
        "fresh_target",
    ),
    (
        "numpy_arrays",
        "out = denoise_fn(x_t, t)\n        return",
        "out = denoise_fn(x_start, t)\n        return",
        "loss",
        "clean_input",
    ),
    ("handed_dict", "- noise) ** 2).mean()", "- noise).mean() ** 2)", "loss", "squared_mean"),
    (
        "own_network",
        "return F.mse_loss(self(self.q_sample(x_0, t, eps), t), eps)",
        "return F.mse_loss(self(self.q_sample(x_0, t, eps), t), eps).sqrt()",
        "loss",
        "root",
    ),
    (
        "dict_of_schedules",
        "self.sqrtmab[_ts, None, None, None] * noise",
        "self.sqrtmab[_ts, None, None, None] ** 2 * noise",
        "loss",
        "one_root",
    ),
    (
        "guided",
        "return F.mse_loss(self.model(self.add_noise(x, t, noise), t, y), noise)",
        "x_t = self.add_noise(x, t, noise)\n        return F.mse_loss(self.model(x_t, t, y), x_t)",
        "loss",
        "target_x_t",
    ),
    # the reverse step
    (
        "globals",
        "recip * (x - betas_t * model(x, t) / root)",
        "recip * (x + betas_t * model(x, t) / root)",
        "step",
        "sign",
    ),
    (
        "globals",
        "recip * (x - betas_t * model(x, t) / root)",
        "recip * (x - torch.sqrt(betas_t) * model(x, t) / root)",
        "step",
        "root_beta",
    ),
    (
        "globals",
        "mean + torch.sqrt(extract(posterior_variance, t, x.shape)) * noise",
        "mean + extract(posterior_variance, t, x.shape) * noise",
        "step",
        "variance_for_sigma",
    ),
    ("annotated", "(1 - alpha_bar) ** .5\n", "(1 - alpha_bar)\n", "step", "no_root"),
    (
        "annotated",
        "mean = 1 / (alpha ** 0.5) * (",
        "mean = 1 / (alpha_bar ** 0.5) * (",
        "step",
        "root_alpha_bar",
    ),
    (
        "annotated",
        "var = gather(self.sigma2, t)\n        eps = torch.randn(xt.shape, device=xt.device)\n",
        "var = gather(self.sigma2, t)\n        eps = 0\n",
        "step",
        "no_noise",
    ),
    ("buffers", "noise = torch.randn_like(x) if t > 0 else 0.0", "noise = 0.0", "step", "no_noise"),
    (
        "scheduler",
        "mean = c_0 * x_0 + c_t * sample",
        "mean = c_t * x_0 + c_0 * sample",
        "step",
        "swapped",
    ),
    (
        "numpy_arrays",
        "return mean + mask * torch.exp(0.5 * log_variance) * noise",
        "return mean + torch.exp(0.5 * log_variance) * noise",
        "step",
        "last_noise",
    ),
    (
        "own_network",
        "/ (1 - self.alpha_bar[t]).sqrt() * eps",
        "/ (1 - self.alpha[t]).sqrt() * eps",
        "step",
        "alpha_for_alpha_bar",
    ),
    (
        "own_network",
        "return mean + self.beta[t].sqrt() * z",
        "return (mean + self.beta[t].sqrt() * z)[:, :, :, :] + 0 * z if False else mean + z * (t > 0)",
        "step",
        "added whole",
    ),
    ("numpy_only", "* eps) / np.sqrt(alphas[t])", "* eps)", "step", "no_fading_back"),
    (
        "handed_dict",
        "(x_t - beta / (1 - abar).sqrt() * eps) / alpha.sqrt()",
        "x_t - beta / (1 - abar).sqrt() * eps / alpha.sqrt()",
        "step",
        "bracket",
    ),
    ("padded", "noise = b_t.sqrt()[t] * z", "noise = b_t[t] * z", "step", "variance_for_sigma"),
    # the loop
    (
        "noise_images",
        "torch.sqrt(beta) * noise\n",
        "beta * noise\n",
        "sampler",
        "variance_for_sigma",
    ),
    ("noise_images", "(x - ((1 - alpha)", "(x + ((1 - alpha)", "sampler", "sign"),
    (
        "own_network",
        "for t in reversed(range(self.T)):",
        "for t in range(self.T):",
        "sampler",
        "upwards",
    ),
    ("own_network", "x_t = self.p_sample(x_t, t)", "self.p_sample(x_t, t)", "sampler", "not_kept"),
    (
        "dict_of_schedules",
        "for i in range(self.n_T, 0, -1):\n            t_is = torch.tensor([i / self.n_T])",
        "for i in range(self.n_T, 0, -1):\n            t_is = torch.tensor([1.0])",
        "sampler",
        "always_T",
    ),
    (
        "guided",
        "x = mean + beta.sqrt() * torch.randn_like(x) if i > 0 else mean",
        "x = mean + beta.sqrt() * torch.randn_like(x)",
        "sampler",
        "last_noise",
    ),
    (
        "handed_dict",
        'x = torch.randn(shape)\n    for i in range(len(params["betas"]), 0, -1):\n        t = torch.full((shape[0],), i)\n        x = ddpm_step(params, net, x, t, torch.randn(shape))',
        'x = torch.randn(shape)\n    z = torch.randn(shape)\n    for i in range(len(params["betas"]), 0, -1):\n        t = torch.full((shape[0],), i)\n        x = ddpm_step(params, net, x, t, z)',
        "sampler",
        "one_z",
    ),
    # the pieces together, the encoding, guidance
    (
        "own_network",
        "eps = torch.randn_like(x_0)\n        return F.mse_loss(self(self.q_sample(x_0, t, eps), t), eps)",
        "eps = torch.randn_like(x_0)\n        return F.mse_loss(self(self.q_sample(x_0, t, eps), t + 1), eps)",
        "together",
        "another t in sampling",
    ),
    (
        "globals",
        "kept = extract(sqrt_alphas_cumprod, t, x_start.shape)\n    added = extract(sqrt_one_minus_alphas_cumprod, t, x_start.shape)",
        "kept = extract(sqrt_alphas_cumprod, t - 1, x_start.shape)\n    added = extract(sqrt_one_minus_alphas_cumprod, t - 1, x_start.shape)",
        "together",
        "another t in sampling",
    ),
    (
        "noise_images",
        "b = torch.cos(t.repeat",
        "b = torch.sin(t.repeat",
        "time_encoding",
        "only_sines",
    ),
    (
        "buffers",
        "torch.exp(torch.arange(half, device=x.device) * -emb)",
        "torch.exp(torch.arange(half, device=x.device) * emb)",
        "time_encoding",
        "multiplied",
    ),
    (
        "guided",
        "without + cfg_scale * (with_label - without)",
        "with_label + cfg_scale * (without - with_label)",
        "guidance",
        "guidance_swapped",
    ),
    (
        "dict_of_schedules",
        "(1 + guide_w) * eps1 - guide_w * eps2",
        "(1 + guide_w) * eps2 - guide_w * eps1",
        "guidance",
        "swapped",
    ),
    (
        "guided",
        "without + cfg_scale * (with_label - without)",
        "cfg_scale * (with_label - without)",
        "guidance",
        "only_the_difference",
    ),
    (
        "annotated",
        "(t > 0).view(-1, 1, 1, 1) * (var ** .5) * eps",
        "(var ** .5) * eps",
        "step",
        "last_noise",
    ),
    (
        "noise_images",
        "noise = torch.zeros_like(x)\n",
        "noise = torch.randn_like(x)\n",
        "sampler",
        "last_noise",
    ),
    (
        "buffers",
        "noise = default(noise, lambda: torch.randn_like(x_start))\n        return (",
        "noise = torch.rand_like(x_start)\n        return (",
        "q_sample",
        "uniform_noise",
    ),
    (
        "numpy_arrays",
        "self._extract(self.posterior_variance, t, x_t.shape),\n",
        "self._extract(self.betas, t, x_t.shape),\n",
        "posterior",
        "variance_beta",
    ),
    (
        "scheduler",
        "x_0 = (sample - (1 - bar) ** 0.5 * model_output)",
        "x_0 = (sample + (1 - bar) ** 0.5 * model_output)",
        "step",
        "sign",
    ),
    (
        "dict_of_schedules",
        "x_i - eps * self.mab_over_sqrtmab[i]",
        "x_i + eps * self.mab_over_sqrtmab[i]",
        "sampler",
        "sign",
    ),
    (
        "globals",
        "img = torch.randn(shape, device=device)",
        "img = torch.rand(shape, device=device)",
        "sampler",
        "N(0, I)",
    ),
    (
        "noise_images",
        "predicted_noise = model(x, t)",
        "predicted_noise = model(x, t - 1)",
        "sampler",
        "t",
    ),
    (
        "numpy_only",
        "np.prod(alphas[: i + 1])",
        "np.prod(alphas[:i])",
        "schedule",
        "alpha_bars",
    ),
    (
        "buffers",
        "extract(self.posterior_mean_coef1, t, x_t.shape) * x_start",
        "extract(self.posterior_mean_coef2, t, x_t.shape) * x_start",
        "posterior",
        "you multiply x_0",
    ),
    (
        "annotated",
        "(xt - eps_coef * eps_theta)",
        "(xt + eps_coef * eps_theta)",
        "step",
        "sign",
    ),
    (
        "noise_images",
        "1 / torch.sqrt(alpha) * (x",
        "1 / torch.sqrt(alpha_hat) * (x",
        "sampler",
        "root_alpha_bar",
    ),
]
