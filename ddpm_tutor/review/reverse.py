# %% [markdown]
# # Step by step back
#
# Questions on the reverse process: Eq. 6, 7, 9, 10, 11, and Algorithm 2.

# %% tags=["parameters"]
seed = 0  # other numbers

# %%
import torch

from ddpm_tutor import (
    beta_tilde, distance_of_means, linear_schedule, load_digits, normal,
    p_mean, p_step, predict_x_0, q_posterior, q_sample, respaced,
    schedule_from_beta, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, pick, say, show_download, show_images, show_table,
)

schedule = linear_schedule()
digits = load_digits(progress=show_download)

def a_digit(rng):  # any of the validation digits, (1, 1, 32, 32)
    i = pick(range(len(digits.validation_images)), rng)
    return to_unit_range(digits.validation_images[i : i + 1])

# %% [markdown]
# ## Eq. 6 · How far x_{t-1} scatters, if x_0 is known
#
# **Lesson:** 4
#
# If x_t and x_0 are both known, x_{t-1} has the variance β̃_t.

# %%
rng = stream(seed, "how far it scatters if x_0 is known")
t = pick((1, 2, pick(range(100, 901), rng)), rng)
true = (beta_tilde(schedule, torch.tensor([t])) / schedule.beta[t]).item()
ask_choice(
    f"At t = {t}: how large is β̃_t, beside β_t?",
    [
        ("it is 0", "Yes. x_{t-1} is x_0 itself at t = 1, and x_0 is known."
         if t == 1 else "That is so at t = 1, where x_{t-1} is x_0 itself."),
        ("about half", "Yes. Their ratio is (1 - ᾱ_{t-1}) / (1 - ᾱ_t), and at t = 2 only two steps "
         "of noise have come in." if t == 2 else "So it is at t = 2, where only two steps of noise "
         "have come in."),
        ("nearly the same", "Yes. Their ratio is (1 - ᾱ_{t-1}) / (1 - ᾱ_t). After many steps one "
         "more changes 1 - ᾱ_t little." if t > 2 else "So it is after many steps. Their ratio is "
         "(1 - ᾱ_{t-1}) / (1 - ᾱ_t)."),
    ],
    answer=0 if true == 0 else 1 if true < 0.7 else 2,
)
show_table("β̃_t and β_t", ["t", "β̃_t", "β_t", "ratio"], [
    (at, f"{beta_tilde(schedule, torch.tensor([at])).item():.6f}", f"{schedule.beta[at]:.6f}",
     f"{(beta_tilde(schedule, torch.tensor([at])) / schedule.beta[at]).item():.3f}")
    for at in sorted({1, 2, 10, t, 1000})])
assert true == 0 or 0.4 < true < 0.7 or true > 0.95

# %% [markdown]
# ## Eq. 7 · Who has the larger say
#
# **Lesson:** 4
#
# μ̃_t is a mixture of x_0 and x_t: each has a factor.

# %%
rng = stream(seed, "who has the larger say")
t = pick((1, 2, pick(range(10, 50), rng), pick(range(100, 901), rng)), rng)

def factors(t):
    at = torch.tensor([t])
    one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    pairs = (one, none), (none, one)
    return [q_posterior(schedule, x_t, x_0, at)[0].item() for x_0, x_t in pairs]

of_x_0, of_x_t = factors(t)
ask_choice(
    f"At t = {t}: which has the larger factor in μ̃_t, x_0 or x_t?",
    [
        ("x_0", "Yes. So near the picture there is little noise. What is known of x_0 decides."
         if of_x_0 > of_x_t else "That is so at t = 1 and 2 only. A step is short: x_{t-1} stays "
         "close to x_t."),
        ("x_t", "Yes. A step is short: x_{t-1} stays close to x_t, and x_0 only pulls a little."
         if of_x_0 < of_x_t else "So it is from t = 3 on. But here one or two steps of noise have "
         "come in, and a step leads half of the way to x_0, or all."),
        ("both the same", "That is so at no t of this schedule."),
    ],
    answer=0 if of_x_0 > of_x_t else 1,
)
show_table("Factors in Eq. 7", ["t", "of x_0", "of x_t"], [
    (at, *(f"{f:.4f}" for f in factors(at))) for at in sorted({1, 2, 3, t, 1000})])
assert (of_x_0 > of_x_t) == (t <= 2)

# %% [markdown]
# ## Eq. 7 · The wrong picture
#
# **Lesson:** 4

