"""Figures drawn with matplotlib, without a window."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from ddpm_tutor.classroom.terminal_images import as_uint8


def figure(width: float = 6.4, height: float = 3.6, columns: int = 1) -> tuple[Figure, list]:
    """An empty figure and its axes, in a row; sizes in inches."""
    result = Figure(figsize=(width, height), layout="constrained")
    axes = result.subplots(1, columns, squeeze=False)[0]
    return result, list(axes)


def sheet(images: Tensor, titles: Sequence[str], columns: int = 10) -> Figure:
    """Images (N, 1, 32, 32) in rows of `columns`, the first of them under titles."""
    rows = -(-len(images) // columns)
    result = Figure(figsize=(columns * 0.8, rows * 1.0), layout="constrained", facecolor="black")
    axes = result.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, as_uint8(images), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=8, color="white")
    return result


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
