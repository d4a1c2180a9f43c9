"""Wrong versions of exercises 8 to 14, as learners write them: is each told what is wrong with it?

Each stands with the known mistake that it is taken for, or with words of its verdict that name what
is wrong: an input and what it is multiplied by, or what is no t. "" is where nothing is named yet.
"""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.grading.drawing import draw_with
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.verdict import Verdict
from ddpm_tutor.science.sampling import SamplingOptions, last
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.unet import UNet

# what the wrong versions of exercises 8 and 11 begin with
OF_8 = """
    beta = schedule.beta[t].to(x_t.dtype).view(-1, 1, 1, 1)
    alpha = schedule.alpha[t].to(x_t.dtype).view(-1, 1, 1, 1)
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    later = (t > 1).view(-1, 1, 1, 1)
    coef = beta / (1 - alpha_bar).sqrt()
"""
OF_11 = """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    a_t = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    a_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
"""
OF_12 = """
    C = x.shape[1]
    time = time_encoding(t, C)
    of_label = embedding(label)[:, :C]
"""
OF_14 = """
    null = torch.full_like(label, null_label)
    c, n = model(x_t, t, label), model(x_t, t, null)
"""

WRONG = [
    (8, "only eps is divided by the root of alpha",
     OF_8 + "    return x_t - coef * eps / alpha.sqrt() + beta.sqrt() * later * z", "bracket"),
    (8, "divides by alpha",
     OF_8 + "    return (x_t - coef * eps) / alpha + beta.sqrt() * later * z",
     "you multiply x_t by"),
    (8, "multiplies by the root of alpha",
     OF_8 + "    return (x_t - coef * eps) * alpha.sqrt() + beta.sqrt() * later * z",
     "you multiply x_t by"),
    (8, "beta is missing",
     OF_8 + "    mean = (x_t - eps / (1 - alpha_bar).sqrt()) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * later * z", "you multiply eps by"),
    (8, "1 minus the root",
     OF_8 + "    mean = (x_t - beta / (1 - alpha_bar.sqrt()) * eps) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * later * z", "you multiply eps by"),
    (8, "times the root of 1 - alpha_bar",
     OF_8 + "    mean = (x_t - beta * (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * later * z", "you multiply eps by"),
    (8, "the noise of all steps",
     OF_8 + "    mean = (x_t - coef * eps) / alpha.sqrt()\n"
     "    return mean + (1 - alpha_bar).sqrt() * later * z", "you multiply z by"),
    (8, "noise at t = 1 alone",
     OF_8 + "    mean = (x_t - coef * eps) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * (t == 1).view(-1, 1, 1, 1) * z", "you multiply z by"),
    (8, "alpha for beta",
     OF_8 + "    mean = (x_t - alpha / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * later * z", "you multiply eps by"),
    (8, "z is not multiplied",
     OF_8 + "    return (x_t - coef * eps) / alpha.sqrt() + later * z", "you multiply z by"),
    (8, "eps and z are confused",
     OF_8 + "    return (x_t - coef * z) / alpha.sqrt() + beta.sqrt() * later * eps",
     "you multiply eps by"),
    (9, "the step's result is thrown away", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "not_kept"),
    (9, "the prediction is taken for the picture", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = model(x_t, t)
        yield 0, x_t
    """, "eps_for_x_t"),
    (9, "i in place of a tensor", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            x_t = p_step(schedule, x_t, i, model(x_t, i), z[i])
        yield 0, x_t
    """, "it is the int 6"),
    (9, "one t for all", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.tensor([i], device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "it is a tensor (1,) of int64"),
    (9, "the network is told t - 1", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t - 1), z[i])
        yield 0, x_t
    """, "told_one_less"),
    (9, "no noise at all", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        yield 0, x_t
    """, "no_noise"),
    (9, "z is added once more", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i]) + z[i]
        yield 0, x_t
    """, "noise_twice"),
    (9, "the end yields x_T", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_T
    """, "ends_with_x_T"),
    (9, "only the pictures are yielded", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield x_t
    """, "no pair (t, x_t)"),
    (10, "eps and zeros swapped", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, torch.zeros_like(x_t), model(x_t, t))
        yield 0, x_t
    """, "swapped"),
    (10, "noise until the last step", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            z = torch.randn_like(x_t) if i > 1 else torch.zeros_like(x_t)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z)
        yield 0, x_t
    """, "noise_left_in"),
    (10, "x_t is z", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), x_t)
        yield 0, x_t
    """, "you multiply x_t by"),
    (10, "starts at T - 1", """
        x_t = x_T
        for i in range(schedule.T - 1, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        yield 0, x_t
    """, "from_T_minus_1"),
    (10, "subtracts the noise, and that is it", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = x_t - model(x_t, t)
        yield 0, x_t
    """, "subtracted"),
    (10, "yields after the step", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
            yield i, x_t
    """, "after_the_step"),
    (11, "the noise of t stays",
     OF_11 + "    return a_prev.sqrt() * x_0 + (1 - a_t).sqrt() * eps", "you multiply eps by"),
    (11, "the guess alone", OF_11 + "    return x_0", "ddim_jump"),
    (11, "coefficients swapped",
     OF_11 + "    return (1 - a_prev).sqrt() * x_0 + a_prev.sqrt() * eps", "ddim_swapped"),
    (11, "1 minus the root", OF_11 + "    return a_prev.sqrt() * x_0 + (1 - a_prev.sqrt()) * eps",
     "you multiply eps by"),
    (11, "own guess, not divided",
     OF_11 + "    x_0 = x_t - (1 - a_t).sqrt() * eps\n"
     "    return a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * eps",
     "you multiply the guess of x_0 by"),
    (11, "own guess, plus",
     OF_11 + "    x_0 = (x_t + (1 - a_t).sqrt() * eps) / a_t.sqrt()\n"
     "    return a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * eps", "you multiply eps by"),
    (11, "x_t is stretched",
     OF_11 + "    return (a_prev / a_t).sqrt() * x_t + (1 - a_prev).sqrt() * eps",
     "you multiply eps by"),
    (11, "one step earlier than asked", """
        x_0 = predict_x_0(schedule, x_t, t, eps)
        a_prev = schedule.alpha_bar[(t_prev - 1).clamp(min=0)].to(x_t.dtype).view(-1, 1, 1, 1)
        return a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * eps
    """, "you multiply the guess of x_0 by"),
    (12, "the time goes into the embedding", """
        C = x.shape[1]
        encoding = time_encoding(t, C) + embedding(t % 11)[:, :C]
        return x + encoding[:, :, None, None].to(x.dtype)
    """, ""),
    (12, "the encoding alone",
     OF_12 + "    return (time + of_label)[:, :, None, None].expand_as(x).to(x.dtype)",
     "without_x"),
    (12, "subtracted", OF_12 + "    return x - (time + of_label)[:, :, None, None].to(x.dtype)",
     "subtracted"),
    (12, "half of each",
     OF_12 + "    return x + ((time + of_label) / 2)[:, :, None, None].to(x.dtype)", "mean"),
    (12, "the label minus the time",
     OF_12 + "    return x + (of_label - time)[:, :, None, None].to(x.dtype)",
     "you multiply the encoding of t by"),
    (12, "joined as channels",
     OF_12 + "    both = (time + of_label)[:, :, None, None].expand_as(x).to(x.dtype)\n"
     "    return torch.cat([x, both], dim=1)", "joined"),
    (12, "a wide encoding, cut off", """
        wide = time_encoding(t, embedding.embedding_dim) + embedding(label)
        return x + wide[:, : x.shape[1], None, None].to(x.dtype)
    """, "wide_time"),
    (12, "the mean of the encoding",
     OF_12 + "    both = (time + of_label).mean(dim=1)\n"
     "    return x + both.view(-1, 1, 1, 1).to(x.dtype)", "you add"),
    (13, "u < 1 - share", "return torch.where(u < 1 - share, null_label, label)", "other_share"),
    (13, "the mask is the answer", "return u < share", "mask"),
    (13, "null_label is added", "return label + null_label * (u < share)", "added"),
    (13, "kept ones become zero", "return torch.where(u < share, null_label, 0)",
     "zeros_elsewhere"),
    (13, "all of them", "return torch.full_like(label, null_label)", "all"),
    (13, "none of them", """
        dropped = u < share
        label[dropped].fill_(null_label)
        return label
    """, "none"),
    (13, "half", "return torch.where(u < 0.5, null_label, label)", "you drop a label where u <="),
    (13, "another digit", """
        return torch.where(u < share, torch.randint(0, 10, label.shape), label)
    """, "random numbers of its own"),
    (14, "the difference the wrong way round", OF_14 + "    return n + guidance * (n - c)",
     "away_from_the_label"),
    (14, "only without", OF_14 + "    return n", "unconditional"),
    (14, "the mean of both", OF_14 + "    return (c + n) / 2", "mean_of_both"),
    (14, "starts from the conditional one", OF_14 + "    return c + guidance * (c - n)",
     "one_too_much"),
    (14, "plus", OF_14 + "    return n + guidance * (c + n)", "plus"),
    (14, "1 + g on the wrong one", OF_14 + "    return (1 + guidance) * n - guidance * c",
     "away_from_the_label"),
    (14, "the label in both",
     OF_14 + "    n = model(x_t, t, label)\n    return n + guidance * (c - n)", "unguided"),
    (14, "the last label is null", """
        c, n = model(x_t, t, label), model(x_t, t, torch.full_like(label, null_label - 1))
        return n + guidance * (c - n)
    """, "null_is_nine"),
    (14, "a whole number for the labels", """
        c, n = model(x_t, t, label), model(x_t, t, null_label)
        return n + guidance * (c - n)
    """, "int_label"),
    (14, "one null label", """
        c = model(x_t, t, label)
        n = model(x_t, t, torch.tensor([null_label], device=label.device))
        return n + guidance * (c - n)
    """, "it is a tensor (1,) of int64"),
    (14, "a float label", """
        c = model(x_t, t, label)
        n = model(x_t, t, torch.full(label.shape, float(null_label), device=label.device))
        return n + guidance * (c - n)
    """, "it is a tensor (4,) of float32"),
]  # fmt: skip

