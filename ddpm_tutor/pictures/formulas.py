"""Formulas as SVG pictures, set by matplotlib's mathtext: for pages that load nothing else.

A picture takes the colour of the words around it and grows with them: its size is in em. What is
read aloud in its place is the Unicode line that it was made from.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import quoteattr

from ddpm_tutor.pictures.figures import own_settings

SIZE = 100.0  # units of the picture in one em
GAP, SIGN_GAP, LEADING = 1.6 * SIZE, 0.25 * SIZE, 0.45 * SIZE  # between columns, and lines
SIGNS = ("=", "+", "-", r"\approx", r"\leq", r"\leftarrow")  # what stands close to its left side
COMMANDS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # by matplotlib's codes of a path
POINTS = {1: 1, 2: 1, 3: 2, 4: 3, 79: 1}


def formula_svg(latex: str, label: str) -> str:
    """One formula within a line of words, standing on its base line.

    Args:
        label: what a screen reader says.
    """
    path, width, height, depth = _drawn(latex)
    return _svg([(0.0, height, path)], width, height + depth, label, depth)


def block_svg(rows: Sequence[tuple[Sequence[str], str]], label: str) -> tuple[str, str]:
    """Lines of formulas, in columns that stand below each other.

    Args:
        rows: the cells of each line in LaTeX, "" for none, and the number of the equation or "".

    Returns:
        the formulas; and as tall a picture with the numbers of the equations, "" for none: it can
        stand beside formulas that are too wide for their place, and are scrolled.
    """
    drawn = [[_displayed(cell) if cell else None for cell in cells] for cells, _ in rows]
    lefts = _columns(rows, drawn)
    parts, top, right = list[tuple[float, float, str]](), 0.0, 0.0
    numbers = list[tuple[float, float, str]]()
    wide = 0.0  # of the widest number
    for line, (_, number) in zip(drawn, rows, strict=True):
        cells = [cell for cell in line if cell]
        base = top + max(0.7 * SIZE, *(height for _, _, height, _ in cells))
        for left, cell in zip(lefts, line, strict=True):
            if cell:
                parts.append((left, base, cell[0]))
                right = max(right, left + cell[1])
        if number:
            path, width, _, _ = _drawn(rf"(\text{{{number}}})")
            numbers.append((0.0, base, path))
            wide = max(wide, width)
        top = base + max(0.2 * SIZE, *(depth for _, _, _, depth in cells)) + LEADING
    tall = top - LEADING
    return _svg(parts, right, tall, label), _svg(numbers, wide, tall, "") if numbers else ""


def _spaced(cell: str) -> str:
    """A cell; a + that begins it joins two terms, which mathtext cannot see. A - may be a sign."""
    return rf"+\: {cell[2:]}" if cell.startswith("+ ") else cell


def _columns(rows: Sequence[tuple[Sequence[str], str]], drawn: Any) -> list[float]:
    """Where each column begins: behind what stands before it in any line that has a cell there."""
    lefts = [0.0] * len(drawn[0])
    for n in range(1, len(lefts)):
        for (cells, _), line in zip(rows, drawn, strict=True):
            before = [k for k in range(n) if line[k]]
            if line[n] and before:
                signs = cells[n].startswith(SIGNS) or cells[before[-1]].endswith("[")
                gap = SIGN_GAP if signs else GAP
                lefts[n] = max(lefts[n], lefts[before[-1]] + line[before[-1]][1] + gap)
        lefts[n] = max(lefts[n], lefts[n - 1] + SIZE)
    return lefts


def _svg(
    parts: Sequence[tuple[float, float, str]],
    width: float,
    height: float,
    label: str,
    depth: float = 0,
) -> str:
    """The picture; its size in em, so that it grows with the words around it.

    Args:
        label: what a screen reader says; "" where it says it elsewhere.
    """
    said = f'role="img" aria-label={quoteattr(label)}' if label else 'aria-hidden="true"'
    style = f"vertical-align:{-depth / SIZE:.3f}em" if depth else "max-width:none"
    glyphs = "".join(
        f'<path transform="translate({left:.1f} {base:.1f})" d="{path}"/>'
        for left, base, path in parts
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {said} '
        f'viewBox="0 0 {width:.1f} {height:.1f}" width="{width / SIZE:.3f}em" '
        f'height="{height / SIZE:.3f}em" fill="currentColor" style="{style}">{glyphs}</svg>'
    )


def _displayed(latex: str) -> tuple[str, float, float, float]:
    """`_drawn` of a formula in a line of its own: its fractions are as tall as they like."""
    return _drawn(_spaced(latex).replace(r"\frac", r"\dfrac"))


@cache
def _drawn(latex: str) -> tuple[str, float, float, float]:
    """The outlines of a formula as an SVG path from its base line; width, height, depth.

    Raises:
        ValueError: mathtext cannot set it.
    """
    with own_settings():
        from matplotlib import rcParams
        from matplotlib.font_manager import FontProperties
        from matplotlib.mathtext import MathTextParser
        from matplotlib.textpath import TextPath

        rcParams["mathtext.fontset"] = "cm"
        font = FontProperties(size=SIZE)
        width, *_ = MathTextParser("path").parse(f"${latex}$", 72, font)
        outline = TextPath((0, 0), f"${latex}$", size=SIZE, prop=font)
    box = outline.get_extents()
    bits, at = list[str](), 0
    codes, vertices = outline.codes, outline.vertices
    while at < len(codes):
        code, count = int(codes[at]), POINTS[int(codes[at])]
        points = "" if code == 79 else " ".join(
            f"{x:.1f} {-y:.1f}" for x, y in vertices[at : at + count]
        )  # fmt: skip
        bits.append(COMMANDS[code] + points)
        at += count
    return "".join(bits), max(float(width), box.x1), max(float(box.y1), 0), max(-float(box.y0), 0)
