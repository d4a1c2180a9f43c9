# %% [markdown]
# # Table 1 · Scores of drawn pictures, and bits
#
# **Where:** §4.1
#
# **Symbols:** L, L_simple, x_0
#
# **Function:** score, real_card, estimate_bound, bits_per_dim
#
# **Lesson:** 4, Which are as good?; 5, With labels or without?;
# 6, Beside others; 6, What a likelihood does not say
#
# **Exercise:** 18
#
# **See:** eq 14, table 2
#
#     CIFAR-10                       IS      FID     bits/dim, test (train)
#     trained on L_simple            9.46    3.17    at most 3.75 (3.72)
#     trained on L, fixed variance   7.67   13.51    at most 3.70 (3.69)
#
# IS and FID ask a network that knows photographs what it sees in 50,000 drawn ones: are
# they clearly something, and is the whole set like the data (FID, less is better)? The
# last column asks the model how probable real pictures are.
#
# 3.17 was better than most models then, also among those that are told the class. In
# bits, others were far ahead: 2.80 by a Sparse Transformer.

# %% [markdown]
# ## Two columns that do not agree
#
# Read the two rows again: L_simple has the better pictures, L the better bits. So what
# does each look at? We change real digits so little that nobody sees it: every black
# pixel becomes one of the four darkest shades, 0 to 3 of 255.

# %% tags=["parameters"]
seed = 0  # other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, bits_per_dim, choose_device, difference, draw,
    estimate_bound, last, load_checkpoint, load_classifier, load_digits,
    load_real_digits, mean_of, read_digits, read_features, real_card,
    score, stream, to_uint8,
)
from ddpm_tutor.classroom.tools import (
    PUBLISHED, ask_choice, say, show_download, show_images, show_table,
    track,
)

# %%
where = choose_device(device, cpu_seconds=10)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
generator = stream(seed, "table 1")
unseen = digits.validation_images
picked = torch.randperm(len(unseen), generator=generator)[:100]
black = torch.where(unseen[picked] < 8, 0, unseen[picked])
shades = torch.randint(4, black.shape, generator=generator, dtype=torch.uint8)
dusty = torch.where(black == 0, shades, black)
bounds = [estimate_bound(model, schedule, images[:8], seed=seed)
          for images in (black, dusty)]
bits = [bits_per_dim(bound.nats) for bound in bounds]  # of each digit
reader = load_classifier(where).model
read = [read_digits(reader, images) for images in (black, dusty)]
alike = (read[0].classes == read[1].classes).float().mean().item()

# %%
more = (bits[1] - bits[0]).mean().item()
ask_choice(
    "What does that do to what a classifier reads, and to the bits/dim?",
    [
        ("it reads the same; the bits rise by one and more",
         "Yes. The bits are lossless: each invisible shade has to be sent. The classifier does "
         "not care, nor would you."),
        ("it reads other digits; the bits stay as they are",
         "It reads strokes, and these are as they were."),
        ("both hardly change: nobody sees it",
         "Nobody does. But the bits are those of the very pixels, all 256 shades of them."),
    ],
    answer=0,
)
show_images(torch.cat([black[:2], dusty[:2]]), "which are dusty?",
            ["black", "black", "dusty", "dusty"])
for name, values in zip(("black", "dusty"), bits, strict=True):
    found = mean_of(values)
    print(f"{name}: {found.mean:.2f} ± {found.error:.2f} bits/dim")
print(f"read as the same digit: {alike:.0%}")
assert more > 1 and alike > 0.95
say("So bits/dim count what is invisible, and a score of pictures does not see it. A network that "
    "spends itself on the one neglects the other. That is Table 1 in two sentences, and why the "
    "paper goes on to ask where the bits go (§4.3).")

# %% [markdown]
# ## Our row
#
# `ddpm-tutor evaluate` draws 1,000 digits. Its figures are below, with 95 % intervals.
# Here we draw 50, in 20 steps, and see how much 50 can say.

