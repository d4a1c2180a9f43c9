# %% [markdown]
# # Eq. 5 · The bound, term by term
#
# **Where:** §2; derived in Appendix A
#
# **Symbols:** L, L_T, L_{t-1}, L_0, E, q, p_θ, p(x_T), D_KL, x_0, x_t, x_{t-1}, T
#
# **Function:** estimate_bound, term_nats, prior_nats
#
# **Lesson:** 6, Term by term; 6, Where do they go?
#
# **Exercise:** 18
#
# **See:** eq 3, eq 6, eq 13, eq 17
#
#     L = E_q[ D_KL(q(x_T | x_0) || p(x_T))                          L_T
#          + Σ_{t>1} D_KL(q(x_{t-1} | x_t, x_0) || p_θ(x_{t-1} | x_t))   L_{t-1}
#          - log p_θ(x_0 | x_1) ]                                    L_0      (5)
#
# The same number as Eq. 3, sorted. Each term compares the model with q at one t alone. All
# but L_0 are distances of two bell curves, and for these there is a formula. So nothing
# has to be walked: draw one t, jump there by Eq. 4, and train that one term.

# %% [markdown]
# ## Where are the bits?
#
# Some real digits, and the weights that ship. Counted in bits a pixel of the 28x28.

# %% tags=["parameters"]
n = 24  # digits, from 2 to 1000
seed = 0
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    ReverseProcess, bits_per_dim, choose_device, estimate_bound,
    load_checkpoint, load_digits, mean_of, to_bits,
)
from ddpm_tutor.classroom.tools import (
    ask_number, say, show_download, show_table,
)

where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
count = len(digits.validation_images)
images = digits.validation_images[(torch.arange(n) + n * seed) % count]
images = torch.where(images < 8, 0, images)  # black, also in drawn digits

# %%
process = ReverseProcess("beta_tilde", "beta_1")
bound = estimate_bound(model, trained.schedule, images, process, seed=seed)
terms = {
    "L_T": bound.prior,
    "t = 101 to 1000": bound.between(101, 1000),
    "t = 2 to 100": bound.between(2, 100),
    "L_0": bound.decoder,
}
share = 100 * terms["t = 101 to 1000"].mean() / bound.nats.mean()
ask_number(
    "Nine tenths of the steps are at t > 100, where the digit takes its shape. What share of "
    "the bits is there, in percent?",
    share,
    tolerance=4,
    why="The network knows what digits look like. To be told which one it is takes few bits. "
        "Most go into the last hundred steps: shades of grey that nobody sees.",
)

# %%
show_table("Eq. 5", ["", "bits a picture", "bits/dim"],
           [(name, to_bits(v).mean().item(), bits_per_dim(v).mean().item())
            for name, v in (terms | {"L": bound.nats}).items()])
total = mean_of(bits_per_dim(bound.nats))
say(f"L is {total.mean:.2f} ± {total.error:.2f} bits/dim: of {n} digits, with some t of every "
    "range.")
assert share < 15 and bound.decoder.mean() > terms["t = 101 to 1000"].mean()
assert to_bits(bound.prior).mean() < 0.1

# %% [markdown]
# ## Line by line
#
# How Eq. 3 becomes Eq. 5 is Appendix A: see Eq. 17, with every line computed. The trick
# is one use of Bayes' rule: a step of q forwards is the step back of Eq. 6 times what
# Eq. 4 says of both ends,
#
#     q(x_t | x_{t-1}) = q(x_{t-1} | x_t, x_0) q(x_t | x_0) / q(x_{t-1} | x_0)
#
# Of the last two factors nearly all cancels in the product over t.

# %% [markdown]
# ## What people get wrong
#
# L is a *sum* over t. Code draws one t a picture and takes the mean. That mean is L/T. And
# the answer of the sum is in nats of a picture. Divide by log 2 and by 784 pixels for
# bits/dim. By 1024, with the black border of this tutor's pictures, it looks better than
# it is.

# %%
nats = bound.nats.mean().item()
rows = [
    ("the sum over t, in bits/dim", bits_per_dim(bound.nats).mean().item()),
    ("the mean over t", bits_per_dim(bound.nats).mean().item() / schedule.T),
    ("nats for bits", nats / 784),
    ("divided by 1024", to_bits(bound.nats).mean().item() / 1024),
]
show_table("One model, four numbers", ["", ""], rows)
assert rows[0][1] > rows[2][1] and rows[0][1] > rows[3][1] > 100 * rows[1][1]
