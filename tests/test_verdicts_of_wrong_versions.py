"""Wrong answers to exercises 1 to 7 as learners write them, and what they are told.

None of them stands in an exercise file as it does here: a verdict has to name the mistake, or the
coefficient, in at least five of six. What is asked for is a few words of it.
"""

import textwrap
from pathlib import Path

import pytest

from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.verdict import Verdict


def told(number: int, body: str) -> Verdict:
    """The verdict on an exercise's file whose function has this body."""
    exercise = find_exercise(str(number))
    above = exercise.start.source.split('    """')[0]
    source = above + textwrap.indent(textwrap.dedent(body), "    ")
    return judge(exercise, source, Path(f"{exercise.name}.py"), pictures=False)


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
    """, ["eps by 0.2004 where 0.1002 (= √β_t)"]),
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
    """, ["smallest t, largest t, the same seed gives the same"]),  # two slips
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
    (4, """
        i = torch.arange(0, channels, 2)
        angle = t[:, None] / 10000 ** (i / channels)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(len(t), channels)
    """, ["Sines and cosines take turns", "Make no tensor on the CPU (line 8)"]),
    (4, """
        i = torch.arange(channels // 2)
        angle = t[:, None] / 10000 ** (i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["The exponent is i / C", "Make no tensor on the CPU"]),
    (4, """
        angle = t[:, None] / 10000 ** torch.linspace(0, 1, channels // 2)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["run up to 1 itself", "Make no tensor on the CPU"]),
    (4, """
        i = torch.arange(0, channels, 2)
        angle = t[:, None] / 10000 ** (2 * i / channels)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
    """, ["4i / C", "Make no tensor on the CPU"]),
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
]  # fmt: skip


@pytest.mark.parametrize(("number", "body", "words"), WRONG)
def test_a_wrong_version_is_told_what_is_wrong(number: int, body: str, words: list[str]) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert all(one in in_words(verdict) for one in words), in_words(verdict)
    assert all(len(row) == len(verdict.columns) and row[-1] != row[-2] for row in verdict.rows)
