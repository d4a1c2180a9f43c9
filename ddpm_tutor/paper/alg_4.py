# %% [markdown]
# # Alg. 4 · Receiving a picture
#
# **Where:** §4.3
#
# **Symbols:** x_t, p_θ, x̂_0, z
#
# **Function:** progressive_coding, p_step, predict_x_0
#
# **Lesson:** 7, Algorithms 3 and 4; 7, What the receiver sees
#
# **Exercise:** 8, 9
#
# **See:** alg 3, alg 2
#
#     1: receive x_T, using p(x_T)
#     2: for t = T - 1, ..., 1, 0:
#     3:     receive x_t, using p_θ(x_t | x_{t+1})
#     5: return x_0
#
# The receiver has the network, and nothing of x_0. It makes the same list of draws
# from p_θ as the sender, and is told which of them to take. That is Algorithm 2 with
# a voice from outside in the place of chance. At any t it can look at x̂_0 (Eq. 15).

# %% [markdown]
# ## One loop for both ends
#
# As in Alg. 3: 20 long steps, 4,096 draws a step, and the place of one of them is
# sent. Sender and receiver run the same loop. Only how they `choose` differs.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, load_checkpoint, load_classifier, load_digits, normal,
    predict_x_0, q_posterior, read_digits, respaced, stream, to_uint8,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model = trained.model.to(where)
short, times = (v.to(where) for v in respaced(trained.schedule, 20))

@torch.no_grad()
def chain(choose, lists="both ends"):  # x_0, and the guesses on the way
    shared, seen = stream(seed, lists), []
    x = normal((1, 1, 32, 32), shared, where)
    for i in range(20, 0, -1):
        t = torch.tensor([i], device=where)
        eps_theta = model(x, times[t], None)
        x_0_hat = predict_x_0(short, x, t, eps_theta).clamp(-1, 1)
        seen.append(x_0_hat)
        mean, variance = q_posterior(short, x, x_0_hat, t)
        count = 4096 if i > 6 else 1  # after t = 300 nothing is sent
        drawn = normal((count, 1, 32, 32), shared, where)
        arrivals = -torch.rand(count, generator=shared).log().cumsum(0)
        n = choose(i, x, mean, variance, drawn, arrivals.to(where))
        x = mean + variance.sqrt() * drawn[n - 1 : n]
    return x, seen

# %%
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
words = []

def send(i, x, mean_p, variance, drawn, arrivals):
    if len(drawn) == 1:
        return 1
    mean_q, _ = q_posterior(short, x, x_0, torch.tensor([i], device=where))
    shift = ((mean_q - mean_p) / variance.sqrt()).flatten()
    log_ratio = drawn.flatten(1) @ shift - shift.square().sum() / 2
    n = (arrivals.log() - log_ratio).argmin().item() + 1
    words.append(f"{n:b}".zfill(2 * n.bit_length() - 1))
    return n

# %%
def receiver(message):
    bits = iter(message)
    def choose(i, x, mean_p, variance, drawn, arrivals):
        if len(drawn) == 1:
            return 1
        zeros = 0
        while next(bits, "1") == "0":
            zeros += 1
        rest = "".join(next(bits, "0") for _ in range(zeros))
        return min(int("1" + rest, 2), len(drawn))
    return choose

# %%
sent, _ = chain(send)
message = "".join(words)
received, seen = chain(receiver(message))
print(f"{len(message)} bits: {message}")
show_images(torch.cat([x_0, seen[8], seen[14], received]), "received",
            ["x_0, at the sender", f"x̂_0, t = {times[12]}",
             f"x̂_0, t = {times[6]}", "t = 0"])
assert torch.equal(sent, received)
say("Both ends hold the same picture, to the last bit. What was not sent, after t = 300, the "
    "receiver has drawn itself: the outlines are its own.")

# %% [markdown]
# ## A coin in place of the sender
#
# Now nobody sends. The receiver tosses a coin for each bit, and reads the words.

# %%
reader = load_classifier().model
coins = torch.randint(2, (4, 400), generator=stream(seed, "coins"))
tossed = torch.cat([
    chain(receiver("".join(map(str, row))), f"lists of number {k}")[0]
    for k, row in enumerate(coins.tolist())])
reading = read_digits(reader, to_uint8(tossed))
sure = reading.probabilities.amax(1).mean().item()
ask_choice(
    "What does the receiver see at the end?",
    [
        ("a digit that nobody has sent", "Yes. Any place is a draw from p_θ, so this is "
         "Algorithm 2. The paper draws its Fig. 6 that way: decoding random bits."),
        ("noise: random bits mean nothing", "They mean places in a list, and every draw on the "
         "list is a fair draw from p_θ. None of them leads to noise."),
        ("the last digit that was sent", "Nothing of it is kept: the network was not changed, "
         "and x_T and the lists are noise."),
    ],
    answer=0,
)
show_images(tossed, "by coins", [
    f"read as {c}" for c in reading.classes.tolist()])
print(f"the classifier is sure of them: {sure:.2f} on average")
assert sure > 0.5

# %% [markdown]
# ## What people get wrong
#
# "A bit that flips on the way spoils a pixel." No bit belongs to a pixel. Each says
# which way the whole chain goes on, and later words are read in its light.

# %%
def flipped(k):
    bits = list(message)
    bits[k] = "10"[int(bits[k])]
    return "".join(bits)

early, _ = chain(receiver(flipped(0)))
late, _ = chain(receiver(flipped(-1)))
show_images(torch.cat([received, early, late]), "one bit flipped",
            ["none", "the first bit", "the last bit"])
def changed(x):  # pixels of another shade, in %
    return 100 * (to_uint8(x) != to_uint8(received)).float().mean().item()

say(f"{changed(early):.0f} % of the pixels change with the first bit, {changed(late):.0f} % with "
    "the last one.")
assert min(changed(early), changed(late)) > 3
