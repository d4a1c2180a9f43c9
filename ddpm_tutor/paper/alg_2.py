# %% [markdown]
# # Alg. 2 · Sampling
#
# **Where:** §3.2, at its end, beside Algorithm 1
#
# **Symbols:** x_t, x_{t-1}, t, T, ε_θ, α_t, ᾱ_t, σ_t², z, N
#
# **Function:** p_step, ancestral_sampling
#
# **Lesson:** 4, Algorithm 2; 4, One step, taken apart; 8, Algorithm 2, with no network
#
# **Exercise:** 8, 9
#
# **Mistakes:** no_noise, one_z, clamped
#
# **See:** eq 1, eq 11, sec 3.2
#
#     1  x_T ~ N(0, I)
#     2  for t = T, ..., 1 do
#     3    z ~ N(0, I) if t > 1, else z = 0
#     4    x_{t-1} = 1/√α_t (x_t - (1-α_t)/√(1-ᾱ_t) ε_θ(x_t, t)) + σ_t z
#     5  end for
#     6  return x_0
#
# Begin with noise and go back, a step at a time. Line 4 draws from p_θ: the mean of
# Eq. 11, plus σ_t times fresh noise. (1-α_t is β_t.)

# %% [markdown]
# ## Why does it not explode?
#
# Line 4 divides by √α_t, which is below 1: the picture is made larger, a thousand
# times over.

# %% tags=["parameters"]
seed = 0  # another chain
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, last, load_checkpoint, normal,
    p_step, stream,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_curves, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
grown = schedule.alpha[1:].rsqrt().prod().item()  # all 1/√α_t together
ask_choice(
    "If the network said ε_θ = 0 at every t, and z were 0 too: how much larger than x_T would "
    "the x_0 be that comes out?",
    [
        ("1.6 times", "That is 1/√α_t at the middle t, to the power of about a hundred. There are "
         "a thousand steps."),
        ("no larger", "Then 1/√α_t would have to be 1. It is 1.005 at t = 500, and "
         "a thousand such factors are multiplied."),
        ("157 times", "Yes. The factors make 1/√ᾱ_T, by which Eq. 15 divides too. All that "
         "keeps x_t small is the noise that the network finds in it."),
    ],
    answer=2 if 150 < grown < 165 else 1,
)
bound = schedule.alpha_bar[-1].rsqrt().item()
print(f"all 1/√α_t multiplied: {grown:.2f}, and 1/√ᾱ_T: {bound:.2f}")
assert abs(grown - bound) < 1e-3 * bound

# %% [markdown]
# ## One step, with all tensors
#
# Half way down a chain, at t = 500, for four pictures. The right column is
# the spread of each tensor's pixels.

# %%
options = SamplingOptions(steps=50)
chain = {s.t: s for s in draw(model, schedule, None, options,
                              seed=seed, indices=range(4))}
x_t = chain[500].x_t
t = torch.full((4,), 500, device=where)
with torch.no_grad():
    eps_theta = model(x_t, t, None)
z = normal(x_t.shape, stream(seed, "alg 2"), where)
alpha, beta, bar = (v[500].item() for v in (
    schedule.alpha, schedule.beta, schedule.alpha_bar))
taken = beta / (1 - bar) ** 0.5 * eps_theta
mean = (x_t - taken) / alpha**0.5
put = beta**0.5 * z  # σ_t z, with σ_t² = β_t
x_prev = mean + put
by_p_step = p_step(schedule, x_t, t, eps_theta, z)
assert torch.allclose(x_prev, by_p_step, atol=1e-5)

# %%
rows = [("x_500", x_t), ("ε_θ(x_500, 500)", eps_theta), ("taken out", taken),
        ("mean, μ_θ", mean), ("z", z), ("put in, σ_t z", put),
        ("x_499", x_prev)]
show_table("Line 4", ["", "shape", "std"], [
    (name, " × ".join(map(str, v.shape)), f"{v.std():.4f}")
    for name, v in rows])
ratio = (put.std() / taken.std()).item()
along = [torch.cosine_similarity(v.flatten(1), eps_theta.flatten(1))
         .abs().mean().item() for v in (taken, put)]
say(f"{ratio:.0f} times as much noise is put in as taken out, and still x gets clearer. What is "
    f"taken out lies along ε_θ, all of it: cosine {along[0]:.2f}. What is put in points anywhere, "
    f"and in a space of 1024 directions next to none of that is along ε_θ: {along[1]:.2f}.")
one = torch.stack([x_t[0], eps_theta[0], 50 * taken[0], 5 * put[0],
                   x_prev[0]])
show_images(one.cpu(), "One step", ["x_500", "ε_θ", "50 × taken out",
                                    "5 × put in", "x_499"])
assert ratio > 5 and along[0] > 0.99 and along[1] < 0.1

# %% [markdown]
# ## The whole chain
#
# Fifty steps spread over the thousand, so that it is quick. Above is x_t, below it what
# the network takes for x_0 (Eq. 15). Then the std of x_t: it stays where the forward
# chain has it, if the pictures that came out are noised by Eq. 4.

# %%
times = [1000, 500, 300, 100, 0]
show_images(torch.cat([torch.stack([chain[i].x_t[0] for i in times]),
                       torch.stack([chain[i].x_0_hat[0] for i in times])]),
            "One chain: x_t, and the estimate of x_0",
            [f"x_{i}" for i in times] + ["estimate"] * len(times),
            columns=len(times))
own, left = chain[0].x_t.var().item(), schedule.alpha_bar.tolist()
spread = {i: s.x_t.std().item() for i, s in chain.items()}
forward = {i: (left[i] * own + 1 - left[i]) ** 0.5 for i in chain}
show_curves("std of x_t", {
    "Algorithm 2": spread.items(), "Eq. 4": forward.items()})
assert all(abs(spread[i] - forward[i]) < 0.1 for i in chain)

# %% [markdown]
# ## What people get wrong
#
# They leave z out (`no_noise`), or draw it once and add the same in each step
# (`one_z`). Or they clamp x_t to [-1, 1] (`clamped`): that is for the estimate of x_0.
# Each is drawn from the same x_T, here in fifty steps.

# %%
names = {"no_noise": "no z", "one_z": "one z", "clamped": "x_t clamped"}
pictures = [chain[0].x_t[:3].cpu()]
for name in names:
    wrong = find_bug(name).draw(trained, None, options, seed=seed,
                                indices=range(3))
    pictures.append(last(wrong).cpu())
show_images(torch.stack(pictures, dim=1).flatten(0, 1),
            "The right chain, and three wrong ones",
            ["right", *names.values()] * 3, columns=4)
bright = [(x > 0).float().mean().item() for x in pictures]
show_table("Bright pixels", ["", "share"], [
    (name, f"{b:.0%}") for name, b in zip(["right", *names.values()], bright,
                                          strict=True)])
