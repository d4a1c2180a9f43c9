"""Blocks of formulas: the lines of a step that are indented, as LaTeX in columns.

A block of Python or a table is no formula, and is said to be none.
"""

import re
import textwrap
from dataclasses import dataclass

from ddpm_tutor.course.formulas import Untranslatable, latex

NUMBER = re.compile(r"(?:(?<=\]) *| {2,})\((?P<number>(?:Eq\. )?\d{1,2}(?:, Alg\. \d)?)\)$")
GAP = re.compile(r"(?<! to)(?<! [-+=←]) {2,}")  # not around a lone word or sign
CODE = re.compile(r"^\s*(?:def \w+\(|import |from \w+ import|return \w+\.)", re.MULTILINE)
MATHEMATICAL = re.compile(r"[=~≈≤≥→←√∫Σ‖½∝²|·]")
ALIKE = {sign: "=" for sign in "=≈≤←~"} | {sign: "+" for sign in "+-·"}  # stand below each other
NEAR, MARGIN = 4, 16  # characters: columns so near are one; indents further left stay indents


@dataclass(frozen=True)
class Row:
    """A line of a block of formulas, in cells that stand below those of the other lines."""

    cells: tuple[str, ...]  # LaTeX; "" where the line has nothing in this column
    number: str  # of the equation in the paper, "" where it has none


def rows(block: str) -> list[Row] | None:
    """The lines of an indented block, or None where it is no formula: a table, Python, other signs.

    Columns are where the lines have gaps of two blanks or more; a line that begins with a sign,
    such as `=`, stands below that sign in the line above.
    """
    lines = [line.rstrip() for line in textwrap.dedent(block).splitlines() if line.strip()]
    if CODE.search("\n".join(lines)) or _is_table(lines):
        return None
    numbers = [NUMBER.search(line) for line in lines]
    lines = [line[: n.start()] if n else line for line, n in zip(lines, numbers, strict=True)]
    starts = [{_indent(line), *(gap.end() for gap in GAP.finditer(line))} for line in lines]
    begins = {(at, ALIKE[line[at]]) for line, mine in zip(lines, starts, strict=True)
              for at in mine if line[at] in ALIKE}  # fmt: skip
    for line, mine in zip(lines, starts, strict=True):
        mine |= {at for at, sign in begins if _may_be_cut(line, at, sign)}
    columns = _columns(lines, starts)
    try:
        cells = [_cells(line, mine, columns) for line, mine in zip(lines, starts, strict=True)]
    except Untranslatable:
        return None
    return [Row(c, n["number"] if n else "") for c, n in zip(cells, numbers, strict=True)]


def _columns(lines: list[str], starts: list[set[int]]) -> list[int]:
    """Where the columns begin: none that more lines run across than begin at.

    Places that are near each other are one column, but not where one line has both.
    """
    columns = [0]
    for at in sorted(set().union(*starts) - {0}):
        across = sum(
            len(line) > at > _indent(line) and at not in mine and line[at - 2 : at] != "  "
            for line, mine in zip(lines, starts, strict=True)
        )
        near = columns[-1] and at - columns[-1] <= NEAR
        both = any({at, columns[-1]} <= mine for mine in starts)
        if (not near or both) and across <= sum(at in mine for mine in starts):
            columns.append(at)
    return columns


def _cells(line: str, starts: set[int], columns: list[int]) -> tuple[str, ...]:
    cells = dict.fromkeys(columns, "")
    cuts = sorted(starts)
    for begin, end in zip(cuts, [*cuts[1:], len(line)], strict=True):
        column = max(at for at in columns if at <= begin)
        indented = column < MARGIN and begin != column
        deeper = r"\quad " * (1 + (begin - column > 2)) if cells[column] or indented else ""
        cells[column] += deeper + latex(line[begin:end])
    return tuple(cells.values())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _may_be_cut(line: str, at: int, sign: str) -> bool:
    """Whether such a sign stands there, in no brackets that are closed behind it."""
    opened = line[at - 2 : at] == "[ "
    if (ALIKE.get(line[at : at + 1]) != sign and not opened) or line[at - 1 : at] != " ":
        return False
    depth = 0
    for other in line[at:]:
        depth += (other in "([{") - (other in ")]}")
        if depth < 0:
            return not any(opening in line[:at] for opening in "([{")
    return True


def table_of(block: str) -> list[list[str]] | None:
    """The cells of a block that is a table, the names of its columns first; None for any other."""
    lines = [line.rstrip() for line in textwrap.dedent(block).splitlines() if line.strip()]
    if CODE.search("\n".join(lines)) or not _is_table(lines):
        return None
    cells = [[""] * line.startswith(" ") + GAP.split(line.strip()) for line in lines]
    wide = max(map(len, cells))
    return [row + [""] * (wide - len(row)) for row in cells]


def _is_table(lines: list[str]) -> bool:
    """Whether most lines are words or numbers in columns, and none says anything in signs."""
    columned = sum(bool(GAP.search(line.strip())) for line in lines)
    return len(lines) > 2 and columned > len(lines) / 2 and not MATHEMATICAL.search(str(lines))


def display(block: str) -> str | None:
    """A block as LaTeX for MathJax and KaTeX; None where it is no formula."""
    found = rows(block)
    if found is None:
        return None
    if len(found) == 1:
        return _line(found[0])
    # a cell that nothing follows may be long: it must not push the next column to the right
    filled = [[bool(cell) for cell in row.cells] for row in found]
    columned = all(any(after[n + 1 :]) for after in filled for n, cell in enumerate(after[:-1])
                   if cell)  # fmt: skip
    lines = [f"& {_line(row, ' && ' if columned else gap)}" for row in found
             for gap in [r" \quad "]]  # fmt: skip
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def _line(row: Row, gap: str = r" \qquad ") -> str:
    """The cells of a row in one line, with the number of its equation."""
    cells = row.cells if "&" in gap else [cell for cell in row.cells if cell]
    indented = "&" not in gap and not row.cells[0]
    number = rf" \qquad ({row.number.replace('Alg. ', r'Alg.')})" if row.number else ""
    return r"\quad " * indented + gap.join(cells) + number
