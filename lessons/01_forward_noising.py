# %% [markdown]
# # Lesson 1 · Forward noising
#
# **Goal:** at the end you can turn any picture into pure noise, one small step
# at a time, and say what each number in that process means.
#
# **You need:** Python, and a rough idea of what a PyTorch tensor is.
#
# **Paper:** §2, 3.3, 4 · Eq. 2
#
# **Time:** 15 min
#
# A diffusion model learns to remove noise. So somebody has to add it first.
# That is the *forward process*, and it needs no learning at all.
#
# This tutor grew from a university assignment of 42 points. A question with a
# number, such as 11.9 c, is from there; `ddpm-tutor lessons` counts your points.

# %% [markdown]
# ## Setting up
#
# Every step of a lesson is the same: some words, the code that runs, and what
# it shows. Press `s` after a step to read the source of a function it used.
#
# The first cell holds this lesson's parameters. You can change them:
# `ddpm-tutor lesson 1 --set digit=3`.

# %% tags=["parameters"]
digit = 7  # which digit to dissolve
seed = 0  # another seed: another picture, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, linear_schedule, load_checkpoint, load_digits, normal,
    q_step, schedule_from_beta, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    FRAMES, ask_choice, ask_number, figure, noising, save_film, show,
    show_download, show_table, track,
)

# %% [markdown]
# ## The data
#
# MNIST has 60,000 small pictures of handwritten digits. We keep 55,000 to
# train on and 5,000 to check with.
#
# The pictures are 28×28. We pad them to 32×32, because the network will halve
# the side three times, and 32 → 16 → 8 → 4 stays whole.

# %%
digits = load_digits(progress=show_download)
print(digits.source)
same = digits.of_class(digit)
image = same[seed % len(same)]
show(image, f"a {digit}, padded to 32×32")

# %% [markdown]
# ## From -1 to +1
#
# The pixels are whole numbers from 0 to 255. We map them to -1..+1 (Section 3.3).
# Black becomes -1, white becomes +1. Why just this range? You will see below.

# %%
x_0 = to_unit_range(image)[None]  # (1, 1, 32, 32)
show(x_0, "x_0, as the model sees it")

# %% [markdown]
# ## One step of noise
#
# The paper calls a clean picture `x_0`. One step makes a slightly noisier one:
#
#     x_t = √(1 - β_t) x_{t-1} + √β_t ε          ε ~ N(0, I)          (2)
#
# Two things happen. The picture shrinks a little, by `√(1 - β_t)`. And a little
# noise is added, with variance `β_t`. How little? `β_1 = 0.0001`.
#
# `ε ~ N(0, I)` says that each pixel gets a number of its own, drawn from a bell
# curve with mean 0 and variance 1. The paper writes the same step as
# `q(x_t | x_{t-1}) = N(x_t; √(1 - β_t) x_{t-1}, β_t I)`.
#
# `schedule.beta[t]` is the paper's `β_t`. Index 0 is "no step yet".

# %%
schedule = linear_schedule()  # T = 1000, beta from 0.0001 to 0.02
generator = stream(seed, "lesson 1")
t = torch.tensor([1])
eps = normal(x_0.shape, generator, "cpu")
x_1 = q_step(schedule, x_0, t, eps)
show(x_1, "x_1, after one step")

# %% [markdown]
# ## You can hardly see it
#
# The noise of one step has a standard deviation of `√0.0001 = 0.01`, and the
# intensities span 2. Later steps add more, but even the last one only 0.14.
# That is why there are many steps, T = 1000. Each is so small that undoing it is
# one more draw from a bell curve (Section 2). The whole method rests on this.

# %%
change = x_1 - x_0
beta_1 = schedule.beta[1]
beta_T = schedule.beta[schedule.T]
print(f"noise of the first step: {beta_1 ** 0.5:.4f}")
print(f"noise of the last step:  {beta_T ** 0.5:.4f}")
show(change, "x_1 - x_0")

# %% [markdown]
# ## A thousand steps
#
# Now the same step, T times, with fresh noise each time. We keep the pictures
# at t = 0, 100, ..., 1000.
#
# At which t is the digit lost to your eye?

# %%
x_t, kept = x_0, {0: x_0}
for step in track(range(1, schedule.T + 1), schedule.T, "Adding noise"):
    eps = normal(x_0.shape, generator, "cpu")
    x_t = q_step(schedule, x_t, torch.tensor([step]), eps)
    if step % 100 == 0:
        kept[step] = x_t
show(torch.cat(list(kept.values())), "x_t", [f"t = {t}" for t in kept])

# %% [markdown]
# ## What is left at the end?
#
# `x_1000` is all that is left of the digit. Predict the standard deviation of its
# values. Then look at their histogram.

# %%
x_T = kept[schedule.T]
ask_number(
    "What is the standard deviation of the values of x_1000?",
    x_T.std(),
    tolerance=0.1,
    why="Each step shrinks what is there and adds fresh noise; the two balance at 1.",
)
show(x_T, "x_1000")

