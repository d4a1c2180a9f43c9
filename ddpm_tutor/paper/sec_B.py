# %% [markdown]
# # App. B · Network and training, theirs and ours
#
# **Where:** Appendix B
#
# **Symbols:** ε_θ, L_simple
#
# **Function:** UNet, LeanUNet, TrainingConfig, train
#
# **Lesson:** 3, The network; 3, Ready to train; 3, If you had waited; 3, Appendix: a leaner network
#
# **Exercise:** 6
#
# **See:** alg 1, table 1
#
#                  theirs, CIFAR-10           ours, MNIST
#     network      35.7 M weights, 32 to 4    2.8 M, 16 to 4 (2×2 pixels folded)
#     attention    at 16×16                   at 8×8 and 4×4
#     optimizer    Adam, 0.0002, batch 128    Adam, then Muon, 0.002 falling, 128
#     averaging    0.9999                     0.999
#     dropout      0.1 (of 0.1 to 0.4 tried)  none
#     flips        yes                        none
#     duration     800,000 steps, 10.6 h      38,000 steps, 3.5 h
#     on           a TPU v3-8, 21 steps/s     2 CPU cores
#
# Little of it was searched for: the optimizer, dropout, flips, the betas' shape. The rest
# was taken once and left. The scores in the paper are of the moment of the training with the best
# FID. Larger pictures have larger networks: 114 M weights, and 256 M for bedrooms.

# %% [markdown]
# ## Which weights does one draw with?
#
# Not with those of the last step. Beside them an average is kept, and moves a little
# towards the new weights after each: `average = 0.9999 average + 0.0001 new`.

# %% tags=["parameters"]
seed = 0  # other batches
device = "auto"  # auto, cpu, cuda or mps

# %%
from copy import deepcopy
from math import log

import torch

from ddpm_tutor import (
    LeanUNet, SamplingOptions, TrainingConfig, TrainingState, UNet,
    choose_device, draw, last, load_checkpoint, load_classifier,
    load_digits, read_digits, train, validation_loss,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table, track,
)

# %%
half = log(0.5) / log(0.9999)
ask_choice(
    "How many of the 800,000 steps make up half of the averaged weights?",
    [
        ("the last 70 or so", "That is 0.99."),
        ("the last 7,000 or so", "Yes. 0.9999 to the power of 6,931 is a half."),
        ("all 800,000", "The average forgets. What was new n steps ago counts 0.9999^n as "
         "much as what is new now."),
    ],
    answer=1,
)
show_table("Half of the average", ["decay", "steps"],
           [(str(d), f"{log(0.5) / log(d):,.0f}")
            for d in (0.99, 0.999, 0.9999)])
assert 6900 < half < 6950

# %% [markdown]
# ## What averaging does
#
# We train the network that ships for another 25 steps, at a rate that is far too high
# and with batches of 8: so each step throws the weights about. The average is over the
# last ten or so (decay 0.9).

# %%
where = choose_device(device, cpu_seconds=10)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
config = TrainingConfig(epochs=1, batch_size=8, lr=2e-3, warmup_steps=2,
                        ema_decay=0.9, seed=seed)
shaken = deepcopy(model).train().requires_grad_(True)
state = TrainingState.start(shaken, config)
run = train(state, schedule, digits.train_images[:200], None, config)
for _ in track(run, 25, "Training on"):
    pass
held_out = digits.validation_images[:100]
networks = {"before": model, "after 25 steps": state.model.eval(),
            "their average": state.ema.eval()}
losses = {name: validation_loss(net, schedule, held_out)
          for name, net in networks.items()}

# %%
show_table("Loss on held-out digits (Eq. 14)", ["weights", "loss"],
           [(name, str(loss)) for name, loss in losses.items()])
labels = torch.tensor([2, 3]).to(where)
how = SamplingOptions(steps=20)
drawn = [last(draw(net, schedule, labels, how, seed=seed, indices=range(2)))
         for net in networks.values()]