# written when those above had been mended
LATER = [
    (8, "1 - alpha_bar for beta",
     OF_8 + "    mean = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()\n"
     "    return mean + beta.sqrt() * later * z", "you multiply eps by"),
    (8, "sigma is 1 - beta",
     OF_8 + "    return (x_t - coef * eps) / alpha.sqrt() + (1 - beta) * later * z",
     "you multiply z by"),
    (8, "the mask takes all",
     OF_8 + "    return ((x_t - coef * eps) / alpha.sqrt() + beta.sqrt() * z) * later",
     "you multiply x_t by"),
    (8, "no noise at T",
     OF_8 + "    noise = (t < schedule.T).view(-1, 1, 1, 1) * z\n"
     "    return (x_t - coef * eps) / alpha.sqrt() + beta.sqrt() * noise", "you multiply z by"),
    (8, "sigma of the step before", """
        beta, alpha, alpha_bar, before = (
            v.to(x_t.dtype).view(-1, 1, 1, 1)
            for v in (schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t],
                      schedule.beta[t - 1])
        )
        mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
        return mean + before.sqrt() * (t > 1).view(-1, 1, 1, 1) * z
    """, "you multiply z by"),
    (9, "steps from x_T every time", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_T, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "steps_from_x_T"),
    (9, "a t that multiplies pictures", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t), 1, 1, 1), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "it is a tensor (4, 1, 1, 1) of int64"),
    (9, "a float t", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), float(i), device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "it is a tensor (4,) of float32"),
    (9, "the pair the other way round", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield x_t, i
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield x_t, 0
    """, "no pair (t, x_t)"),
    (9, "noise beside z", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, z[i], model(x_t, t))
        yield 0, x_t
    """, "you multiply the predicted noise by"),
    (10, "half the noise", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), 0.5 * torch.randn_like(x_t))
        yield 0, x_t
    """, "random numbers of its own"),
    (10, "clamped", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t)).clamp(-1, 1)
        yield 0, x_t
    """, "clamped"),
    (10, "minus the prediction as z", """
        x_t = x_T
        for i in range(schedule.T, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            eps = model(x_t, t)
            x_t = p_step(schedule, x_t, t, eps, -eps)
        yield 0, x_t
    """, "you multiply the predicted noise by"),
    (11, "beta for 1 - alpha_bar",
     OF_11 + "    beta = schedule.beta[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)\n"
     "    return (1 - beta).sqrt() * x_0 + beta.sqrt() * eps", "ddim_alpha"),
    (11, "x_t for the noise",
     OF_11 + "    return a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * x_t",
     "you multiply the guess of x_0 by"),
    (11, "the picture of t", OF_11 + "    return a_t.sqrt() * x_0 + (1 - a_prev).sqrt() * eps",
     "you multiply the guess of x_0 by"),
    (11, "clamped at the end",
     OF_11 + "    return (a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * eps).clamp(-1, 1)",
     "ddim_clamped"),
    (12, "the time twice", """
        encoding = time_encoding(t, x.shape[1])
        both = encoding + encoding + embedding(label)[:, : x.shape[1]]
        return x + both[:, :, None, None].to(x.dtype)
    """, "you multiply the encoding of t by"),
    (12, "scaled by 1 + encoding",
     OF_12 + "    return x * (1 + (time + of_label)[:, :, None, None].to(x.dtype))", "scale"),
    (12, "rows for columns", """
        C = x.shape[1]
        encoding = time_encoding(t, C) + embedding(label)[:C]
        return x + encoding[:, :, None, None].to(x.dtype)
    """, "all_channels"),
    (13, "kept where u is small", "return torch.where(u > share, null_label, label)",
     "the wrong way round: you drop a label where u > share"),
    (13, "share itself is dropped too", "return torch.where(u <= share, null_label, label)",
     "where u <= 0.3; u < 0.3 belongs there"),
    (13, "null_label + 1", "return torch.where(u < share, null_label + 1, label)", "other_null"),
    (13, "a list", """
        return [null_label if v < share else y for v, y in zip(u, label)]
    """, "returns a list of 44"),
    (14, "w squared", OF_14 + "    return n + guidance**2 * (c - n)",
     "you multiply the prediction with the label by"),
    (14, "w at most 1", OF_14 + "    return n + min(guidance, 1.0) * (c - n)",
     "you multiply the prediction with the label by"),
    (14, "divided by 1 + w",
     OF_14 + "    return (n + guidance * (c - n)) / (1 + guidance)",
     "you multiply the prediction with the label by"),
    (14, "no label at t = 1 alone", """
        c = model(x_t, t, label)
        n = model(x_t, torch.ones_like(t), torch.full_like(label, null_label))
        return n + guidance * (c - n)
    """, "other_t"),
    # written without having seen the exercise files
    (8, "if for the whole batch", OF_8 + """
    mean = (x_t - coef * eps) / alpha.sqrt()
    if t > 1:
        return mean + beta.sqrt() * z
    return mean
    """, "`if`, `and` and `or` take one yes or no"),
    (8, "a mask without its axes",
     OF_8 + "    return (x_t - coef * eps) / alpha.sqrt() + beta.sqrt() * z * (t > 1)",
     "A number for each picture, (B,), meets pictures (B, 1, H, W)"),
    (9, "ends at 2, and yields behind the step", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 1, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), z[i])
            yield i - 1, x
    """, "you ask the network at t = 6, 5, 4, 3, 2; t = 6, 5, 4, 3, 2, 1 belongs there"),
    (9, "the t before the step", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), z[i])
            yield i, x
    """, "you yield t = 6, 6, 5, 4, 3, 2, 1; t = 6, 5, 4, 3, 2, 1, 0 belongs there"),
    (9, "a list of pictures", """
        x, frames = x_T, [x_T]
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), z[i])
            frames.append(x)
        return frames
    """, "returns a list of 7; it is to yield pairs"),
    (9, "nothing yielded", """
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x_T),), i)
            x_T = p_step(schedule, x_T, t, model(x_T, t), z[i])
    """, "Is a `yield` missing?"),
    (10, "the end alone", """
        x = x_T
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), torch.zeros_like(x))
        return x
    """, "returns a tensor (4, 1, 6, 10); it is to yield pairs"),
    (10, "ends at 2, and yields behind the step", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 1, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), torch.zeros_like(x))
            yield i - 1, x
    """, "you ask the network at t = 6, 5, 4, 3, 2; t = 6, 5, 4, 3, 2, 1 belongs there"),
    (9, "the noises from the other end", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), z[schedule.T - i + 1])
            yield i - 1, x
    """, "In the step t = 6 you give p_step z[1]; z[6] belongs there."),
    (9, "T is taken for 1000", """
        x_t = x_T
        for i in range(1000, 0, -1):
            yield i, x_t
            t = torch.full((len(x_t),), i, device=x_t.device)
            x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield 0, x_t
    """, "KeyError: 1000"),
    (9, "x_t and the prediction are swapped", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, model(x, t), t, x, z[i])
            yield i - 1, x
    """, "x_t by -0.4406 (= -β_t / (√(1 - ᾱ_t) √α_t)) where 1.195 (= 1 / √α_t) belongs"),
    (10, "x_T as z", """
        x = x_T
        yield schedule.T, x
        for i in range(schedule.T, 0, -1):
            t = torch.full((len(x),), i)
            x = p_step(schedule, x, t, model(x, t), x_T)
            yield i - 1, x
    """, "you multiply x_t by 1.743 where 1.195 (= 1 / √α_t) belongs"),
    (8, "a clipped guess of x_0", """
        at = lambda c, i: c[i].view(-1, 1, 1, 1).to(x_t.dtype)
        b, a, now = at(schedule.beta, t), at(schedule.alpha, t), at(schedule.alpha_bar, t)
        before = at(schedule.alpha_bar, t - 1)
        x_0 = ((x_t - (1 - now).sqrt() * eps) / now.sqrt()).clamp(-1, 1)
        mean = (before.sqrt() * b * x_0 + a.sqrt() * (1 - before) * x_t) / (1 - now)
        return mean + b.sqrt() * z * (t > 1).view(-1, 1, 1, 1)
    """, "right for small numbers, not for large ones"),
    (12, "one row for all labels", """
        C = x.shape[1]
        return x + (time_encoding(t, C) + embedding.weight[0, :C])[:, :, None, None]
    """, "label makes no difference to x"),
    (14, "a label that no row is for", """
        c, n = model(x_t, t, label), model(x_t, t, torch.full_like(label, -1))
        return n + guidance * (c - n)
    """, "that it has no row for"),
    (12, "label and t are swapped", """
        C = x.shape[1]
        both = time_encoding(label, C) + embedding(t)[:, :C]
        return x + both[:, :, None, None]
    """, "has a row for each label, 0 to 10; it is asked for row 500"),
]  # fmt: skip


def told(number: int, body: str) -> Verdict:
    """The verdict on an exercise's file whose function has this body."""
    exercise = find_exercise(str(number))
    above = exercise.start.source.split('    """')[0]
    source = above + textwrap.indent(textwrap.dedent(body), "    ")
    return judge(exercise, source, Path(f"{exercise.name}.py"), pictures=False)


