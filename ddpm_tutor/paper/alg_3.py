# %% [markdown]
# # Alg. 3 · Sending a picture, one state of the chain after another
#
# **Where:** §4.3
#
# **Symbols:** x_t, q, p_θ, D_KL, L_{t-1}
#
# **Function:** progressive_coding, term_nats
#
# **Lesson:** 7, Sending a draw; 7, Algorithms 3 and 4
#
# **Exercise:** 16
#
# **See:** eq 5, eq 7, alg 4
#
#     1: send x_T ~ q(x_T | x_0), using p(x_T)
#     2: for t = T - 1, ..., 1:
#     3:     send x_t ~ q(x_t | x_{t+1}, x_0), using p_θ(x_t | x_{t+1})
#     5: send x_0, using p_θ(x_0 | x_1)
#
# To send a draw from q "using p" is to send it with a code made for p, which the
# receiver has. At best that takes KL(q || p) bits. So each line costs one term of
# Eq. 5, and all of them together cost the bound.

# %% [markdown]
# ## Which line is the dearest?
#
# One digit, the real network, σ² = β̃. Line 1 costs L_T, line 3 costs L_{t-1} at
# each t, line 5 costs L_0.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, load_checkpoint, load_digits, normal, per_picture,
    predict_x_0, prior_nats, q_posterior, q_sample, respaced,
    reverse_variance, stream, term_nats, to_bits, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
T = torch.tensor([1, 2, 5, 20, 100, 500, 900], device=where)
eps = normal((len(T), 1, 32, 32), stream(seed, "alg 3"), where)
x_t = q_sample(schedule, x_0.expand_as(eps), T, eps).double()
with torch.no_grad():
    eps_theta = model(x_t.float(), T, None).double()
variance = reverse_variance(schedule, T)
cost = to_bits(per_picture(term_nats(
    schedule, x_0.double(), x_t, T, eps_theta, variance)))
first = to_bits(per_picture(prior_nats(schedule, x_0.double()))).item()
ask_choice(
    "Of all T + 1 sends, which takes the most bits?",
    [
        ("the first, x_T", "It is 1,024 real numbers, but they need not be any particular "
         "ones: q(x_T | x_0) is all but p(x_T). So any draw will do, and L_T is next to 0."),
        ("one half way", "There the bits count for most, but each step takes a small part "
         "of one."),
        ("the last, x_0", "Yes. A draw may be any draw. But x_0 must be this x_0, to the "
         "last of 256 shades, and that takes L_0 = -log2 p_θ(x_0 | x_1)."),
    ],
    answer=2,
)
lines = [(1, "x_1000", f"{first:.3f}")]
for t, bits in zip(T.tolist(), cost.tolist(), strict=True):
    lines.insert(1, (3 if t > 1 else 5, f"x_{t - 1}", f"{bits:.3f}"))
show_table("Bits of one send", ["line", "sends", "bits"], lines)
assert cost.argmax() == 0 and first < 0.5

# %% [markdown]
# ## One line, for real
#
# The paper leaves open how a draw is sent; here is one way (Li and El Gamal 2018).
# Both ends draw the same long list from p, with one seed. Each draw has a time at
# which it arrives. The sender divides these by `q / p`, and takes the draw with the
# least: it is a draw from q. Only its place in the list is sent.
#
# A place n is written in binary, after as many zeros as it has further digits: 1,
# `010`, `011`, `00100`. So the receiver sees where a word ends.

# %%
def word(n):
    return f"{n:b}".zfill(2 * n.bit_length() - 1)

def place_of(drawn, arrivals, mean_q, mean_p, variance):
    shift = ((mean_q - mean_p) / variance.sqrt()).flatten()
    log_ratio = drawn.flatten(1) @ shift - shift.square().sum() / 2
    return (arrivals.log() - log_ratio).argmin().item() + 1  # q and p as wide

print(*(word(n) for n in (1, 2, 3, 4, 100)))
assert word(100) == "0000001100100"

# %% [markdown]
# ## A digit, as zeros and ones
#
# A chain of 20 long steps through the same noise levels, down to t = 300. For each
# step both ends have 4,096 draws. (With 1000 short steps there would be a word each.)

# %%
short, times = respaced(schedule, 20)
times = times.to(where)
shared = stream(seed, "both ends")  # the receiver has this seed, too
x = normal((1, 1, 32, 32), shared, where)  # x_T: the first on the list
rows, seen, kl, message = [], [], 0.0, ""
for i in range(20, 5, -1):
    t = torch.tensor([i], device=where)
    with torch.no_grad():
        eps_theta = model(x, times[t], None)
    x_0_hat = predict_x_0(short, x, t, eps_theta).clamp(-1, 1)
    seen.append(x_0_hat)
    if i == 6:
        break
    mean_p, variance = q_posterior(short, x, x_0_hat, t)  # p_θ
    mean_q, _ = q_posterior(short, x, x_0, t)
    step = ((mean_q - mean_p).square() / (2 * variance)).sum()
    drawn = normal((4096, 1, 32, 32), shared, where)
    arrivals = -torch.rand(4096, generator=shared).log().cumsum(0).to(where)
    n = place_of(drawn, arrivals, mean_q, mean_p, variance)
    x = mean_p + variance.sqrt() * drawn[n - 1 : n]
    kl, message = kl + to_bits(step).item(), message + word(n)
    rows.append((times[i].item(), f"{to_bits(step):.1f}", n, word(n)))

# %%
show_table("Sending", ["from t", "KL, bits", "place", "word"], rows)
off = [127.5 * (s - x_0).square().mean().sqrt().item() for s in seen]
show_images(torch.cat([x_0, seen[0], seen[8], seen[-1]]),
            "sent, and the receiver's guess of x_0",
            ["x_0", "t = 1000", f"t = {times[12]}", "t = 300"])
print(message)
say(f"{len(message)} bits were sent; the KLs add up to {kl:.0f}. By chance a word is "
    "shorter or longer than its KL; on average it takes some bits more. "
    f"The guess is {off[-1]:.0f} shades off, of 255; at first it was {off[0]:.0f}. "
    "Such lists grow as 2 to the KL. So the last steps, and all pixels at once, are beyond it: "
    "the paper calls its code a proof of concept.")
assert off[-1] < 0.75 * off[0] and len(message) < 28 * 28

# %% [markdown]
# ## What people get wrong
#
# Line 3 draws from q(x_t | x_{t+1}, x_0), Eq. 7. "Any x_t will do, so draw one anew by
# Eq. 4": each x_t is then as it should be, but no chain leads from one to the next.
# p_θ expects an x_t near x_{t+1}. What would a step cost?

# %%
t = torch.tensor([500], device=where)
one = normal((1, 1, 32, 32), stream(seed, "anew"), where)
x_500 = q_sample(schedule, x_0, t, one).double()
with torch.no_grad():
    mean_p, variance = q_posterior(schedule, x_500, predict_x_0(
        schedule, x_500, t, model(x_500.float(), t, None).double()), t)
alpha_bar = schedule.alpha_bar[499]
ratio = (1 - alpha_bar) / variance  # of the two variances
distance = (alpha_bar.sqrt() * x_0 - mean_p).square() / variance
anew = to_bits(0.5 * (ratio - 1 - ratio.log() + distance)).sum().item()
chained = cost[T.tolist().index(500)].item()
print(f"x_499 by Eq. 7: {chained:.2f} bits; by Eq. 4, anew: {anew:,.0f} bits")
assert anew > 1000 * chained
