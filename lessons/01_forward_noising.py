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
# Questions with a number, such as 11.9 c, are from a university assignment of 42
# points. The first answer in a sitting counts. A point once earned stays.

# %% [markdown]
# ## Setting up
#
# Every step of a lesson is the same: some words, the code that runs, and what
# it shows. Press the key `s` after a step to read the source of a function it
# used. The command `ddpm-tutor lessons` counts your points.
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
    show_download, show_images, show_table, track,
)

# %% [markdown]
# ## The data
#
# MNIST has 60,000 small pictures of handwritten digits: 55,000 to train on and
# 5,000 to check with. Where it is not at hand, 2,000 digits drawn by this
# package's own model stand in. The first line printed says which you have.
#
# The pictures are 28×28. We pad them to 32×32, because the network will halve
# the side three times, and 32 → 16 → 8 → 4 stays whole.
#
# The box has the tensor's shape and statistics. Its last line is a histogram of
# the values, from min to max.

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
# 0 becomes -1, and 255 becomes +1. Why just this range? You will see below.

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
print(f"noise of the first step: {schedule.beta[1] ** 0.5:.4f}")
print(f"noise of the last step:  {schedule.beta[schedule.T] ** 0.5:.4f}")
show(x_1 - x_0, "x_1 - x_0")

# %% [markdown]
# ## A thousand steps
#
# Now the same step, T times, with fresh noise each time. We keep the pictures
# at t = 0, 100, ..., 1000. Small pictures on the screen are means of 2×2 pixels,
# so that the noise looks half as strong.
#
# At which t is the digit lost to your eye?

# %%
x_t, kept = x_0, {0: x_0}
for step in track(range(1, schedule.T + 1), schedule.T, "Adding noise"):
    eps = normal(x_0.shape, generator, "cpu")
    x_t = q_step(schedule, x_t, torch.tensor([step]), eps)
    if step % 100 == 0:
        kept[step] = x_t
times = range(0, 1000, 100)
show_images(torch.cat([kept[t] for t in times]), "x_t",
            [f"t = {t}" for t in times])

# %% [markdown]
# ## What is left at the end?
#
# `x_1000` is all that is left of the digit. Predict how its values spread. Then
# look at their histogram.

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
# We follow 50,000 copies of one pixel of the background, where x_0 = -1: there
# v starts at 0. The last column starts at v = 4 and follows the formula.

# %%
x, v, rows = torch.full((50_000, 1), -1.0), 4.0, []
for step in track(range(1, schedule.T + 1), schedule.T, "Adding noise"):
    eps = normal(x.shape, generator, "cpu")
    x = q_step(schedule, x, torch.full((len(x),), step), eps)
    beta = schedule.beta[step].item()
    v = (1 - beta) * v + beta
    if step in (1, 50, 100, 200, 400, 600, 1000):
        rows.append((step, x.mean().item(), x.var().item(), v))
show_table("One pixel, 50,000 times",
           ["t", "mean", "variance", "from v = 4"], rows)

# %% [markdown]
# ## The schedule
#
# The list of β is called the *schedule*. Here β grows in a straight line from
# 0.0001 to 0.02 (Section 4). Two more letters follow from it:
#
#     α_t = 1 - β_t          ᾱ_t = α_1 α_2 ... α_t
#
# After t steps the picture is multiplied by `√ᾱ_t`, and the noise has variance
# `1 - ᾱ_t`. The last table shows both: its mean is about `-√ᾱ_t`, its variance
# about `1 - ᾱ_t`.
#
# *Power* is the mean of the squared values. The picture's is multiplied by `ᾱ_t`;
# that of the noise is `1 - ᾱ_t`. The first divided by the second is the
# *signal-to-noise ratio*. When is it 1? Was that when your eye lost the digit?

# %%
power, rows = x_0.square().mean().item(), []
for t in (1, 100, 200, 300, 500, 700, 1000):
    alpha_bar = schedule.alpha_bar[t].item()
    snr = power * alpha_bar / (1 - alpha_bar)
    rows.append((t, schedule.beta[t].item(), alpha_bar, snr))