@pytest.mark.parametrize(
    ("number", "body", "named"),
    [(number, body, named) for number, _, body, named in WRONG + LATER],
    ids=[f"{number}: {what}" for number, what, *_ in WRONG + LATER],
)
def test_what_is_wrong_is_named(number: int, body: str, named: str) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert verdict.mistake == named or (named and named in verdict.says), verdict


def test_most_wrong_versions_are_named() -> None:
    """At least five of six, as of those that nobody has thought of yet."""
    named = [bool(named) for *_, named in WRONG + LATER]
    assert len(named) >= 80 and sum(named) >= 5 / 6 * len(named)


# a check lets pass what a drawing can run

RUNS = [
    (14, """
        c, n = model(x_t, t, label), model(x_t, t, None)
        return n + guidance * (c - n)
    """),
    (14, """
        null = torch.full_like(label, null_label)
        c, n = model(x_t=x_t, t=t, label=label), model(x_t.clone(), t.clone(), label=null)
        return n + guidance * (c - n)
    """),
    (14, """
        both = model(torch.cat([x_t, x_t]), torch.cat([t, t]),
                     torch.cat([label, torch.full_like(label, null_label)]))
        c, n = both.chunk(2)
        return n + guidance * (c - n)
    """),
    (9, """
        for i in sorted(z.keys(), reverse=True):
            yield i, x_T
            t = torch.full((len(x_T),), i, device=x_T.device, dtype=torch.int32)
            x_T = p_step(schedule, x_t=x_T, t=t, eps=model(x_t=x_T, t=t), z=z.get(i))
        yield 0, x_T
    """),
]  # fmt: skip