# %% [markdown]
# ## Why the two factors fit together
#
# Say that the values have variance v. After a step they have
#
#     (1 - β) v + β
#
# If v = 1, that is 1 again. If not, v moves a little towards 1 at each step.
# So the variance settles at 1, whatever the picture was. Meanwhile the mean
# is multiplied by `√(1 - β)` again and again, and dies away.
#
# We follow 50,000 copies of one pixel of the background, where x_0 = -1.

# %%
x, rows = torch.full((50_000, 1), -1.0), []
for step in track(range(1, schedule.T + 1), schedule.T, "Adding noise"):
    eps = normal(x.shape, generator, "cpu")
    x = q_step(schedule, x, torch.full((len(x),), step), eps)
    if step in (1, 50, 100, 200, 400, 600, 1000):
        rows.append((step, x.mean().item(), x.var().item()))
show_table("One pixel, 50,000 times", ["t", "mean", "variance"], rows)

# %% [markdown]
# ## The schedule
#
# The list of β is called the *schedule*. Here β grows in a straight line from
# 0.0001 to 0.02 (Section 4). Two more letters follow from it:
#
#     α_t = 1 - β_t          ᾱ_t = α_1 α_2 ... α_t
#
# After t steps the picture is multiplied by `√ᾱ_t`, so its power by `ᾱ_t`. The
# noise has variance `1 - ᾱ_t`. The power of the picture is about 1 at the start.
# So `ᾱ_t / (1 - ᾱ_t)` is about the *signal-to-noise ratio*.

# %%
rows = []
for t in (1, 100, 200, 300, 500, 700, 1000):
    alpha_bar = schedule.alpha_bar[t].item()
    snr = alpha_bar / (1 - alpha_bar)
    rows.append((t, schedule.beta[t].item(), alpha_bar, snr))
show_table("The schedule", ["t", "β_t", "ᾱ_t", "signal / noise"], rows)

# %%
picture, (left, right) = figure(9, 3.2, columns=2)
left.plot(schedule.alpha_bar, label="ᾱ, what is left of the picture")
left.plot(1 - schedule.alpha_bar, label="1 - ᾱ, the noise")
left.set(xlabel="t", title="Power of the picture and of the noise")
left.legend()
right.semilogy(schedule.alpha_bar[1:] / (1 - schedule.alpha_bar[1:]))
right.set(xlabel="t", title="Signal-to-noise ratio")
show(picture, "lesson 1 schedule")

# %% [markdown]
# ## Why -1 to +1?
#
# Now you can see why we scaled the data. Most pixels of a digit are -1, so its
# mean is not 0. But their mean square is nearly 1, like that of the noise.
#
# We walk one digit with one noise in three scalings. We look at the size of
# `x_t`, the root of its mean square (RMS), and at the signal-to-noise ratio.

# %%
scaled = {"-1 to 1": x_0, "0 to 1": (x_0 + 1) / 2, "0 to 255": image[None]}
rows, ends = [], []
for name, start in scaled.items():
    noise, x_t = stream(seed, "scales"), start.float()
    for step in range(1, schedule.T + 1):
        eps = normal(x_t.shape, noise, "cpu")
        x_t = q_step(schedule, x_t, torch.tensor([step]), eps)
        if step in (100, 300, 1000):
            power = schedule.alpha_bar[step] * start.float().square().mean()
            ratio = power / (1 - schedule.alpha_bar[step])
            size = x_t.square().mean().sqrt()
            rows.append((name, step, size.item(), ratio.item()))
    ends.append(x_t)
ask_choice(
    "Why are the pictures scaled to -1..1 before the process starts?",
    [
        ("Because pixels must be whole numbers.", "They are, before. After scaling they "
         "are not."),
        ("Because then x_t has about the size of the noise, from t = 0 to T.",
         "Yes. So the network sees inputs of one size. With 0..255 the digit outlives "
         "all 1000 steps. With 0..1 the same β buries it earlier."),
        ("Because negative numbers are noise.", "Noise has both signs, and so has the "
         "scaled picture."),
    ],
    answer=1,
    part="11.9 c",
    points=1,
)

# %%
show_table("The same β, three scalings",
           ["values", "t", "size of x_t (RMS)", "signal / noise"], rows)
show(torch.cat(ends), "x_1000 of each", list(scaled))

# %% [markdown]
# ## Choose a bad schedule
#
# Sampling will start from pure noise, N(0, I). So the forward process must
# end there. How much of the picture may be left at t = T?
#
# We keep T = 1000 and try three: β = 0.0001 in every step, the paper's
# schedule, and β = 0.2 in every step.