show_table("The schedule", ["t", "β_t", "ᾱ_t", "signal / noise"], rows)

# %%
signal, noise = power * schedule.alpha_bar, 1 - schedule.alpha_bar
ratio = signal[1:] / noise[1:]  # at t = 0 there is no noise
with figure(9, 3.2, columns=2) as (picture, (left, right)):
    left.plot(signal, label="the picture")
    left.plot(noise, label="the noise")
    left.set(xlabel="t", title="Power")
    left.legend()
    right.semilogy(range(1, schedule.T + 1), ratio)
    right.axhline(1, color="grey", linewidth=0.8)
    right.set(xlabel="t", title="Signal-to-noise ratio")
show(picture, "lesson 1 schedule")
print(f"The ratio falls below 1 at t = {1 + int((ratio >= 1).sum())}.")
small = 1 + int((4 * ratio >= 1).sum())  # a mean of 4: a quarter of the noise
print(f"In small pictures, means of 2×2 pixels, it does so near t = {small}.")

# %% [markdown]
# ## Why -1 to +1?
#
# Now you can see why we scaled the data. We walk one digit with one noise in
# three scalings, and measure two things on the way: the root of the mean square
# of `x_t` (RMS), and the signal-to-noise ratio.

# %%
scaled = {"[-1, 1]": x_0, "[0, 1]": (x_0 + 1) / 2, "[0, 255]": image[None]}
rows, ends = [], []
for name, start in scaled.items():
    noise, x_t = stream(seed, "scales"), start.float()
    for step in range(1, schedule.T + 1):
        eps = normal(x_t.shape, noise, "cpu")
        x_t = q_step(schedule, x_t, torch.tensor([step]), eps)
        if step in (100, 300, 1000):
            signal = schedule.alpha_bar[step] * start.float().square().mean()
            snr = signal / (1 - schedule.alpha_bar[step])
            rms = x_t.square().mean().sqrt()
            rows.append((name, step, rms.item(), snr.item()))
    ends.append(x_t)
ask_choice(
    "Why are the pictures scaled to -1..1 before the process starts?",
    [
        ("because a network cannot take in values as large as 255",
         "It can. But x_t would be large at first and about 1 at the end, see below."),
        ("because the noise has values from -1 to 1 as well",
         "It has a standard deviation of 1: one value in three lies outside -1..1."),
        ("because then x_t has about one size at every t",
         "Yes. Most pixels are -1, so the mean square of a digit is nearly 1, like that of "
         "the noise. With 0..255 the digit outlives all 1000 steps. With 0..1 the same β "
         "buries it earlier."),
    ],
    answer=2,
    part="11.9 c",
    points=1,
)

# %%
show_table("The same β, three scalings",
           ["values", "t", "size of x_t (RMS)", "signal / noise"], rows)
show_images(torch.cat(ends), "x_1000 of each", list(scaled))

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
        ("nearly pure noise", "That would need ᾱ_1000 near 0. See the table below: it is not."),
        ("the digit, with some noise on it",
         "Yes. ᾱ_1000 = 0.9999^1000 = 0.90; the paper's schedule leaves 0.00004. A sampler "
         "that starts from pure noise would start where training never was."),
        ("noise, with a faint digit left in it", "That would need ᾱ_1000 of about 0.1."),
    ],
    answer=1,
    part="11.9 e",
    points=1,
)

# %%
assert trials["β = 0.0001"].alpha_bar[-1] > 0.9
rows, ends = [], []
for name, trial in trials.items():
    noise, x_t = stream(seed, "schedules"), x_0
    for step in range(1, 1001):
        eps = normal(x_t.shape, noise, "cpu")
        x_t = q_step(trial, x_t, torch.tensor([step]), eps)
    ends.append(x_t)
    left = trial.alpha_bar[1000].item()
    rows.append((name, left, power * left / (1 - left)))
show_table("At t = 1000", ["schedule", "ᾱ_1000", "signal / noise"], rows)
show_images(torch.cat(ends), "x_1000 of each", list(trials))

