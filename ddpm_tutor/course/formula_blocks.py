"""Blocks of formulas: the lines of a step that are indented, as LaTeX in columns.

A block of Python or a table is no formula, and is said to be none.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ddpm_tutor.course.formulas import Untranslatable, latex

NUMBER = re.compile(r"(?:(?<=\]) *| {2,})\((?P<number>(?:Eq\. )?\d{1,2}(?:, Alg\. \d)?)\)$")
GAP = re.compile(r"(?<! to)(?<! [-+=←]) {2,}")  # not around a lone word or sign
CODE = re.compile(r"^\s*(?:def \w+\(|import |from \w+ import|return \w+\.)", re.MULTILINE)
MATHEMATICAL = re.compile(r"[=~≈≤≥→←√∫Σ‖½∝²|·]")
ALIKE = {sign: "=" for sign in "=≈≤←~"} | {sign: "+" for sign in "+-·"}  # stand below each other
MARKED = re.compile("([\u0020-\u3fff])([\u0302-\u0304])")  # a letter with a mark above: two signs
HELD = 0xF0000  # where Unicode's signs of private use begin
RELATION = re.compile(r"(?:[=+]|\\(?:approx|leq|leftarrow|sim)\b|\Z)")  # or nothing
NEAR, MARGIN = 4, 16  # characters: columns so near are one; indents further left stay indents


@dataclass(frozen=True)
class Row:
    """A line of a block of formulas, in cells that stand below those of the other lines."""

    cells: tuple[str, ...]  # LaTeX; "" where the line has nothing in this column
    number: str  # of the equation in the paper, "" where it has none
    across: frozenset[int] = frozenset()  # the columns that its cells of earlier ones run into


def rows(block: str) -> list[Row] | None:
    """The lines of an indented block, or None where it is no formula: a table, Python, other signs.

    Columns are where the lines have gaps of two blanks or more; a line that begins with a sign,
    such as `=`, stands below that sign in the line above.
    """
    lines = [line.rstrip() for line in textwrap.dedent(block).splitlines() if line.strip()]
    if CODE.search("\n".join(lines)) or _is_table(lines):
        return None
    lines = [_held(line) for line in lines]
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
    across = [_across(line, mine, columns) for line, mine in zip(lines, starts, strict=True)]
    return [Row(c, n["number"] if n else "", a)
            for c, n, a in zip(cells, numbers, across, strict=True)]  # fmt: skip


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


def _across(line: str, starts: set[int], columns: list[int]) -> frozenset[int]:
    """The numbers of the columns that begin within a cell of the line."""
    cuts = sorted(starts)
    cells = [(begin, begin + len(line[begin:end].rstrip()))
             for begin, end in pairwise([*cuts, len(line)])]  # fmt: skip
    return frozenset(n for n, at in enumerate(columns) if any(a < at < b for a, b in cells))


def _cells(line: str, starts: set[int], columns: list[int]) -> tuple[str, ...]:
    cells = dict.fromkeys(columns, "")
    cuts = sorted(starts)
    for begin, end in zip(cuts, [*cuts[1:], len(line)], strict=True):
        column = max(at for at in columns if at <= begin)
        indented = column < MARGIN and begin != column
        deeper = r"\quad " * (1 + (begin - column > 2)) if cells[column] or indented else ""
        cells[column] += deeper + latex(_freed(line[begin:end]))
    return tuple(cells.values())


def _held(line: str) -> str:
    """Each letter with a mark above as one sign, so that columns are counted as they are seen."""
    return MARKED.sub(lambda it: chr(HELD + 4 * ord(it[1]) + ord(it[2]) - 0x301), line)


def _freed(line: str) -> str:
    """The line that `_held` was given."""
    codes = [(sign, ord(sign) - HELD) for sign in line]
    return "".join(chr(n // 4) + chr(0x301 + n % 4) if n > 0 else sign for sign, n in codes)


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
        return _joined(found[0].cells, r" \qquad ") + _number(found[0])
    kept = _kept(found)
    cells = [
        [_joined(row.cells[a:b], r" \quad ") for a, b in pairwise([*kept, None])] for row in found
    ]
    signs = [all(RELATION.match(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        f"{_paired(mine, signs)}{_number(row)}" for mine, row in zip(cells, found, strict=True)
    ]
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def _kept(found: list[Row]) -> list[int]:
    """The columns that stand below each other: into none of them does a line before it run."""
    across = frozenset[int]().union(*(row.across for row in found))
    return [n for n in range(len(found[0].cells)) if n not in across]


def _paired(cells: list[str], signs: list[bool]) -> str:
    """A line of `aligned`, whose columns come in pairs: one ends where the next one begins."""
    pairs = list[str]()
    for cell, sign in zip(cells, signs, strict=True):
        if sign and pairs and pairs[-1].startswith("& "):
            pairs[-1] = f"{pairs[-1][2:]} & {cell}"
        else:
            pairs.append(f"& {cell}")
    return " & ".join(pairs).strip()


def _joined(cells: Sequence[str], gap: str) -> str:
    """Cells in one line: no gap before a sign such as =."""
    line = ""
    for n, cell in enumerate(cells):
        if cell:
            line += (gap if n else "") * (not (line and RELATION.match(cell))) + " " * bool(line)
            line += cell
    return " ".join(line.split())


def _number(row: Row) -> str:
    """The number of its equation, behind the line."""
    number = re.sub(r"([A-Z][a-z]+\. \d+)", r"\\text{\1}", row.number)
    return rf" \qquad ({number})" * bool(number)