# %%
rng = stream(seed, "the wrong picture")
t = pick(range(200, 601), rng)
right, wrong = a_digit(rng), a_digit(rng)
bar_before = schedule.alpha_bar[t - 1].item()
pull = bar_before ** 0.5 * schedule.beta[t].item() / (1 - schedule.alpha_bar[t].item())
ask_choice(
    f"At t = {t} you put another digit for x_0 into Eq. 7. How far does the mean μ̃_t move, as a "
    "share of the distance between the two digits?",
    [
        (f"{pull:.4f}", "Yes: the factor of x_0, √ᾱ_{t-1} β_t / (1 - ᾱ_t). A step is short, so a "
         "wrong guess of x_0 does little harm yet. The next step asks again."),
        (f"{bar_before ** 0.5:.2f}", "That is √ᾱ_{t-1}, where Eq. 4 would lead. But x_t is known "
         "as well, and holds the mean back."),
        ("1: all of it", "Then one step would lead to x_0. It is a step of a thousand."),
    ],
    answer=0,
)
eps, at = normal(right.shape, rng, "cpu"), torch.tensor([t])
x_t = q_sample(schedule, right, at, eps)
means = [q_posterior(schedule, x_t, x_0, at)[0] for x_0 in (right, wrong)]
show_images(torch.cat([right, wrong, x_t, *means]), "Two x_0, one x_t",
            captions=["right", "wrong", f"x_{t}", "its mean", "its mean"])
if (apart := (right - wrong).norm().item()) > 0:
    moved = (means[0] - means[1]).norm().item() / apart
    say(f"Measured: the mean has moved by {moved:.4f} of their distance.")
    assert abs(moved - pull) < 0.01 * pull + 1e-5

# %% [markdown]
# ## Eq. 9 · The noise is drawn once
#
# **Lesson:** 3
#
#     x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε,     x_0' = 1/√ᾱ_t (x_t - √(1-ᾱ_t) ε)
#
# Eq. 9 has ε in both. Somebody draws a new ε for the second.

# %%
rng = stream(seed, "the noise is drawn once")
t = pick(range(150, 701), rng)
bar = schedule.alpha_bar[t].item()
true = (2 * (1 - bar) / bar) ** 0.5
ask_choice(
    f"At t = {t} is √ᾱ_t = {bar ** 0.5:.2f}, and √(1 - ᾱ_t) = {(1 - bar) ** 0.5:.2f}. How far "
    "is x_0' off then, as the root of the mean square of its pixels?",
    [
        (f"{true:.2f}", "Yes. The old noise is still in it, and the new one is taken out on top. "
         "They are independent, so their variances add: √2 · √(1 - ᾱ_t) / √ᾱ_t. With one ε it "
         "is x_0 itself."),
        (f"{true / 2 ** 0.5:.2f}", "That is one noise, √(1 - ᾱ_t) / √ᾱ_t. There are two: the old "
         "one, which nothing takes out, and the new one."),
        ("0.00", "So it is with the ε that is in x_t. Of another one nothing is there to be taken "
         "out."),
    ],
    answer=0,
)
x_0, at = a_digit(rng), torch.tensor([t])
eps, other = (normal(x_0.shape, rng, "cpu") for _ in range(2))
x_t = q_sample(schedule, x_0, at, eps)
back = [predict_x_0(schedule, x_t, at, e) for e in (eps, other)]
show_images(torch.cat([x_0, x_t, *back]), "x_0'", captions=["x_0", f"x_{t}", "one ε", "two ε"])
off = (back[1] - x_0).square().mean().sqrt().item()
say(f"Measured on this digit: {off:.3f}. With one ε: {(back[0] - x_0).abs().max():.0e}.")
assert abs(off - true) < 0.12 * true

# %% [markdown]
# ## Eq. 9 · Another σ_t²
#
# **Lesson:** 3, 6
#
#     L_{t-1} - C = E[ 1/(2σ_t²) · ‖μ̃_t - μ_θ‖² ]