STOPS = [
    (14, """
        c, n = model(x_t, t, label), model.forward(x_t, t, torch.full_like(label, null_label))
        return n + guidance * (c - n)
    """),
    (14, """
        c, n = model(x_t, t, label), model(x_t, t, torch.full_like(label, model.num_classes))
        return n + guidance * (c - n)
    """),
    (9, """
        for i in range(schedule.T, 0, -1):
            yield i, x_T
            t = torch.full((len(x_T),), i, device=x_T.device)
            x_T = p_step(schedule, x_T, t, model(x_T, t), z.pop(i))
        yield 0, x_T
    """),
    (9, """
        for i in range(schedule.T, 0, -1):
            yield i, x_T
            t = torch.full((len(x_T),), i, device=x_T.device)
            eps = torch.cat([model(x_T[j : j + 1], t[j : j + 1]) for j in range(len(x_T))])
            x_T = p_step(schedule, x_T, t, eps, z[i])
        yield 0, x_T
    """),
]  # fmt: skip


def drawn_with(number: int, body: str) -> Tensor:
    """Three pictures by a small network, in two steps."""
    exercise = find_exercise(str(number))
    above = exercise.start.source.split('    """')[0]
    namespace = dict[str, Any]()
    exec(above + textwrap.indent(textwrap.dedent(body), "    "), namespace)
    own = {exercise.function: namespace[exercise.function]}
    network, labels = UNet(4, num_classes=10), torch.tensor([3, 5, 7])
    two = SamplingOptions(steps=2, guidance=2.0)
    return last(draw_with(own, network, linear_schedule(), labels, two, seed=0, indices=range(3)))


