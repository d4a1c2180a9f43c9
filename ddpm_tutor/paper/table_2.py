# %% [markdown]
# # Table 2 · What to predict, and under which loss
#
# **Where:** §4.2
#
# **Symbols:** μ̃_t, ε_θ, ε, L, L_simple, σ_t²
#
# **Function:** Predictor, train_predictor, error_weight, converted
#
# **Lesson:** 3, Why ε?; 3, So why ε?; 10, What to say, and what to weigh
#
# **Exercise:** 6
#
# **See:** eq 8, eq 12, eq 14
#
#     CIFAR-10                                        IS      FID
#     μ̃, loss L, learned diagonal variance            7.28   23.69
#     μ̃, loss L, fixed variance                       8.06   13.22
#     μ̃, plain squared error                          unstable
#     ε, loss L, learned diagonal variance            unstable
#     ε, loss L, fixed variance                       7.67   13.51
#     ε, plain squared error (L_simple)               9.46    3.17
#
# A trained network could say either: Eq. 11 makes μ of ε. But errors that weigh alike in
# one do not in the other, and so training cares for other t. Under L both come out the
# same. Only ε also works without weights, and then it is far better.

# %% [markdown]
# ## Which loss looks where?
#
# L weighs an error in ε as Eq. 12 does, a plain error in μ as Eq. 11 does, and L_simple
# not at all. How much of the weight of all 1000 steps lies on the first ten?

# %% tags=["parameters"]
seed = 0  # other first weights, other batches
device = "auto"  # auto, cpu, cuda or mps
steps = 30  # of the training of each, from 1 to 10,000

# %%
import torch

from ddpm_tutor import (
    Predictor, TrainingConfig, choose_device, converted, doubled,
    error_weight, halved, linear_schedule, load_digits,
    load_predictor_logs, losses_by_t, normal, predict_x_0, q_sample,
    stream, to_unit_range, train_predictor,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table, track,
)

# %%
schedule = linear_schedule()
every_t = torch.arange(1, schedule.T + 1)
losses = {"L (Eq. 12)": "L", "plain, of μ": "mu", "L_simple (Eq. 14)": "eps"}
weights = {name: error_weight(schedule, every_t, "eps", kind)
           for name, kind in losses.items()}
shares = {name: [(w[a:b].sum() / w.sum()).item() for a, b in
                 ((0, 10), (10, 100), (100, 500), (500, 1000))]
          for name, w in weights.items()}
ask_choice(
    "On t = 1 to 10 is 1 % of the weight of L_simple. And of that of L?",
    [
        ("about 1 % as well", "The weights of Eq. 12 differ a hundredfold, from 0.6 at t = 2 to "
         "0.005 in the middle."),
        ("next to nothing", "That is so of a plain error in μ. In L it is divided by σ_t², which "
         "is tiny there."),
        ("about a fifth", "Yes. At small t σ_t is tiny, so that a small error is many σ_t wide. "
         "Training on L spends itself on the last shades, where no digit takes shape."),
    ],
    answer=2,
)
show_table("Where a loss puts its weight, as errors in ε",
           ["", "t = 1 to 10", "11 to 100", "101 to 500", "501 to 1000"],
           [(name, *(f"{100 * v:.1f} %" for v in part))
            for name, part in shares.items()])
assert 0.18 < shares["L (Eq. 12)"][0] < 0.25
assert shares["plain, of μ"][3] > 0.75
say("A plain error of μ is mostly about the second half, where x_t is noise and says what to "
    "predict by itself. In the middle, from 100 to 500, a digit takes shape: there L_simple puts "
    "twice the weight of the other two.")

# %% [markdown]
# ## One prediction, two names
#
# Line by line, with a = 1/√α_t and b = β_t/√(1 - ᾱ_t):
#
#     μ   = a (x_t - b ε)                                   (11)
#     ε   = (x_t - μ/a) / b
#     |error of μ|² = a² b² |error of ε|²
#     |error of μ|² / (2 σ_t²) = β_t²/(2 σ_t² α_t (1 - ᾱ_t)) |error of ε|²   (12)
#
# So L is the same loss for both. A plain one is not: a² b² is 0.0001 at t = 1, less than
# half of that at t = 100, and 0.0004 at the end.

# %%
digits = load_digits(progress=show_download)
small = halved(digits.train_images)  # (N, 1, 16, 16): quick to learn
x_0 = to_unit_range(small[:200]).double()
t = torch.arange(5, 1001, 5)
eps = normal(x_0.shape, stream(seed, "table 2"), "cpu").double()
x_t = q_sample(schedule, x_0, t, eps)
wrong = eps + 0.1 * normal(x_0.shape, stream(seed, "error"), "cpu")
mu, mu_wrong = (converted(schedule, x_t, t, e, "eps", "mu")
                for e in (eps, wrong))
def square(x):
    return x.square().mean(dim=(1, 2, 3))

