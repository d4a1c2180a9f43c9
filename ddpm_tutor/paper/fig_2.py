# %% [markdown]
# # Fig. 2 · Two chains in opposite directions
#
# **Where:** §2
#
# **Symbols:** x_0, x_t, x_{t-1}, T, q, p_θ
#
# **Function:** q_step, p_step, sample
#
# **Lesson:** 1, A thousand steps; 4, All thousand steps
#
# **Exercise:** 9
#
# **Mistakes:** upwards, starts_late
#
# **See:** eq 1, eq 2
#
#     p_θ, learned:  x_T → ... → x_t → x_{t-1} → ... → x_0
#     q, given:      x_T ← ... ← x_t ← x_{t-1} ← ... ← x_0
#
# Circles are pictures, all of one size. An arrow says what a picture depends on: on its
# neighbour alone. So a step needs no memory. To go on from x_t, nothing of the past counts
# but x_t. Such a chain is called a Markov chain.

# %% [markdown]
# ## What does a step see?
#
# You know x_299, and are to foresee x_300.

# %% tags=["parameters"]
seed = 0  # other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, last, load_checkpoint,
    load_digits, normal, q_sample, q_step, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
x_0 = to_unit_range(digits.validation_images[:200]).to(where)
generator = stream(seed, "fig 2")
def noise():
    return normal(x_0.shape, generator, where)

def at(t):
    return torch.full((len(x_0),), t, device=where)

# %%
x_299 = q_sample(schedule, x_0, at(299), noise())
x_300 = q_step(schedule, x_299, at(300), noise())

def factors(wanted, *known):
    """By least squares over all pixels: how much of each to take."""
    columns = torch.stack([k.flatten() for k in known], dim=1).double().cpu()
    target = wanted.flatten().double().cpu()[:, None]
    return torch.linalg.lstsq(columns, target).solution.flatten().tolist()

forward = factors(x_300, x_299, x_0)
back = factors(x_299, x_300, x_0)
ask_choice(
    "Does it help if you are told x_0 as well? And the other way, to find x_299 from x_300?",
    [
        ("only to go back", "Yes. Forward, all that x_0 could say is in x_299. Back, x_0 says "
         "where the chain came from. The network has to do without."),
        ("in neither direction",
         "Forward it does not. But back: x_0 says where the chain came from (Eq. 7)."),
        ("in both directions", "Forward, x_300 is x_299 made smaller, plus fresh noise. x_0 "
         "knows nothing of that noise."),
    ],
    answer=0,
)
show_table("The best mixture of what is known",
           ["to find", "of the neighbour", "of x_0"],
           [("x_300 from x_299", *forward), ("x_299 from x_300", *back)])
assert abs(forward[1]) < 0.002 < 0.004 < back[1]

# %% [markdown]
# ## Along both chains
#
# One digit on its way into noise, and one on its way out (100 of the 1000 steps).

# %%
times = (0, 200, 400, 600, 1000)
eps = noise()
there = torch.cat([q_sample(schedule, x_0, at(t), eps)[:1] for t in times])
labels = None if model.num_classes is None else torch.tensor([8])
options = SamplingOptions(steps=100)
states = draw(model, schedule, labels, options, seed=seed, indices=[0])
chain = {state.t: state.x_t for state in states}
shown = [min(chain, key=lambda t: abs(t - wanted)) for wanted in times[::-1]]
show_images(there, "q: given", captions=[f"x_{t}" for t in times])
show_images(torch.cat([chain[t] for t in shown]), "p_θ: learned",
            captions=[f"x_{t}" for t in shown])

# %% [markdown]
# ## What people get wrong
#
# The arrows of p_θ do not walk back the way that q came. Noise a digit to x_1000, and let
# p_θ go on from there: what comes out is some digit, not that one. x_1000 has
# forgotten.

# %%
four = q_sample(schedule, x_0, at(1000), noise())[:4]
ended = last(draw(model, schedule, None, options, seed=seed, indices=range(4),
                  x_T=four))
show_images(x_0[:4], "Noised to x_1000,")
show_images(ended, "and what is drawn from there.")
own = (ended - x_0[:4]).square().mean().sqrt().item()
others = (ended - x_0[4:8]).square().mean().sqrt().item()
say(f"The distance a pixel to the digit that it came from: {own:.2f}. To another digit: "
    f"{others:.2f}.")
assert own > 0.3