@pytest.mark.parametrize(("number", "body"), RUNS)
def test_what_passes_runs_on_the_real_network(number: int, body: str) -> None:
    assert told(number, body).passed
    assert drawn_with(number, body).isfinite().all()


@pytest.mark.parametrize(("number", "body"), STOPS)
def test_what_the_real_network_stops_at_does_not_pass(number: int, body: str) -> None:
    with pytest.raises((AttributeError, RuntimeError, TypeError)):
        drawn_with(number, body)
    assert not told(number, body).passed


BORROWED = [
    (9, "from ddpm_tutor import ancestral_sampling as loop\n"
     "return loop(model, p_step, schedule, x_T, z)"),
    (9, "from ddpm_tutor import ancestral_sampling as loop\n"
     "yield from loop(model, p_step, schedule, x_T, z)"),
    (10, "from ddpm_tutor import ancestral_sampling as loop\n"
     "z = dict.fromkeys(range(1, schedule.T + 1), torch.zeros_like(x_T))\n"
     "return loop(model, p_step, schedule, x_T, z)"),
    (11, "from ddpm_tutor import ddim_step\nreturn ddim_step(schedule, x_t, t, t_prev, eps)"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body"), BORROWED)
def test_what_the_package_does_is_to_be_written_out(number: int, body: str) -> None:
    verdict = told(number, body)
    assert "Write it out: then it counts." in verdict.says and verdict.line