by_name = error_weight(schedule, t, "eps", "mu") * square(wrong - eps)
off = (square(mu_wrong - mu) / by_name - 1).abs().max().item()
back = converted(schedule, x_t, t, mu, "mu", "eps")
print(f"line 2: ε comes back to {(back - eps).abs().max():.0e}")
print(f"line 3: at all t to {off:.0e} of its size")
assert off < 1e-6

# %% [markdown]
# ## The table in miniature
#
# Four small networks learned MNIST at half size, 16×16, for 300 steps each, from the same
# first weights and on the same batches. Only what they say differs, and how errors are
# weighed. The log ships with the package. (Fréchet distance: lesson 5.)

# %%
rows = {"μ, L": ("mu", "L"), "μ, plain": ("mu", "mu"),
        "ε, L": ("eps", "L"), "ε, L_simple": ("eps", "eps")}
logs = load_predictor_logs()
known = {name: logs.of(*kind) for name, kind in rows.items()}
fid = {"μ, L": "13.22", "μ, plain": "unstable", "ε, L": "13.51",
       "ε, L_simple": "3.17"}
show_table("300 steps each, and the paper", [
    "says, trained on", "Fréchet distance of 200 digits", "FID, CIFAR-10"],
    [(name, f"{one.frechet:.0f} ± {one.frechet_error:.0f}", fid[name])
     for name, one in known.items()])
for name, one in known.items():
    show_images(doubled(one.images[:5]), name)
assert all(known["ε, L_simple"].frechet < one.frechet / 2
           for name, one in known.items() if name != "ε, L_simple")
say("L_simple is ahead by far, as in the paper. Those that say μ draw snow and ε with L blots; "
    "which of the two is worse the distance cannot say. It is one short run of each.")

# %% [markdown]
# ## Their first steps, here
#
# All four are trained anew, for their first 30 steps. Then each sees two digits at t = 200,
# and makes its x̂_0 of them. (In the terminal `--set steps=300` gives them more.)

# %%
where = choose_device(device, cpu_seconds=20)
config = TrainingConfig(batch_size=16, lr=3e-3, warmup_steps=10, seed=seed)
held_out = halved(digits.validation_images[:160])
which = torch.arange(seed, seed + 2) % len(held_out)
found, two = {}, to_unit_range(held_out[which]).to(where)
at = torch.full((2,), 200, device=where)
noise = normal(two.shape, stream(seed, "x_200"), where)
estimates = {"x_200": q_sample(schedule.to(where), two, at, noise)}
for name, (kind, weighed) in rows.items():
    torch.manual_seed(seed)
    net = Predictor(kind, schedule, 32).to(where)
    run = train_predictor(net, schedule, small, steps, config, weighed)
    for _ in track(run, steps, name):
        pass
    net.eval().requires_grad_(False)
    t, found[name] = losses_by_t(net, schedule, held_out)  # errors of ε
    says = net(estimates["x_200"], at)
    estimates[name] = predict_x_0(schedule.to(where), estimates["x_200"],
                                  at, says)

# %%
def digits_of(x):  # 1,968 rather than 1.97e+03
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


show_table("Squared error of the ε that follows, on held-out digits",
           ["says, trained on", "t = 1 to 100", "101 to 500", "501 to 1000"],
           [(name, *(digits_of(errors[(t > a) & (t <= b)].mean()) for a, b in
                     ((0, 100), (100, 500), (500, 1000))))
            for name, errors in found.items()])
shown = torch.stack([*estimates.values()]).transpose(0, 1)  # by digit
show_images(shown.flatten(0, 1).cpu(), "two digits, and x̂_0 by each",
            [*estimates] * 2, columns=len(estimates))
mean = {name: errors.mean().item() for name, errors in found.items()}
assert mean["ε, L_simple"] < min(mean["ε, L"], mean["μ, L"], mean["μ, plain"])
assert min(mean["μ, L"], mean["μ, plain"]) > 1  # to know nothing costs 1
say("L_simple is ahead already. Those that say μ are behind by far here, also under L, where "
    "the paper has them level with ε: μ is nearly x_t, and so short a training does not get "
    "beyond copying it. The copy is never exact, and what is left over is divided by b.")

# %% [markdown]
# ## What people get wrong
#
# To compare the losses of two trainings that mean different things. Here is each
# network by its own loss, and by the noise that follows from what it says.

# %%
own = {name: (error_weight(schedule, t, "eps", weighed) * found[name]).mean()
       for name, (_, weighed) in rows.items()}
show_table("Two measures of the same networks",
           ["", "its own loss", "as error in ε"],
           [(name, f"{x:.2g}", digits_of(mean[name]))
            for name, x in own.items()])
assert own["μ, plain"] < own["ε, L_simple"]
say("By its own loss μ under a plain error is ahead of ε under L_simple. Yet its estimates are "
    "snow. No wonder that it was unstable for the paper: nearly all of it is copying. The same "
    "holds for two schedules and two weightings: their losses cannot be compared. Pictures can.")
