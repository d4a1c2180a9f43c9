"""Wrong answers to exercises 1 to 7 as learners write them, and what they are told.

None of them stands in an exercise file as it does here. A verdict has to name the mistake, or the
coefficient; what is asked for is a few words of it.
"""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from test_wrong_versions_8_to_14 import told

from ddpm_tutor.course.exercise import all_exercises, find_exercise
from ddpm_tutor.grading.drawing import quick_drawing
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.report import print_verdict
from ddpm_tutor.grading.sandbox import Checked
from ddpm_tutor.grading.trials import Toy
from ddpm_tutor.grading.verdict import Picture, Verdict
from ddpm_tutor.science import devices
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.storage.checkpoints import load_checkpoint


def in_words(verdict: Verdict) -> str:
    return " ".join([verdict.says, *verdict.notes])


# exercise, body, words of what is to be said
WRONG = [
    # no cast: float64 would hide what is wrong in the equation
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1)
        return (1 - b).sqrt() * x_prev + b * eps
    """, ["One square root is missing", "Cast x_t to float32"]),
    (1, """
        b = schedule.beta[t].reshape(-1, 1, 1, 1)
        return b.sqrt() * x_prev + (1 - b).sqrt() * eps
    """, ["weights are swapped", "Cast x_t to float32", "`.to(x_prev.dtype)`"]),
    (1, """
        b = schedule.beta[t - 1][:, None, None, None]
        return torch.sqrt(1 - b) * x_prev + torch.sqrt(b) * eps
    """, ["off by one", "Cast"]),
    (1, """
        b = schedule.beta[t][:, None, None, None]
        return torch.sqrt(1 - b) * x_prev + torch.sqrt(b) * torch.randn_like(x_prev)
    """, ["random numbers of its own", "use eps", "Cast"]),
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1).to(x_prev.dtype)
        return (1 - b) * x_prev + b.sqrt() * eps
    """, ["x_prev by 0.98 (= 1 - β_t) where 0.9899 (= √(1 - β_t))"]),
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1).float()
        return (1 - b.sqrt()) * x_prev + b.sqrt() * eps
    """, ["x_prev by 0.8586 (= 1 - √β_t) where 0.9899 (= √(1 - β_t))"]),
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1)
        return (1 - b).sqrt() * x_prev + 2 * b.sqrt() * eps
    """, ["eps by 0.2004 (= 2 √β_t) where 0.1002 (= √β_t)"]),
    (1, """
        a = schedule.alpha[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_prev + a.sqrt() * eps
    """, ["eps by 0.995 (= √(1 - β_t)) where 0.1002 (= √β_t)"]),
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1)
        x_prev *= (1 - b).sqrt()
        x_prev += b * eps
        return x_prev
    """, ["One square root is missing", "in place", "x_prev"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_0 + (1 - a.sqrt()) * eps
    """, ["1 - √ᾱ_t; it is √(1 - ᾱ_t)", "Cast x_t to float32"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_0.dtype)
        return a.sqrt() * x_0 + (1 - a**2).sqrt() * eps
    """, ["eps by 0.01414 where 0.01 (= √(1 - ᾱ_t)) belongs"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_0.dtype)
        return a * x_0 + (1 - a).sqrt() * eps
    """, ["x_0 by 0.07859 (= ᾱ_t) where 0.2803 (= √ᾱ_t)"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_0.dtype)
        return x_0 + (1 - a).sqrt() * eps
    """, ["x_0 by 1 where 0.2803 (= √ᾱ_t) belongs"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_0 - (1 - a).sqrt() * eps
    """, ["eps by -0.9599 (= -√(1 - ᾱ_t)) where 0.9599"]),
    (2, """
        b = schedule.beta[t].view(-1, 1, 1, 1)
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_0 + b.sqrt() * eps
    """, ["eps by 0.1002 (= √β_t) where 0.9599"]),
    (2, """
        eps = torch.randn_like(x_0)
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_0.dtype)
        return a.sqrt() * x_0 + (1 - a).sqrt() * eps
    """, ["random numbers of its own", "use eps"]),
    (3, """
        x_0 = images / 127.5 - 1
        t = torch.randint(0, schedule.T, (len(images),))
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["does not hold: the same seed gives the same"]),  # and t starts at 0, in the table
    (3, """
        x_0 = images / 127.5 - 1
        t = torch.randint(1, schedule.T + 1, (1,), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["t has the shape (1,); it should be (4000,)"]),
    (3, """
        x_0 = images / 255 * 2 - 1
        t = torch.randint(1, schedule.T, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["t = T never comes"]),
    (3, """
        x_0 = images.float() / 127.5 - 1
        t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), eps, t
    """, ["The order is another: return x_t, t, eps"]),
    (3, """
        x_0 = images.float() / 127.5 - 1
        t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return eps, t, q_sample(schedule, x_0, t, eps)
    """, ["x_t and eps have changed places"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, now, before = (at(schedule.beta, t), at(schedule.alpha_bar, t),
                          at(schedule.alpha_bar, t - 1))
        mean = now.sqrt() * b / (1 - now) * x_0 + before.sqrt() * (1 - now) / (2 - before) * x_t
        return mean.to(x_t.dtype), ((1 - now) / (2 - before) * b).to(x_t.dtype)
    """, ["At t = 497:", "• you multiply x_0 by", "• you multiply x_t by", "• beta_tilde is"]),
    (8, """
        at = lambda v: v[t].view(-1, 1, 1, 1)
        a, now = at(schedule.alpha), at(schedule.alpha_bar)
        return ((x_t - (1 - a) / (1 - now) * eps) / a.sqrt() + (1 - a).sqrt() * z).to(x_t.dtype)
    """, ["z by 0.01 (= √β_t) where 0 belongs"]),  # there σ_t is √β_t, but z is 0
    (1, """
        import numpy as np
        b = schedule.beta[t].numpy().reshape(-1, 1, 1, 1)
        return np.sqrt(1 - b) * x_prev.numpy() + np.sqrt(b) * eps.numpy()
    """, ["an ndarray", "of torch, not of NumPy"]),
    (4, """
        i = torch.arange(0, channels, 2)
        angle = t[:, None] / 10000 ** (i / channels)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(len(t), channels)
    """, ["Sines and cosines take turns"]),
    (4, """
        i = torch.arange(channels // 2)
        angle = t[:, None] / 10000 ** (i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["The exponent is i / C"]),
    (4, """
        angle = t[:, None] / 10000 ** torch.linspace(0, 1, channels // 2)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["run up to 1 itself"]),
    (4, """
        i = torch.arange(0, channels, 2)
        angle = t[:, None] / 10000 ** (2 * i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["4i / C"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return x_t - (1 - a).sqrt() * eps / a.sqrt()
    """, ["brackets are missing", "Cast x_0 to float32"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * (x_t - (1 - a).sqrt() * eps)
    """, ["multiplied by √ᾱ_t where it is to be divided"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return (x_t - (1 - a).sqrt() * eps) / a
    """, ["x_t by 12.72 (= 1 / ᾱ_t) where 3.567 (= 1 / √ᾱ_t) belongs"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return (x_t - (1 - a) * eps) / a.sqrt()
    """, ["(= -(1 - ᾱ_t) / √ᾱ_t) where -0.01 (= -√(1 - ᾱ_t) / √ᾱ_t) belongs"]),
    (6, """
        x_t = q_sample(schedule, x_0, t, torch.randn_like(x_0))
        loss = ((model(x_t, t) - eps) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["drawn anew", "not in x_t"]),
    (6, """
        loss = ((model(q_sample(schedule, x_0, t, eps), t) - eps) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()
    """, ["plain number", "must stay a tensor", "`.item()`"]),
    (6, """
        loss = ((model(q_sample(schedule, x_0, t, eps), t) - eps) ** 2).mean().item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["must stay a tensor", "`.item()`"]),
    (6, """
        eps = torch.randn_like(x_0)
        loss = ((model(q_sample(schedule, x_0, t, eps), t) - eps) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["random numbers of its own", "use eps"]),
    (6, """
        optimizer.zero_grad()
        loss = ((model(q_sample(schedule, x_0, t, eps), t) - eps) ** 2).mean()
        optimizer.step()
        loss.backward()
        return loss
    """, ["The step is taken before"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (now.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, (1 - before) / (1 - now) * b
    """, ["√ᾱ_t; it is √ᾱ_{t-1}", "Cast mu_tilde to float32"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t / (1 - now)
        return mean, (1 - before) / (1 - now) * b
    """, ["brackets are missing", "Cast"]),
    (7, """
        b, a, now, before = (schedule.beta[t[0]], schedule.alpha[t[0]],
                             schedule.alpha_bar[t[0]], schedule.alpha_bar[t[0] - 1])
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, ((1 - before) / (1 - now) * b).repeat(len(t)).view(-1, 1, 1, 1)
    """, ["One t is used for the whole batch"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - now) * x_t) / (1 - now)
        return mean, (1 - before) / (1 - now) * b
    """, ["x_t by 0.9999 (= √α_t) where"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, (1 - before) / (1 - now)
    """, ["β_t is missing in the variance"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, (1 - now) / (1 - before) * b
    """, ["beta_tilde is 0.009989 (= β_t (1 - ᾱ_t) / (1 - ᾱ_{t-1})) where 0.009971"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a * (1 - before) * x_t) / (1 - now)
        return mean, (1 - before) / (1 - now) * b
    """, ["x_t by", "(= α_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)) where"]),
    (4, """
        i = torch.arange(0, channels, 2, device=t.device)
        angle = t[:, None] / 1000 ** (i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["to the powers 0, 0.1875, 0.375, 0.5625; 0, 0.25, 0.5, 0.75 belong"]),
    (4, """
        i = torch.arange(0, channels, 2)
        angle = (t / 10000)[:, None] ** (i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["not in proportion to t"]),
    (6, """
        x_t = x_0 + eps
        loss = F.mse_loss(model(x_t, t), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["does not hold: the network is given x_t by Eq. 4"]),
    (6, """
        loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t - 1), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["does not hold: the network is given t"]),
    (6, """
        loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.step()
        return loss
    """, ["optimizer.step called in step 1"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return (1 - before) / (1 - now) * b, mean
    """, ["in another order: mu_tilde, beta_tilde"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return (a * x_0 + (1 - a) * eps).sqrt()
    """, ["no number (NaN)", "root of what is negative"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_0 * (1 - a).sqrt() * eps
    """, ["no sum of x_0 and eps", "multiplied"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return ((x_t - (1 - a).sqrt() * eps) / a.sqrt()).tanh()
    """, ["right for small numbers, not for large ones"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, ((1 - before) / (1 - now)).sqrt() * b
    """, ["of 10 beta_tilde is", "(= β_t √(1 - ᾱ_{t-1}) / √(1 - ᾱ_t)) where"]),
    (3, """
        x_0 = images / 127.5 - 1
        t = torch.randint(1, 1001, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["T is written as 1000"]),
    (3, """
        x_0 = images / 127.5 - 1
        t = torch.arange(len(images)) % schedule.T + 1
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["t is drawn at random"]),
    (6, """
        loss = 2 * F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["2 times the mean"]),
    (6, """
        x_t = q_sample(schedule, x_0, t, eps)
        loss = ((model(x_t, t) - eps) ** 2).sum(dim=(1, 2, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["of each picture are summed"]),
    (6, """
        loss = (model(q_sample(schedule, x_0, t, eps), t) - eps) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["has to be one number: take the mean"]),
    # written without having seen the exercise files
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return torch.sqrt(a * x_0) + torch.sqrt((1 - a) * eps)
    """, ["no number (NaN), by the root of what is negative: x_0 and eps stand under it"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_0 + ((1 - a) * eps).sqrt()
    """, ["the root of what is negative: eps stands under it"]),
    (2, """
        a = schedule.alpha_bar[t].view(1, -1, 1, 1)
        return a.sqrt() * x_0 + (1 - a).sqrt() * eps
    """, ["it should be (4, 1, 6, 10)", "lined up with axis 1", "`.view(-1, 1, 1, 1)`"]),
    (2, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_0.dtype)
        return a ** 1/2 * x_0 + (1 - a) ** 1/2 * eps
    """, ["by 0.03929 (= ᾱ_t / 2) where", "by 0.4607 (= (1 - ᾱ_t) / 2) where"]),
    (2, """
        a = schedule.alpha_bar[t.max()].to(x_0.dtype)
        return a.sqrt() * x_0 + (1 - a).sqrt() * eps
    """, ["x_0 by 0.006353, the same in all pictures, where"]),
    (3, """
        x_0 = images / 127.5 - 1
        t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        x_t = q_sample(schedule, x_0, t, eps)
        return x_0, t, eps
    """, ["is x_0, without any noise; x_t belongs there"]),
    (3, """
        x_0 = 2 * images / 255 - 1
        t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["A pixel of 127 becomes 0.00 in x_0, and one of 128 -1.00", "bytes end at 255"]),
    (3, """
        x_0 = images / 255 - 0.5
        t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
        eps = torch.randn(x_0.shape, generator=generator)
        return q_sample(schedule, x_0, t, eps), t, eps
    """, ["a black pixel becomes -0.5 and a white one 0.5; -1 and 1 belong"]),
    (4, """
        i = torch.arange(channels // 2)
        angle = t.unsqueeze(1) / 10000 ** (2 * i / channels)
        return torch.stack([angle.sin(), angle.cos()])
    """, ["shape (2, 4, 8); it should be (4, 16)", "numbers are right", "`torch.cat`"]),
    (4, """
        i = torch.arange(channels // 2)
        angle = 2 * torch.pi * t[:, None] / 10000 ** (2 * i / channels)
        return torch.cat([angle.sin(), angle.cos()], 1)
    """, ["Each angle is 6.283 times what it should be"]),
    (5, """
        a = schedule.alpha_bar[t].view(-1, 1, 1, 1).to(x_t.dtype)
        return ((x_t - (1 - a).sqrt() * eps) / a.sqrt()).squeeze()
    """, ["x_0 has the shape (4, 6, 10)", "right: only their shape is to change"]),
    (1, """
        x_t = torch.zeros_like(x_prev)
        for i in range(len(t)):
            b = schedule.beta[t[i]]
            x_t[i] = (1 - b).sqrt() * x_prev[i] + b.sqrt() * eps[0]
        return x_t
    """, ["eps of one picture gets into the others"]),
    (4, """
        i = torch.arange(channels // 2, device=t.device)
        angle = t[None, :] / 10000 ** (2 * i / channels)[:, None]
        return torch.cat([angle.sin(), angle.cos()])
    """, ["right, but the axes stand in another order"]),
    (6, """
        x_t = q_sample(schedule, x_0, t, eps)
        weight = (schedule.alpha_bar[t] / (1 - schedule.alpha_bar[t])).view(-1, 1, 1, 1)
        loss = (weight.to(x_t.dtype) * (model(x_t, t) - eps) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, ["weighted by t", "8.71 times at t = 100"]),
    (6, """
        loss = F.mse_loss(model(q_sample(schedule, x_0, t, eps), t), eps)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss
    """, ["loss is right, but the weights go elsewhere", "between `backward()` and `step()`"]),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1).to(x_t.dtype)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean, ((1 - before) / (1 - now) * b).expand_as(x_t)
    """, ["right, but repeated"]),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body", "words"), WRONG)
def test_a_wrong_version_is_told_what_is_wrong(number: int, body: str, words: list[str]) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert all(one in in_words(verdict) for one in words), in_words(verdict)
    assert all(len(row) == len(verdict.columns) and row[-1] != row[-2] for row in verdict.rows)


# a slip beside the equation

RIGHT_BUT = [
    (1, """
        b = schedule.beta[t].view(-1, 1, 1, 1)
        return (1 - b).sqrt() * x_prev + b.sqrt() * eps
    """, "float64", "in float64"),
    (1, """
        b = torch.from_numpy(schedule.beta[t].numpy()).view(-1, 1, 1, 1)
        return (1 - b).sqrt() * x_prev + b.sqrt() * eps
    """, "", "NumPy works on the CPU alone (line"),
    (4, """
        i = torch.arange(0, channels, 2, dtype=torch.float64)
        angle = t[:, None] / 10000 ** (i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, "", "Cast encoding to float32: it is in float64. Say `.to(torch.float32)`. Make no"),
    (7, """
        at = lambda v, i: v[i].view(-1, 1, 1, 1)
        b, a, now, before = (at(schedule.beta, t), at(schedule.alpha, t),
                             at(schedule.alpha_bar, t), at(schedule.alpha_bar, t - 1))
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean.to(x_t.dtype), (1 - before) / (1 - now) * b
    """, "", "Cast beta_tilde to float32: it is in float64"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body", "mistake", "note"), RIGHT_BUT)
def test_right_values_of_another_dtype_pass_with_a_note(
    number: int, body: str, mistake: str, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])  # a GPU stops at some
    verdict = told(number, body)
    assert verdict.passed and verdict.mistake == mistake
    assert note in " ".join(verdict.notes)


def test_what_passes_with_a_note_draws() -> None:
    """Functions that let float64 through, before the real network."""
    in_float64 = [e for e in all_exercises() if any(m.name == "float64" for m in e.mistakes)]
    functions = {e.function: e.load(e.mistake("float64").code) for e in in_float64}
    assert {"predict_x_0", "p_step", "ddim_step"} <= functions.keys()
    of_ddpm = {name: functions[name] for name in ("predict_x_0", "p_step")}
    of_ddim = {name: functions[name] for name in ("predict_x_0", "ddim_step")}
    assert quick_drawing("ddpm", 2, **of_ddpm).dtype == torch.float32
    assert quick_drawing("ddim", 2, **of_ddim).dtype == torch.float32


# an answer that is the package's

BORROWED = [
    (1, """
        import ddpm_tutor
        return ddpm_tutor.q_step(schedule, x_prev, t, eps)
    """, "q_step"),
    (2, """
        from ddpm_tutor.science.diffusion import q_sample as theirs
        x_t = theirs(schedule=schedule, x_0=x_0, t=t, eps=eps)
        return x_t
    """, "q_sample"),
    (3, """
        from ddpm_tutor import noisy_batch
        return noisy_batch(schedule, images, generator)
    """, "noisy_batch"),
    (4, """
        from ddpm_tutor import UNet
        import ddpm_tutor.science.noise_predictor as n
        return getattr(n, "time_" + "encoding")(t, channels)
    """, "time_encoding"),
    (5, """
        from ddpm_tutor import predict_x_0 as p
        return (lambda: p(schedule, x_t, t, eps))()
    """, "predict_x_0"),
    (6, """
        from ddpm_tutor import loss_simple
        loss = loss_simple(model, schedule, x_0, t, eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    """, "loss_simple"),
    (7, """
        from ddpm_tutor import q_posterior
        return q_posterior(schedule, x_t, x_0, t)
    """, "q_posterior"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body", "name"), BORROWED)
def test_an_answer_that_only_calls_the_package_is_to_be_written_out(
    number: int, body: str, name: str
) -> None:
    verdict = told(number, body)
    above = find_exercise(str(number)).start.source.split('    """')[0]
    assert verdict.kind == "wrong" and verdict.line, verdict
    assert "schedule, " in (above + body).splitlines()[verdict.line - 1] or number == 4
    assert f"own {name} does the work" in verdict.says and "Write it out" in verdict.says


# stand-ins for the network

CALLS: dict[str, Callable[[NoisePredictor, torch.Tensor], torch.Tensor]] = {
    "a label for each": lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([1, 10])),
    "no label": lambda model, x: model(x, torch.tensor([3, 4])),
    "one t for all": lambda model, x: model(x, torch.tensor([3])),
    "int32 labels": lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([1, 2]).int()),
    "a label that is no tensor": lambda model, x: model(x, torch.tensor([3, 4]), 10),
    "labels that are no whole numbers": (
        lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([1.0, 2.0]))
    ),
    "a label below 0": lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([-1, 2])),
    "a label above the null label": (
        lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([1, 11]))
    ),
    "bytes": lambda model, x: model(x, torch.tensor([3, 4]), torch.tensor([1, 2]).byte()),
    "t that is no tensor": lambda model, x: model(x, 3),
    "t without a batch": lambda model, x: model(x, torch.tensor(3)),
    "t of another batch": lambda model, x: model(x, torch.tensor([3, 4, 5])),
    "t with a fraction": lambda model, x: model(x, torch.tensor([3.0, 4.0])),
    "t above T": lambda model, x: model(x, torch.tensor([3, 1001])),
    "x_t in float64": lambda model, x: model(x.double(), torch.tensor([3, 4])),
    "x_t without channels": lambda model, x: model(x[:, 0], torch.tensor([3, 4])),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_toy_network_takes_what_the_shipped_one_takes(name: str) -> None:
    x = torch.zeros(2, 1, 32, 32)
    takes = []
    for model in (Toy(), load_checkpoint().model):
        try:
            takes.append(CALLS[name](model, x).shape == x.shape)
        except (TypeError, IndexError, RuntimeError, ValueError, AttributeError):
            takes.append(False)
    assert takes[0] == takes[1]


# how it is told


def test_a_verdict_is_there_before_its_pictures() -> None:
    exercise, early = find_exercise("2"), []
    source = exercise.with_code(exercise.mistake("no_root").code)
    late = judge(exercise, source, Path("ex2.py"), first=early.append)
    assert early[0].says == late.says and not early[0].pictures and late.pictures


def test_pictures_that_look_the_same_are_not_shown_and_black_is_explained() -> None:
    above = find_exercise("2").start.source.split('    """')[0]
    for body, why in (("x_0 * torch.nan", "no number (NaN)"), ("x_0 * 0 - 2", "-1 or less")):
        found = judge(find_exercise("2"), f"{above}    return {body}\n", Path("ex2.py"))
        assert why in found.shows and found.pictures
    off_by_little = "a = schedule.alpha_bar[t].view(-1, 1, 1, 1)\n    return "
    off_by_little += "1.002 * (a.sqrt() * x_0 + (1 - a).sqrt() * eps).to(x_0.dtype)\n"
    found = judge(find_exercise("2"), f"{above}    {off_by_little}", Path("ex2.py"))
    assert not found.passed and not found.pictures and not found.shows


def shown(verdict: Verdict, width: int = 80) -> list[str]:
    """The lines that a verdict takes on the screen."""
    screen = {"width": width, "height": 40, "force_terminal": True, "color_system": None}
    console = Console(file=io.StringIO(), **screen)  # type: ignore[arg-type]
    print_verdict(console, find_exercise("7"), Path("ex7.py"), Checked(verdict, "", "x\n" * 9))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_the_verdict_comes_last_and_all_of_it_fits_on_a_small_screen() -> None:
    rows = [[f"mu_tilde[{i}, 0, 0, 0]", str(i), 0.1, 0.10001] for i in range(5)]
    columns = ["", "t", "expected", "yours"]
    pictures = [Picture(c, [[0] * 32] * 32) for c in ["right"] * 3 + ["yours"] * 3]
    verdict = Verdict(
        "wrong", "It is so. " * 12, leads_to="That leads to this. " * 8, case="B = 4",
        columns=columns, rows=rows, shows="A digit.", pictures=pictures, notes=["Cast it."],
    )  # fmt: skip
    lines = shown(verdict)
    assert len(lines) <= 35  # a hint and two lines of --watch follow
    where = [
        next(i for i, line in enumerate(lines) if word in line)
        for word in ("yours", "expected", "B = 4", "✗", "It is so", "leads to", "And cast")
    ]
    assert where == sorted(where) and len(shown(verdict, 120)) < 35
    table = [line.split("│")[-3:-1] for line in lines if "mu_tilde" in line]
    assert len(table) == 5 and all(expected.strip() != yours.strip() for expected, yours in table)