# %%
trials = {
    "β = 0.0001": schedule_from_beta(torch.full((1000,), 1e-4)),
    "the paper's": schedule,
    "β = 0.2": schedule_from_beta(torch.full((1000,), 0.2)),
}
ask_choice(
    "With β = 0.0001 in all 1000 steps, what is x_1000?",
    [
        ("pure noise", "That would need ᾱ_1000 near 0. See the table below: it is not."),
        ("the digit, with some noise on it",
         "ᾱ_1000 = 0.9999^1000 = 0.90. A sampler that starts from pure noise "
         "would start at a place that training never showed."),
        ("exactly the digit", "Then no noise would have been added. It was."),
    ],
    answer=1,
    part="11.9 e",
    points=1,
)

# %%
assert trials["β = 0.0001"].alpha_bar[-1] > 0.9
rows = []
for name, trial in trials.items():
    lost = int((trial.alpha_bar < 0.01).sum())  # steps that see only noise
    left = trial.alpha_bar[[100, 1000]].tolist()
    rows.append((name, *left, lost))
show_table("Schedules", ["", "ᾱ_100", "ᾱ_1000", "t with ᾱ < 0.01"], rows)

# %% [markdown]
# ## Too large is bad as well
#
# Look at the last row. With β = 0.2 the picture is gone after some twenty steps.

# %%
gone = int((trials["β = 0.2"].alpha_bar >= 0.01).sum())  # steps until then
print(f"β = 0.2: ᾱ_t falls below 0.01 at t = {gone}")
ask_choice(
    "What is wrong with β = 0.2 in all 1000 steps?",
    [
        ("x_1000 is not noise", "It is, more than enough: ᾱ_1000 is about 1e-97."),
        ("most steps are wasted, and the few that matter are too big to undo",
         "Yes. Some 980 steps turn noise into noise. And undoing a big step is no "
         "longer one draw from a bell curve (Section 2)."),
        ("the picture gets too bright", "Its scale stays near 1, as with every β."),
    ],
    answer=1,
    part="11.9 f",
    points=1,
)

# %% [markdown]
# ## Why does β grow?
#
# Take a constant β that ends at the very same ᾱ_1000 as the paper's. How many
# steps does each of the two spend while most of the picture is still there?

# %%
even_beta = 1 - schedule.alpha_bar[-1] ** (1 / 1000)
even = schedule_from_beta(even_beta.repeat(1000))
rows = []
for name, trial in (("growing", schedule), ("constant", even)):
    early = int((trial.alpha_bar[1:] > 0.9).sum())
    middle = int(((trial.alpha_bar > 0.1) & (trial.alpha_bar <= 0.9)).sum())
    late = int((trial.alpha_bar <= 0.1).sum())
    rows.append((name, trial.beta[1].item() ** 0.5, early, middle, late))
ask_choice(
    "Why does the paper let β grow from step to step?",
    [
        ("Small steps where fine detail is lost, larger ones where all is noise anyway.",
         "Yes. Sampling walks the same steps back: fine detail is made in many small "
         "ones."),
        ("To reach noise at all.", "A constant β reaches the same ᾱ_1000, see below."),
        ("So that every step adds the same noise.", "It adds more and more: that is what "
         "growing means."),
    ],
    answer=0,
    part="11.9 d",
    points=1,
)

# %%
show_table("Steps spent with",
           ["β", "first noise", "ᾱ > 0.9", "0.9 to 0.1", "below"], rows)

# %% [markdown]
# ## T cannot just be cut
#
# Fewer steps would be faster. But with the same range of β, fewer steps leave
# more of the picture. (Lesson 4 skips steps without that.)

# %%
rows = []
for T in (50, 200, 400, 1000):
    rows.append((T, linear_schedule(T).alpha_bar[-1].item()))
show_table("Fewer steps, same β from 0.0001 to 0.02", ["T", "ᾱ_T"], rows)

# %% [markdown]
# ## A film
#
# Last, the whole process as a GIF. On the left is `x_t`. On the right is what
# a trained network still makes of it: its guess of `x_0`. You will build that
# network in lesson 3. It is not told which digit it is. Watch how long it sees
# the digit after you have lost it.

# %%
where = choose_device(device)
trained = load_checkpoint(device=where)
frames = list(track(noising(
    trained.model, trained.schedule, x_0.to(where), None,
    seed=seed, indices=[0],
), FRAMES, "Filming"))
_ = save_film(frames, f"lesson 1 noising {digit}")

# %% [markdown]
# ## Recap
#
# - One step of the forward process shrinks the picture by `√(1 - β_t)` and adds
#   noise of variance `β_t` (Eq. 2).
# - The variance settles at 1 and the mean dies away, so that x_1000 is noise
#   from N(0, I), whatever x_0 was.
# - `ᾱ_t` says how much is left: 0.90 at t = 100, 0.08 at 500, 0.00004 at 1000.
# - A schedule (Section 4) must end in noise, and spend its steps where detail is
#   lost. Data scaled to -1..1 fits it (Section 3.3).
#
# A thousand steps are slow. Lesson 2 does them all in one.
