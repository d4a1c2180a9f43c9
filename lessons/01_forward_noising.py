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
# **Time:** 20 min
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
# it shows. From the next step on, the key `s` shows the source of a function
# that a step used. In the terminal `ddpm-tutor lessons` counts your points.
#
# The cell below holds this lesson's parameters. You can change them:
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
    FRAMES, ask_choice, ask_number, noising, save_film, show, show_curves,
    show_download, show_images, show_table, so_far, track,
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
# The box has the tensor's shape and statistics, and a histogram of its values,
# from min to max.

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

# %%
schedule = linear_schedule()  # beta[t] is β_t, t = 1, ..., T = 1000
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
# at t = 0, 100, ..., 1000; the last of them is for the next step. Where the screen
# shows them smaller than they are, each of its pixels is a mean of several, and the
# noise looks weaker.
#
# At which t is the digit lost to your eye? Keep the number for later.

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
# `x_1000` is all that is left of the digit. How far do its 1024 pixels spread?
# The variances of independent noises add up, so here is their sum.

# %%
print(f"β_1 + β_2 + ... + β_1000 = {schedule.beta.sum():.2f}")

# %%
x_T = kept[schedule.T]
ask_number(
    "What is the standard deviation of the pixels of x_1000?",
    x_T.std(),
    tolerance=0.1,
    why="The sum of all β would give √10.05 = 3.2. But each step also shrinks what is "
        "there, the earlier noise as well. The two balance at 1.",
)
show(x_T, "x_1000")

# %% [markdown]
# ## Why the two factors fit together
#
# Say that the values have variance v. A step makes it `(1 - β) v + β`. If v = 1, that
# is 1 again; if not, it is a little nearer to 1. So the variance settles at 1,
# whatever the picture was. Meanwhile the mean, times `√(1 - β)` again and again,
# dies away.
#
# There are two spreads, and both obey this. The step before took the pixels of
# *one picture*. (There are only 1024: by chance their variance is off by some 0.04.)
# Now take *one pixel* of the background, x_0 = -1, in 50,000 runs. All start at -1,
# with v = 0. The last column starts at v = 4 and follows the formula alone.

# %%
x, v, rows = torch.full((50_000, 1), -1.0), 4.0, []
for step in track(range(schedule.T + 1), schedule.T + 1, "Adding noise"):
    if step > 0:
        eps = normal(x.shape, generator, "cpu")
        x = q_step(schedule, x, torch.full((len(x),), step), eps)
        beta = schedule.beta[step].item()
        v = (1 - beta) * v + beta
    if step in (0, 100, 200, 400, 600, 1000):
        one_pixel = x.mean().item(), x.var().item()
        rows.append((step, *one_pixel, kept[step].var().item(), v))
show_table("50,000 runs of one pixel; the variance in one picture",
           ["t", "runs: mean", "variance", "one picture's", "from v = 4"],
           rows)

# %% [markdown]
# ## The schedule
#
# The list of β is called the *schedule*. Here β grows in a straight line from
# 0.0001 to 0.02 (Section 4). Two more letters follow from it:
#
#     α_t = 1 - β_t          ᾱ_t = α_1 α_2 ... α_t
#
# After t steps the picture is multiplied by `√ᾱ_t`, and the noise has variance
# `1 - ᾱ_t`. Compare the last table with this one: over the runs of one pixel the
# mean is about `-√ᾱ_t`, the variance about `1 - ᾱ_t`.

# %%
rows = []
for t in (1, 100, 200, 400, 500, 600, 1000):
    a = schedule.alpha_bar[t].item()
    rows.append((t, schedule.beta[t].item(), a, a ** 0.5, 1 - a))
show_table("The schedule", ["t", "β_t", "ᾱ_t", "√ᾱ_t", "1 - ᾱ_t"], rows)

# %% [markdown]
# ## Signal and noise
#
# How much of what you see is picture? What shows is contrast: take the variance
# over its pixels. (Not the mean of their squares: that is mostly the plain
# background.) The picture's is multiplied by `ᾱ_t`; that of the noise is `1 - ᾱ_t`.
# The first divided by the second is the *signal-to-noise ratio*, S/N.
#
# Then press `c` to change a value and run the step again. Try `beta_T = 0.005`, and say
# first what will become of the t at which S/N falls below 1.

# %% tags=["change"]
beta_T = 0.02  # the last β, from 0.0001 to 0.99