# %% [markdown]
# ## Too large is bad as well
#
# With β = 0.2 the end is pure noise, as with the paper's schedule. But how does
# it get there, and could one get back?
#
# For the way back we take 50,000 pixels, half of them -1 and half +1, and do the
# first step. Some may be near 0 then. What were those before?

# %%
ask_choice(
    "What is wrong with β = 0.2 in all 1000 steps?",
    [
        ("most steps are wasted, and the few others too big",
         "Yes. Some 980 steps turn noise into noise. And to undo a big step is no longer "
         "one draw from a bell curve (Section 2): below, half of the pixels near 0 were "
         "-1, the others +1, and none was between."),
        ("the variance of x_t grows far beyond that of the noise",
         "It settles at 1 with any β: the step shrinks as much as it adds."),
        ("x_t changes too little from one step to the next",
         "At first it changes far more than with the paper's β. Later it is all noise."),
    ],
    answer=0,
    part="11.9 f",
    points=1,
)

# %%
pixels, rows = torch.ones(50_000, 1), []
pixels[::2] = -1
for name in ("the paper's", "β = 0.2"):
    gone = int((trials[name].alpha_bar >= 0.01).sum())  # steps until then
    print(f"{name}: ᾱ_t falls below 0.01 at t = {gone}")
    eps = normal(pixels.shape, generator, "cpu")
    x_1 = q_step(trials[name], pixels, torch.full((len(pixels),), 1), eps)
    was = pixels[x_1.abs() < 0.1]
    rows.append((name, int((was < 0).sum()), int((was > 0).sum())))
show_table("Pixels near 0 after the first step",
           ["schedule", "were -1", "were +1"], rows)

# %% [markdown]
# ## Why does β grow?
#
# The paper's last β is 200 times its first. One β for all would be simpler.

# %%
ask_choice(
    "What speaks for a β that grows from step to step?",
    [
        ("with a constant β the variance would not stay at 1",
         "It would. (1 - β) v + β is 1 for v = 1, whatever β is."),
        ("fine detail goes in small steps, the rest in larger ones",
         "Yes. Sampling walks the same steps back: fine detail is made in many small ones."),
        ("a constant β could not reach pure noise within 1000 steps",
         "It can: β = 0.01 in every step ends at the same ᾱ_1000, see below."),
    ],
    answer=1,
    part="11.9 d",
    points=1,
)

# %%
same_end = 1 - schedule.alpha_bar[-1] ** (1 / 1000)  # a β that ends there too
even = schedule_from_beta(same_end.repeat(1000))
rows = []
for name, trial in (("growing", schedule), ("constant", even)):
    first, end = trial.beta[1].item() ** 0.5, trial.alpha_bar[-1].item()
    early = int((trial.alpha_bar[1:] > 0.9).sum())
    middle = int(((trial.alpha_bar > 0.1) & (trial.alpha_bar <= 0.9)).sum())
    late = int((trial.alpha_bar <= 0.1).sum())
    rows.append((name, first, end, early, middle, late))
show_table("Steps spent at each level of ᾱ", ["β", "noise of step 1",
           "ᾱ_1000", "ᾱ > 0.9", "0.9 to 0.1", "< 0.1"], rows)

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
# network in lesson 3. It is not told which digit it is.
#
# Near t = 300 it still sees the digit. Later it may see another. At the end its
# guess is a blur, as if many digits were laid on top of each other. The last
# picture is just that, the mean of 1,000 digits.

# %%
where = choose_device(device, cpu_seconds=1)  # a GPU takes longer to start
trained = load_checkpoint(device=where)
frames = list(track(noising(
    trained.model, trained.schedule, x_0.to(where), None,
    seed=seed, indices=[0],
), FRAMES, "Filming"))
_ = save_film(frames, f"lesson 1 noising {digit}")
four = [frames[i] for i in (-41, -21, -11, -1)]
mean = to_unit_range(digits.train_images[:1000]).mean(dim=0, keepdim=True)
show_images(torch.cat([*(frame.x_0_hat.cpu() for frame in four), mean]),
            "guesses of x_0, and the mean of 1,000 digits",
            [*(f"t = {frame.t}" for frame in four), "mean"])

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
