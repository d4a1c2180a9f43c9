"""Curves and histograms as SVG that takes its colours from the page, and says itself in words."""

import math
import re
from collections.abc import Iterator, Sequence
from html import escape

from ddpm_tutor.pages.words import INDEXED, plain
from ddpm_tutor.screen.curves import Curves, unscaled

WIDTH, HEIGHT = 640, 256  # of a frame, in the units of its own picture
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 12, 52  # around it, for letters that are larger on a telephone
DASHES = ("", "7 4", "2 3", "9 3 2 3")  # a curve is known by more than its colour
NEAR = 0.02  # of a step: a round value so near the end of an axis is written there
MAX_POINTS = 700  # of a curve; more cannot be told apart


def plot(curves: Curves) -> str:
    """Curves in one frame, with their scales and names."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - curves.left) / (curves.right - curves.left)
        up = (y - curves.low) / (curves.high - curves.low)
        return LEFT + across * wide, TOP + (1 - min(max(up, -0.02), 1.02)) * high

    parts = []
    for y, label in _ticks(curves.low, curves.high, curves.log):
        at = place(curves.left, y)[1]
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}h{wide}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for x, label in _ticks(curves.left, curves.right, curves.log_x):
        at = place(x, curves.low)[0]
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP}v{high}"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{TOP + high + 18}" text-anchor="middle">{label}</text>'
        )
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 7}" text-anchor="middle">'
        f"{_svg_words(curves.x_label)}</text>"
    )
    for number, (_, points) in enumerate(curves.curves):
        places = [place(x, y) for x, y in _thinned(points)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = f' stroke-dasharray="{DASHES[number % 4]}"' if number % 4 else ""
        if len(places) <= 25:
            parts += [
                f'<circle class="c{number % 4}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
                for x, y in places
            ]
        parts.append(f'<polyline class="c{number % 4}" points="{line}"{dash}/>')
    label = escape(f"Curves over {curves.x_label}. {in_words(curves)}")
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{label}">'
        f"{''.join(parts)}</svg>{_names(curves)}"
    )


def _svg_words(text: str) -> str:
    """Words within a picture: letters with an index as such."""

    def lowered(found: re.Match[str]) -> str:
        index = found[2].strip("{}").replace("-", "−")
        return (
            f'<tspan font-style="italic">{found[1]}</tspan>'
            f'<tspan dy="3" style="font-size:.75em">{index}</tspan>'
            '<tspan dy="-3">\u200b</tspan>'
        )

    return INDEXED.sub(lowered, escape(text))


def _names(curves: Curves) -> str:
    """Which curve is which."""
    named = [(i, name) for i, (name, _) in enumerate(curves.curves) if name]
    if not named:
        return ""
    items = "".join(
        f'<li><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true">'
        f'<path class="c{i % 4}" d="M0 4h28" stroke-dasharray="{DASHES[i % 4] or "none"}"/></svg>'
        f" {plain(name)}</li>"
        for i, name in named
    )
    return f'<ul class="names">{items}</ul>'


def in_words(curves: Curves) -> str:
    """Where each curve begins, ends, and where it is highest or lowest in between."""
    said = []
    for name, points in curves.curves:
        if not points:
            continue
        xs = [unscaled(x, curves.log_x) for x, _ in points]
        ys = [unscaled(y, curves.log) for _, y in points]
        words = f"from {ys[0]:.3g} at {xs[0]:.4g} to {ys[-1]:.3g} at {xs[-1]:.4g}"
        top, bottom = max(ys), min(ys)
        if top > max(ys[0], ys[-1]):
            words += f", highest {top:.3g} at {xs[ys.index(top)]:.4g}"
        if bottom < min(ys[0], ys[-1]):
            words += f", lowest {bottom:.3g} at {xs[ys.index(bottom)]:.4g}"
        said.append(f"{name or 'The curve'}: {words}.")
    return " ".join(said)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """No more points than can be seen; the first and the last stay."""
    step = -(-len(points) // MAX_POINTS)
    kept = points[::step]
    return [*kept, points[-1]] if points and kept[-1] != points[-1] else kept


def _ticks(low: float, high: float, log: bool) -> Iterator[tuple[float, str]]:
    """Some round values between the ends of an axis, and how they are written."""
    if log and high - low > 1.2:
        step = max(1, math.ceil((high - low) / 6))
        first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
        marks = (1,) if last - first >= 2 else (1, 2, 5)
        for power in range(first - len(marks) // 3, last + 1, step):
            for mark in marks:
                at, value = power + math.log10(mark), mark * 10.0**power
                if low - 1e-9 <= at <= high + 1e-9:
                    yield at, f"{value:,.0f}" if 0 <= power <= 7 else f"{value:g}"
        return
    if log:
        low, high = 10**low, 10**high
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step_ = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough * 0.999)
    decimals = max(0, -math.floor(math.log10(step_) + 1e-9))
    for n in range(math.ceil(low / step_ - NEAR), math.floor(high / step_ + NEAR) + 1):
        value = n * step_
        if not log or value > 0:
            label = f"{value:,.{decimals}f}" if abs(value) < 1e6 else f"{value:g}"
            label = label.replace("-", "−")
            yield math.log10(value) if log else value, label


def histogram(counts: Sequence[float], low: str, high: str, values: int) -> str:
    """How often values between `low` and `high` occur."""
    top, wide, tall = max(counts), 320, 84
    bar = wide / len(counts)
    bars = "".join(
        f"M{i * bar:.1f} {tall}v{-max(1.5, count / top * (tall - 4)):.1f}h{bar * 0.86:.1f}V{tall}z"
        for i, count in enumerate(counts)
        if count
    )
    peak = max(range(len(counts)), key=lambda i: counts[i])
    where = ("near the lowest", "in the lower half", "in the middle", "in the upper half",
             "near the highest")[min(4, peak * 5 // len(counts))]  # fmt: skip
    label = f"Histogram of {values:,} values from {low} to {high}; the most frequent lie {where}"
    return (
        f'<svg class="histogram" role="img" viewBox="0 0 {wide} {tall + 18}" '
        f'aria-label="{escape(label)}"><path class="bars" d="{bars}"/>'
        f'<path class="grid" d="M0 {tall}h{wide}"/><text x="0" y="{tall + 15}">{plain(low)}</text>'
        f'<text x="{wide}" y="{tall + 15}" text-anchor="end">{plain(high)}</text></svg>'
    )