# %%
trial, contrast = linear_schedule(beta_T=beta_T), x_0.var().item()
signal, noise = contrast * trial.alpha_bar, 1 - trial.alpha_bar
lost = int((signal >= noise).sum())  # the first t with less signal
ask_number(
    "With this beta_T, at which t does S/N fall below 1? (1001, if at none.)",
    lost,
    tolerance=50,
    why="As long as the first β is far smaller than the last, the β up to t add up to about "
        "beta_T · t² / 2000. So with a quarter of beta_T it takes twice as many steps.",
)

# %%
show_curves("Variance", {"of the picture": enumerate(signal.tolist()),
                         "of the noise": enumerate(noise.tolist())})
times = (50, 100, 300, 1000)
found = so_far("signal and noise", f"{beta_T}",
               [*(f"{signal[t] / noise[t]:.2g}" for t in times), lost])
show_table("S/N at t", ["beta_T", *map(str, times), "below 1 from t ="],
           [(name, *row) for name, row in found.items()])

# %% [markdown]
# ## When is the digit lost?
#
# Where S/N is below 1, each pixel is more noise than picture. Is the digit lost, then?
# Your eye takes many pixels together. So can a program.
#
# Ours knows some 2,000 digits. It looks for the one that is nearest to `x_t`, all
# pixels together, and reads that one's label. We give it digits that it does not
# know, a thousand times, with new noise each time. By chance one in ten is read
# right. How long does it hold out? Compare the t at which your own eye gave up.

# %%
known = to_unit_range(digits.train_images[:2000]).flatten(1)  # (N, 1024)
some = torch.arange(1000) % len(digits.validation_images)
unknown = to_unit_range(digits.validation_images[some]).flatten(1)
right = {}  # t -> how many of 100 are read right
for t in track(range(50, 1001, 50), 20, "Reading"):
    a = schedule.alpha_bar[t].item()
    eps = normal(unknown.shape, generator, "cpu")
    x_t = a ** 0.5 * unknown + (1 - a) ** 0.5 * eps
    nearest = torch.cdist(x_t, a ** 0.5 * known).argmin(dim=1)  # (1000,)
    hits = digits.train_labels[nearest] == digits.validation_labels[some]
    right[t] = 100 * hits.float().mean().item()
ask_number(
    "What is the last t, of 50, 100, ..., 1000, at which it reads at least half right?",
    max(t for t in right if right[t] >= 50),
    tolerance=100,
    why="Long after S/N fell below 1. The noise of 1024 pixels averages out, while "
        "the pixels of a stroke hang together. A ratio for single pixels says little "
        "about a digit.",
)
show_curves("Read right, of 100", {"": right.items()})

# %% [markdown]
# ## Why -1 to +1?
#
# Why did we scale the data? We walk one digit with one noise in three scalings, and
# measure two things on the way: the root of the mean square of `x_t` (RMS), its size,
# and S/N.

# %%
scaled = {"[-1, 1]": x_0, "[0, 1]": (x_0 + 1) / 2, "[0, 255]": image[None]}
rows, ends = [], [x_0]
for name, start in scaled.items():
    noise, x_t, row = stream(seed, "scales"), start.float(), [name]
    for step in range(1, schedule.T + 1):
        eps = normal(x_t.shape, noise, "cpu")
        x_t = q_step(schedule, x_t, torch.tensor([step]), eps)
        if step in (100, 300, 1000):
            a, rms = schedule.alpha_bar[step], x_t.square().mean().sqrt()
            snr = a * start.float().var() / (1 - a)
            row += [f"{rms:.2f}", f"{snr:.2g}"]
    rows.append(row)
    ends.append(x_t)