show_images(torch.cat(drawn).cpu(), "drawn from the same noise",
            [name for name in networks for _ in range(2)])
after, average = (losses[name].mean for name in [*networks][1:])
assert average < after
say("Steps that go astray go astray in different ways, and in an average they cancel. "
    "(All three met the same digits, t and noise, so their order is surer than each ±.) It costs "
    "one more copy of the weights. A rate that falls to zero does much the same: by then the last "
    "weights are as good as the average, as in the training of the network that ships.")

# %% [markdown]
# ## Their numbers and ours
#
# How large, how long: counted here, and from the log that the weights bring along.

# %%
def count(network):
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f} M"

log_of_ours = trained.log
seen = log_of_ours[-1]["images_seen"]
hours = sum(epoch["seconds"] for epoch in log_of_ours) / 3600
theirs = 800_000 * 128
show_table("Trained", ["", "the paper", "what ships", "lesson 3's"], [
    ("weights", "35.7 M", count(model), count(UNet(64))),
    ("pictures seen", f"{theirs / 1e6:.0f} M", f"{seen / 1e6:.1f} M",
     "0.55 M"),
    ("times each", f"{theirs / 50_000:,.0f}", f"{seen / 55_000:.0f}", "10"),
    ("hours", f"{800_000 / 21 / 3600:.1f}", f"{hours:.1f}", ""),
])
assert 10 < 800_000 / 21 / 3600 < 11
say("Their network saw each picture 2,048 times. So much would teach it single pictures by heart, "
    "hence dropout, and flips, which make two pictures of one. Ours saw each 88 times.")

# %% [markdown]
# ## No dropout, no flips: why?
#
# A network that learns its training pictures by heart has a smaller loss on them than
# on others. And a flipped frog is a frog. Is a flipped digit a digit?

# %%
gap = [validation_loss(model, schedule, images[:150]) for images in
       (digits.train_images, digits.validation_images)]
print(f"loss on training digits {gap[0]}, on held-out ones {gap[1]}")
images, right = digits.validation_images[:500], digits.validation_labels[:500]
reader, rows = load_classifier(where).model, []
read = [read_digits(reader, x).classes for x in (images, images.flip(-1))]
for digit in range(10):
    these = right == digit
    rows.append((digit, *(f"{(r[these] == digit).float().mean():.0%}"
                          for r in read)))
show_table("Read as what they are", ["digit", "as they are", "flipped"], rows)
flipped = torch.stack([images[right == d][0] for d in (2, 3, 5, 7)]).flip(-1)
show_images(flipped, "flipped 2, 3, 5, 7")
shares = [(r == right).float().mean().item() for r in read]
assert shares[0] > 0.97 and shares[1] < 0.75
assert gap[0].mean > 0.8 * gap[1].mean
say("0, 1 and 8 stay what they were; hardly any 2, 3, 5 or 6 does. A network trained with flips "
    "would draw mirrored 2s and 7s, as likely as right ones. And it has not learned by heart, so "
    "there is nothing for dropout to prevent.")

# %% [markdown]
# ## What people get wrong
#
# To take 0.9999 for a short training. The average begins with the untrained weights,
# and 500 steps later 95 % of it are still those. It looks as if nothing had been
# learned. (`train` here begins with a smaller decay, and lets it grow.)

# %%
torch.manual_seed(seed)
slow = LeanUNet(64, model.num_classes).to(where).eval()  # untrained
kept = 0.9999**500
with torch.no_grad():
    for mine, its in zip(slow.parameters(), model.parameters(), strict=True):
        mine.lerp_(its, 1 - kept)  # as if fully trained from step 1 on
bad = validation_loss(slow, schedule, held_out)
print(f"untrained share after 500 steps: {kept:.0%}")
print(f"loss of such an average: {bad}")
print(f"of the trained weights:  {losses['before']}")
assert bad.mean > 5 * losses["before"].mean