# %%
asked = torch.arange(50) % 10
chain = draw(model, schedule, asked.to(where), SamplingOptions(steps=20),
             seed=seed, indices=range(50))
drawn = to_uint8(last(track(chain, 21, "Drawing 50 digits")))
real = load_real_digits()
ours = score(read_digits(reader, drawn), asked, real)
others = real_card(reader, real, 50).scores  # real test digits, by fifties
show_images(drawn[:10:2].cpu(), "asked to be 0, 2, 4, 6, 8")

# %%
rows = [
    ("50, now", *map(str, (ours.read_as_asked, ours.precision,
                                ours.coverage))),
    ("50 real", *map(str, (others.read_as_asked,
                                      others.precision, others.coverage))),
    ("1000 steps", "98.8 (97.9–99.3)", "84.5 (82.1–86.6)",
     "95.8 (94.4–96.9)"),
    ("100 steps", "99.3 (98.6–99.7)", "86.1 (83.8–88.1)",
     "95.8 (94.4–96.9)"),
    ("real", "99.7 (99.5–99.8)", "87.0 (86.1–87.9)",
     "96.9 (96.4–97.4)"),
]
show_table("Scores in % (95 % intervals); 1,000 digits in the last three",
           ["", "read as asked", "precision", "coverage"], rows)
low, high = ours.read_as_asked.interval
assert high - low > 0.03 and not difference(
    others.coverage, ours.coverage).value > 0.2
say("IS asks whether pictures are clearly something: here that is \"read as asked\". FID asks for "
    "the whole set at once; precision and coverage ask in two numbers: do drawn digits look real, "
    "and are all kinds of real ones there? Fifty digits leave intervals that are many points "
    "wide. Compare precision only at one number of digits: among more real ones each has a "
    "smaller reach.")

# %% [markdown]
# ## Our bits
#
# The paper's 3.75 are of photographs. For 8-bit MNIST others have reported:

# %%
rows = [*PUBLISHED.items(),
        ("this network, as it is (1,000 test digits)", "at most 1.91 ± 0.01"),
        ("  σ_1² = β_1, black moved below -1", "at most 1.32 ± 0.01"),
        ("  trained on L for two more epochs", "at most 1.10 ± 0.01")]
show_table("bits/dim", ["8-bit MNIST", ""], rows)
decoder = bits_per_dim(bounds[0].decoder).mean().item()
whole = bits[0].mean().item()
print(f"of the {whole:.2f} of the eight black digits L_0 has {decoder:.2f}")
assert decoder > 0.4 * whole
say("About half is in the last step, t = 1: which of 256 shades each pixel has. Training on L "
    "learns just that: its row took off 0.63 there. And the Fréchet distance of 1,000 digits rose, "
    "from 0.17 ± 0.04 to 0.34 ± 0.08: Table 1 in miniature. (In 100 steps; 98.4 % are read as "
    "asked, 99.2 % before.) Measure yours: ddpm-tutor evaluate --bits")

# %% [markdown]
# ## What people get wrong
#
# To compare two FIDs of different numbers of pictures. Few pictures have a larger one,
# however good they are. Real test digits against training digits:

# %%
labels = torch.arange(5000) % 10  # of the test digits, in turn
values = {}
for n in (100, 250, 1000, 2500):
    features = real.test_features[:n]
    found = score(read_features(reader, features), labels[:n], real)
    values[n] = found.frechet.mean
show_table("The Fréchet distance of real digits", ["how many", "distance"],
           [(n, f"{value:.2f}") for n, value in values.items()])
assert values[100] > 2 * values[1000] > 2 * values[2500]
padded = bits_per_dim(bounds[0].nats, 1024).mean().item()
print(f"bits divided by 1,024 padded pixels: {padded:.2f}")
print(f"divided by the 784 of the digit:     {whole:.2f}")
say("The paper's 3.17 is of 50,000 pictures against the training set; against the test set, as "
    "it says too, it is 5.24. And a border that is always black makes bits/dim look better by a "
    "quarter, at no merit.")