ask_choice(
    "Why are the pictures scaled to -1..1 before the process starts?",
    [
        ("because a network cannot take in values as large as 255",
         "It can. But x_t would be large at first and about 1 at the end, as the table shows."),
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
show_table("The same β, three scalings, after 100, 300 and 1000 steps",
           ["values", "RMS 100", "S/N", "RMS 300", "S/N", "RMS 1000", "S/N"],
           rows)
show_images(torch.cat(ends), "x_0, and x_1000 of each", ["x_0", *scaled])

# %% [markdown]
# ## Choose a bad schedule
#
# Sampling will start from pure noise, N(0, I). So the forward process must end
# there. We keep T = 1000 and try three: β = 0.0001 in every step, the paper's
# schedule, and β = 0.2 in every step.

# %%
trials = {
    "β = 0.0001": schedule_from_beta(torch.full((1000,), 1e-4)),
    "the paper's": schedule,
    "β = 0.2": schedule_from_beta(torch.full((1000,), 0.2)),
}
left = [t.alpha_bar[1000].item() for t in trials.values()]
ask_choice(
    "With β = 0.0001 in all 1000 steps, what is x_1000?",
    [
        ("nearly pure noise, with no digit", "That would need ᾱ_1000 near 0. It is 0.90."),
        ("the digit, with some noise on it",
         "Yes. ᾱ_1000 = 0.9999^1000 = 0.90; the paper's schedule leaves 0.00004. A sampler "
         "that starts from pure noise would start where training never was."),
        ("noise, with a faint digit left in it", "That would need ᾱ_1000 of about 0.1."),
    ],
    answer=1,
    part="11.9 e",
    points=1,
)
assert left[0] > 0.9

# %%
ends = [x_0]
for trial in trials.values():
    noise, x_t = stream(seed, "schedules"), x_0
    for step in range(1, 1001):
        eps = normal(x_t.shape, noise, "cpu")
        x_t = q_step(trial, x_t, torch.tensor([step]), eps)
    ends.append(x_t)
print("ᾱ_1000:", *(f"{a:.2g}" for a in left))
show_images(torch.cat(ends), "x_0, and x_1000 of each", ["x_0", *trials])

# %% [markdown]
# ## Too large is bad as well
#
# With β = 0.2 the end is pure noise too. But could one get back?
#
# We take 200,000 pixels, half of them -1 and half +1, and walk until ᾱ_t has come
# down to 0.8. With β = 0.2 that is one step; with the paper's schedule it is more
# than a hundred. Some pixels are near 0 by then. Where were those one step before?

# %%
ask_choice(
    "What is wrong with β = 0.2 in all 1000 steps?",
    [
        ("most steps are wasted, and the few others too big",
         "Yes. Some 980 steps turn noise into noise. And to undo a big step is no longer "
         "one draw from a bell curve (Section 2): half of the pixels near 0 were -1 the "
         "step before, the others +1, and none was between. After a small step they "
         "were near 0 before, in a bell curve."),
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
pixels, before = torch.ones(200_000, 1), {}
pixels[::2] = -1
edges = torch.arange(-1.225, 1.25, 0.05)
for name in ("the paper's", "β = 0.2"):
    trial, x_t = trials[name], pixels
    last = int((trial.alpha_bar > 0.8 + 1e-9).sum())  # ᾱ_0 = 1 is no step
    for step in range(1, last + 1):
        x_prev, eps = x_t, normal(x_t.shape, generator, "cpu")
        x_t = q_step(trial, x_prev, torch.full((len(x_t),), step), eps)
    near = x_prev[x_t.abs() < 0.02]
    share = 100 * torch.histogram(near, edges).hist / len(near)
    before[f"{name}, t = {last}"] = zip(
        (edges[:-1] + 0.025).tolist(), share.tolist(), strict=True)
show_curves("Where pixels near 0 were one step before, %", before, "value")

# %% [markdown]
# ## Are the last steps wasted as well?
#
# The paper's schedule has steps from noise to noise as well: from t = 700 on, less
# than 0.01 of the picture's variance is left. Look again at the curve "Read right,
# of 100".

# %%
ask_choice(
    "Are the last 300 of the paper's steps wasted?",
    [
        ("yes, x_700 is pure noise already",
         "Then the program would read no more than ten of 100, which chance gives."),
        ("hardly: they take away the last trace of the digit",
         "Yes. x_700 still tells a little: more are read right than chance gives. Sampling "
         "will start from noise that tells nothing. But fewer steps can do that: a later "
         "schedule keeps more of the picture for longer (Nichol and Dhariwal 2021)."),
        ("no, most digits can still be read at t = 700",
         "Then the program would read more than 50 of 100."),
    ],
    answer=2 if right[700] > 50 else 1 if right[700] > 12 else 0,
)

# %%
for name in ("the paper's", "β = 0.2"):
    noisy = int((trials[name].alpha_bar < 0.01).sum())
    print(f"{name}: ᾱ_t is below 0.01 in {noisy} of 1000 steps")
for t in (600, 700, 800, 1000):
    print(f"the paper's, t = {t}: {right[t]:.0f} of 100 are read right")

# %% [markdown]
# ## Why does β grow?
#
# The paper's last β is 200 times its first. One β for all would be simpler, and
# β = 0.01 in every step ends at nearly the same ᾱ_1000. What for, then?

# %%
ask_choice(
    "What speaks for a β that grows from step to step?",
    [
        ("fine detail goes in small steps, the rest in larger ones",
         "Yes. Sampling walks the same steps back: fine detail is made in many small ones. "
         "The next step shows it."),
        ("with a constant β the variance would not stay at 1",
         "It would. (1 - β) v + β is 1 for v = 1, whatever β is."),
        ("a constant β could not reach pure noise within 1000 steps",
         "It can: 0.99^1000 is 0.00004, as small as the paper's ᾱ_1000."),
    ],
    answer=0,
    part="11.9 d",
    points=1,
)

# %% [markdown]
# ## Long and short waves
#
# Any picture is a sum of waves (its *Fourier transform*). Long ones make its shape,
# short ones its fine detail, such as edges. Noise has as much of each, a digit far
# less of the short ones. So they drown first. When, for 1,000 digits?
#
# Compare the paper's growing β with a constant β that ends at the same ᾱ_1000. On the
# way back, that many steps are left to draw these waves.

# %%
frequency = torch.fft.fftfreq(32)  # waves a pixel, from -1/2 to 1/2
frequency = (frequency[:, None] ** 2 + frequency ** 2).sqrt()  # (32, 32)
many = to_unit_range(digits.train_images[:1000])
power = torch.fft.fft2(many, norm="ortho").abs().square().mean(dim=(0, 1))
same_end = 1 - schedule.alpha_bar[-1] ** (1 / 1000)
even = schedule_from_beta(same_end.repeat(1000))
rows, parts = [], {"all": x_0}
for name, low, high in (("over 8", 0.01, 1 / 8),  # not the mean, at 0
                        ("4 to 8", 1 / 8, 1 / 4), ("below 4", 1 / 4, 1)):
    waves = (frequency > low) & (frequency <= high)
    parts[name] = torch.fft.ifft2(torch.fft.fft2(x_0) * waves).real
    drowned = []
    for trial in (schedule, even):
        signal = power[waves].mean() * trial.alpha_bar
        drowned.append(int((signal >= 1 - trial.alpha_bar).sum()))
    rows.append((name, *drowned))
show_table("The t at which waves fall below the noise",
           ["length in pixels", "growing β", "constant β"], rows)
show_images(torch.cat([*parts.values()]), "x_0, and its waves by length",
            [*parts])

# %% [markdown]
# ## T cannot just be cut
#
# Fewer steps would be faster. But with the same range of β, fewer steps leave
# more of the picture. (Lesson 4 skips steps without that.) How much?
#
# For a small β, `1 - β` is about `e^-β`. So `ᾱ_T` is about e to the power of minus the
# sum of all β. That sum is T times their mean, `(0.0001 + beta_T) / 2`.
#
# Then press `c` to change them. Try `T = 50` or `beta_T = 0.1`, and say first what
# will become of `x_T`.

# %% tags=["change"]
T = 200  # the number of steps, from 2 to 10,000
beta_T = 0.02  # the last β, from 0.0001 to 0.99

# %%
if not 2 <= T <= 10_000:
    raise ValueError("T must be from 2 to 10,000")
for steps, last in ((1000, 0.02), (T, beta_T)):  # the paper's, and this one
    trial = linear_schedule(steps, beta_T=last)
    a = trial.alpha_bar[-1]
    eps = normal(x_0.shape, stream(seed, "cut"), "cpu")
    x_T = (a.sqrt() * x_0 + (1 - a).sqrt() * eps).float()
    row = (steps, f"{last:g}", f"{trial.beta.sum():.3g}", f"{a:.2g}")
    found = so_far("T", f"{steps}, {last:g}", (row, x_T))
ask_choice(
    "With this T and this beta_T, what is x_T?",
    [
        ("more picture than noise: ᾱ_T is above 1/2",
         "For that the sum of all β must be below 0.7."),
        ("noise and picture: ᾱ_T is from 0.01 to 1/2",
         "With small β that takes a sum from 0.7 to 4.6."),
        ("nearly pure noise: ᾱ_T is below 0.01",
         "With small β that takes a sum of more than 4.6."),
    ],
    answer=1 if 0.01 <= a <= 0.5 else 0 if a > 0.5 else 2,
)

# %%
rows, ends = zip(*found.values(), strict=True)
show_table("ᾱ_T", ["T", "beta_T", "sum of all β", "ᾱ_T"], rows)
show_images(torch.cat([x_0, *ends]), "x_0, and x_T for each T and beta_T",
            ["x_0", *found])

# %% [markdown]
# ## A film
#
# Last, the whole process as a film. On the left is `x_t`. On the right is what
# a trained network still makes of it: its estimate of `x_0`, our *guess*. You will
# build that network in lesson 3. It is not told which digit it is.
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
# - A digit outlives its pixels: noise averages out over many of them. Fine detail
#   drowns first, the shape last.
# - A schedule (Section 4) must end in noise, and spend its steps where detail is
#   lost. Data scaled to -1..1 fits it (Section 3.3).
#
# A thousand steps are slow. Lesson 2 does them all in one.
