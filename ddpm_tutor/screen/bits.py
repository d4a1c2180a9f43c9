"""Bits for a picture, on the screen: the bound in parts, and beside others."""

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ddpm_tutor.science.bits import Bound, ReverseProcess, mean_of
from ddpm_tutor.science.bound import MNIST_PIXELS, bits_per_dim, to_bits
from ddpm_tutor.science.validation_loss import Estimate

KNOWING_NOTHING = 8  # bits/dim of 256 values that are equally likely
# of 8-bit MNIST, 28 x 28, without labels, in bits/dim, as their authors report them
PUBLISHED = {
    "every value equally likely": f"{KNOWING_NOTHING}",
    "a score-based tutorial network, by its ODE": "1.66 to 1.71",
    "a flow of coupling layers": "1.08",
    "  with variational dequantisation": "1.04",
    "a multi-scale flow": "1.02",
    "a gated PixelCNN": "0.81",
    "an autoregressive transformer": "0.62 to 0.64",
}
SIGMA = {"beta": "β", "beta_tilde": "β̃", "learned": "learned"}
SIGMA_1 = {"beta_1": "β₁", "beta_tilde_2": "β̃₂"}


def in_bits_per_dim(nats: Tensor, decimals: int = 3) -> str:
    """The mean over the pictures in bits/dim, and its standard error."""
    return worded(mean_of(bits_per_dim(nats)), decimals)


def worded(estimate: Estimate, decimals: int) -> str:
    """An estimate with so many decimals."""
    return f"{estimate.mean:.{decimals}f} ± {estimate.error:.{decimals}f}"


def bound_in_parts(bound: Bound) -> RenderableType:
    """Where the bits go: L_T, the L_{t-1} from x_T to the picture, L_0."""
    table = columned("the bound (Eq. 5)", "t", "bits/dim", "bits a picture")
    rows = [("L_T", "", bound.prior)]
    for part in reversed(bound.parts):
        name = "L_0" if part.stop == 2 else "L_t-1"
        times = f"{part.stop - 1} to {part.start}" if len(part) > 1 else f"{part.start}"
        rows.append((name, times, bound.between(part.start, part.stop - 1)))
    for name, times, nats in rows:
        table.add_row(name, times, in_bits_per_dim(nats, 4), worded(mean_of(to_bits(nats)), 1))
    table.add_section()
    for name, nats in (("all", bound.nats), ("  in the border", bound.border)):
        table.add_row(name, "", in_bits_per_dim(nats, 4), worded(mean_of(to_bits(nats)), 1))
    return table


def bounds_compared(bounds: Mapping[ReverseProcess, Bound]) -> RenderableType:
    """The bound with other σ², or a clipped guess, from the same predictions."""
    table = columned("σ_t²", "σ_1²", "guess", "L_T-1 .. L_1", "L_0", "bits/dim")
    for process, bound in bounds.items():
        learned = process.variance == "learned"
        table.add_row(
            SIGMA[process.variance],
            "learned" if learned else SIGMA_1[process.first],
            "clipped" if process.clip else "*" if process.push_black else "as it is",
            f"{mean_of(bits_per_dim(bound.steps[:, 1:].sum(1))).mean:.3f}",
            f"{mean_of(bits_per_dim(bound.decoder)).mean:.3f}",
            in_bits_per_dim(bound.nats),
        )
    return table


def beside_published(bound: Bound) -> RenderableType:
    """The bound among the figures that others report."""
    table = columned("8-bit MNIST, 28×28", "bits/dim")
    for name, figure in PUBLISHED.items():
        table.add_row(name, figure)
    table.add_section()
    table.add_row("these weights, at most", in_bits_per_dim(bound.nats), style="bold")
    return table


def columned(first: str, *others: str) -> Table:
    """An empty table; numbers stand right."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(Text(first), no_wrap=True)
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def explained(bounds: Mapping[ReverseProcess, Bound], mnist: bool) -> RenderableType:
    """All of it, the main one first; then what it means.

    Args:
        mnist: whether the pictures are MNIST's, and so can stand beside what others report.
    """
    main = next(iter(bounds.values()))
    bits = mean_of(bits_per_dim(main.nats)).mean
    worse = (
        f"\n{bits:.1f} bits/dim is worse than knowing nothing: to take every value of a pixel for "
        f"equally likely costs {KNOWING_NOTHING}. These weights have not learned enough."
    )
    ignorant = [Text(worse, "yellow")] if bits > KNOWING_NOTHING else []
    others = [Text("\nBeside what others report", style="bold"), beside_published(main)]
    if not mnist:
        others = [Text("\nOthers report bits/dim of MNIST. These digits are not MNIST's.", "dim")]
    notes = (
        "± is one standard error: of the digits, and of the t and noise drawn.",
        f"Bits/dim are bits a picture by its {MNIST_PIXELS} pixels, not by the 1,024 of the "
        "network's: the border of padding is no part of the picture, but its bits count.",
        "* At t = 1 a guess within a shade of black is moved far beyond: the bin of black is open.",
        "A bound: -log p is no larger, and how much smaller nobody knows.",
    )
    return Group(
        bound_in_parts(main),
        *ignorant,
        Text("\nOther choices, same predictions", style="bold"),
        bounds_compared(bounds),
        *others,
        *(Text(note, style="dim") for note in notes),
    )