# %%
rng = stream(seed, "another sigma_t^2")
t = pick(range(2, 7), rng)
ratio = (beta_tilde(schedule, torch.tensor([t])) / schedule.beta[t]).item()
ask_choice(
    f"At t = {t}, β̃_t is {ratio:.2f} β_t. You take σ_t² = β̃_t in place of β_t, with the same "
    "network. By what is this term multiplied?",
    [
        (f"by {1 / ratio:.2f}", "Yes. The means stay where they are, and σ_t² stands below: the "
         "same distance is more between two narrower bells."),
        (f"by {ratio:.2f}", "That is what becomes of σ_t². It stands below."),
        ("by 1.00", "The distance of the means stays. But it is divided by 2σ_t²."),
    ],
    answer=0,
)
x_0, at = a_digit(rng), torch.tensor([t])
eps = normal(x_0.shape, rng, "cpu")
x_t = q_sample(schedule, x_0, at, eps)
said = eps + 0.1 * normal(x_0.shape, rng, "cpu")  # as a network that is off by about 0.1
terms = [distance_of_means(schedule, x_0, x_t, at, said, variance).mean().item()
         for variance in (schedule.beta[at].view(1, 1, 1, 1),
                          beta_tilde(schedule, at).view(1, 1, 1, 1))]
show_table("Mean of a pixel's distance, nats", ["σ_t²", "nats"], [
    ("β_t", f"{terms[0]:.5f}"), ("β̃_t", f"{terms[1]:.5f}")])
assert abs(terms[1] / terms[0] - 1 / ratio) < 1e-3

# %% [markdown]
# ## Eq. 10 · An error of the network, one step on
#
# **Lesson:** 4

# %%
rng = stream(seed, "an error of the network, one step on")
t = pick(range(200, 351), rng)  # later √(1 - ᾱ_t) is nearly 1
off = pick((0.1, 0.2, 0.5), rng)
beta, alpha, bar = (v[t].item() for v in (schedule.beta, schedule.alpha, schedule.alpha_bar))
true = off * beta / (alpha * (1 - bar)) ** 0.5
ask_choice(
    f"At t = {t} is β_t = {beta:.4f}, and √(1 - ᾱ_t) = {(1 - bar) ** 0.5:.2f}. ε_θ is off by "
    f"{off} in a pixel. How far is μ_θ from what Eq. 10 wants?",
    [
        (f"{true:.4f}", "Yes. Both means have the same x_t. What is left of their difference is "
         "β_t / (√α_t √(1 - ᾱ_t)) of that in ε."),
        (f"{off * (1 - bar) ** 0.5:.2g}", "So much it would be if all the noise were taken out at "
         "once. One step takes out β_t / √(1 - ᾱ_t)."),
        (f"{off:g}", "Then the mean would be all ε. It is x_t, and a little of ε."),
    ],
    answer=0,
)
x_0, at = a_digit(rng), torch.tensor([t])
eps = normal(x_0.shape, rng, "cpu")
x_t = q_sample(schedule, x_0, at, eps)
apart = (p_mean(schedule, x_t, at, eps + off) - p_mean(schedule, x_t, at, eps)).abs().mean().item()
say(f"Measured on a digit: the two means are {apart:.5f} apart.")
assert abs(apart - true) < 0.01 * true

# %% [markdown]
# ## Eq. 11 · How much of ε_θ goes in one step
#
# **Lesson:** 4

# %%
rng = stream(seed, "how much of eps_theta goes in one step")
t = pick(range(200, 1001), rng)
beta, bar = schedule.beta[t].item(), schedule.alpha_bar[t].item()
true = beta / (1 - bar) ** 0.5
ask_choice(
    f"At t = {t} is β_t = {beta:.4f}, and ᾱ_t = {bar:.4f}. By what does Eq. 11 multiply ε_θ "
    "before it is taken from x_t?",
    [
        (f"by {true:.4f}", "Yes: β_t / √(1 - ᾱ_t). The noise of one step, out of the noise of all "
         "t."),
        (f"by {beta ** 0.5:.4f}", "That is √β_t. It is what comes of α_t where ᾱ_t belongs: it "
         "takes out too much, and the samples come out wrong."),
        (f"by {(1 - bar) ** 0.5:.4f}", "That is √(1 - ᾱ_t): all the noise, as in Eq. 15. One step "
         "takes out far less."),
    ],
    answer=0,
)
x, at = torch.zeros(1, 1, 1, 1), torch.tensor([t])
taken = -p_mean(schedule, x, at, torch.ones(1, 1, 1, 1)).item() * schedule.alpha[t].sqrt().item()
say(f"Computed by p_mean: {taken:.5f}.")
assert abs(taken - true) < 1e-5

# %% [markdown]
# ## Eq. 11 · One pixel, one step
#
# **Lesson:** 4
#
#     μ_θ = 1/√α_t · (x_t - β_t/√(1 - ᾱ_t) · ε_θ)

