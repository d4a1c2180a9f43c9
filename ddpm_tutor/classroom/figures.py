"""Figures drawn with matplotlib, without a window."""

from collections.abc import Sequence

from matplotlib.figure import Figure


def figure(width: float = 6.4, height: float = 3.6, columns: int = 1) -> tuple[Figure, list]:
    """An empty figure and its axes, in a row; sizes in inches."""
    result = Figure(figsize=(width, height), layout="constrained")
    axes = result.subplots(1, columns, squeeze=False)[0]
    return result, list(axes)


def loss_curve(
    train: Sequence[tuple[float, float]],
    validation: Sequence[tuple[float, float]],
    x_label: str = "epoch",
) -> Figure:
    """Training and validation loss over time, each a list of (x, loss); the loss is logarithmic."""
    result, (axis,) = figure()
    axis.plot(*zip(*train, strict=True), label="training")
    axis.plot(*zip(*validation, strict=True), marker="o", label="validation (averaged weights)")
    axis.set(xlabel=x_label, ylabel="L_simple (Eq. 14)", yscale="log")
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    return result