# %%
rng = stream(seed, "one pixel, one step")
noise = pick((0.6, 0.8, 0.95), rng)  # √(1 - ᾱ_t)
x_t, eps = pick((-0.9, -0.3, 0.4, 0.8), rng), pick((-1.0, -0.5, 0.5, 1.0), rng)
beta = 0.19  # √α_t is 0.9
true = (x_t - beta / noise * eps) / 0.9
ask_number(
    f"β_t = {beta}, so √α_t = 0.9. And √(1 - ᾱ_t) = {noise}. A pixel of x_t is {x_t}, and ε_θ is "
    f"{eps} there. What is the mean of the step back?",
    true,
    tolerance=0.02,
    why=f"({x_t} - {beta} / {noise} · {eps}) / 0.9. Take out a little noise, then divide by √α_t.",
)
first = 1 - (1 - noise ** 2) / (1 - beta)  # β_1 of a chain whose second step this is
two = schedule_from_beta(torch.tensor([first, beta]))
mean = p_mean(two, torch.full((1, 1, 1, 1), x_t), torch.tensor([2]), torch.full((1, 1, 1, 1), eps))
say(f"p_mean, in a chain of two steps with these numbers: {mean.item():.4f}.")
assert abs(mean.item() - true) < 1e-3

# %% [markdown]
# ## Alg. 2 · The noise that is put back
#
# **Lesson:** 4

# %%
rng = stream(seed, "the noise that is put back")
t = pick((1, pick(range(50, 901), rng), pick(range(50, 901), rng)), rng)
sigma = schedule.beta[t].item() ** 0.5
ask_choice(
    f"Algorithm 2 is at t = {t}, where β_t = {schedule.beta[t]:.4f}. With σ_t² = β_t: how much "
    "noise does this step add, as a standard deviation?",
    [
        ("none", "Yes. z = 0 at t = 1: nothing looks at the picture after this step, so noise "
         "would "
         "only stay in it." if t == 1 else "That is so at t = 1 only. Without it the spread of x_t "
         "shrinks, and the network sees what it never learned."),
        (f"{sigma:.3f}", "Yes: σ_t = √β_t. It puts back the spread that taking the mean has taken "
         "away."
         if t > 1 else "So it would be at any other t. At the last step z is 0."),
        (f"{sigma ** 2:.4f}", "That is β_t, the variance. The standard deviation is its root."),
    ],
    answer=0 if t == 1 else 1,
)
x, at = torch.zeros(1, 1, 200, 200), torch.tensor([t])
z = normal(x.shape, rng, "cpu")
added = (p_step(schedule, x, at, x, z) - p_mean(schedule, x, at, x)).std().item()
say(f"Measured on 40,000 pixels: a step at t = {t} adds noise of {added:.4f}.")
assert abs(added - (0 if t == 1 else sigma)) < 0.02 * sigma

# %% [markdown]
# ## Alg. 2 · Fewer steps, longer ones
#
# **Lesson:** 4
#
# A short chain may use some of the t alone. Its β are chosen so that ᾱ stays the same
# at these t.

# %%
rng = stream(seed, "fewer steps, longer ones")
steps = pick((5, 10, 20), rng)
i = pick(range(steps // 3 + 1, steps), rng)
short, times = respaced(schedule, steps)
t, before = int(times[i]), int(times[i - 1])
beta = short.beta[i].item()
ask_choice(
    f"{steps} steps in place of 1000. One of them leads from t = {t} to t = {before}, where β_t = "
    f"{schedule.beta[t]:.4f}. What is the β of this long step?",
    [
        (f"{beta:.3f}", f"Yes: 1 - ᾱ_{t} / ᾱ_{before}, the noise of all {t - before} steps "
         "together."),
        (f"{schedule.beta[t]:.4f}, as before", "Then ᾱ of the short chain would be far too large: "
         f"it has {steps} steps, not 1000."),
        (f"{(t - before) * schedule.beta[t].item():.2f}", f"That is {t - before} times β_t. But a "
         "step makes the noise of those before fainter, and β was smaller before."),
    ],
    answer=0,
)
show_table("ᾱ of both chains", ["t", "1000 steps", f"{steps} steps"], [
    (int(times[k]), f"{schedule.alpha_bar[times[k]]:.5f}", f"{short.alpha[1 : k + 1].prod():.5f}")
    for k in (i - 1, i, steps)])
assert abs(beta - (1 - schedule.alpha_bar[t] / schedule.alpha_bar[before]).item()) < 1e-9
