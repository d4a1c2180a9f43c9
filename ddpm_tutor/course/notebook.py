"""A lesson as a Jupyter notebook, without its questions: they stay in the package.

A cell calls `ask(7)` in their place: the 7th piece that a learner is not shown. Nothing here needs
torch, or Jupyter: a notebook is JSON.
"""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any

from ddpm_tutor import __version__
from ddpm_tutor.commands import command
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.formula_blocks import display
from ddpm_tutor.course.formulas import MINUS, inline
from ddpm_tutor.course.lesson import Lesson, Step, pieces
from ddpm_tutor.course.paper import entries_named

BLOCK = re.compile(r"(?:\A|\n\n)((?: {4}.*(?:\n|\Z)|\n(?= {4}))+)")
# code, and a letter with an index between words, such as x_0 or ᾱ_500: no name of code
CODE = re.compile(
    r"`(?P<code>[^`]+)`|(?<![^\W\d])(?<![^\W\d]\d)(?<![.$])(?P<symbol>[^\W\d_][\u0302-\u0304]?"
    r"_(?:\{[^{}]*\}|simple|\d+|[A-Za-zθτ])²?)(?![\w(/])"
)
LESS = re.compile(rf"{MINUS.pattern}|(?<=\S )-(?= \S)")  # t - 1 as well
# a sentence on the keys of the terminal; that on `s` has its like in a notebook
KEYS = re.compile(
    r"(?:(?<=[.!?:] )|^)\(?(?:[A-Z][^.!?`]* (?:the key|press)|Press|The key) `\w`[^.!?]*[.!?]\)? ?"
)
SET = re.compile(r"`(?:ddpm-tutor lesson \d+ )?--set (\w+)=([^`\s]+)`")
SOURCE = "Here `??` behind a name, as in `q_step??`, shows the source of a function. "
CHANGE = "Run this step; then change the next cell, and run it again. "
HOW_TO_CHANGE = "To try other values, change the next cell, and run the step again."
SETUP = """\
# This notebook needs the package ddpm-tutor, and nothing else. Where it is missing, take a copy
# of its repository. Remove the # from the next line, and put the folder of your copy for the dot:
# %pip install .

from ddpm_tutor.classroom.notebook import ask, begin, finish, tell

begin({arguments})"""
FINISH = "finish()  # how many points you have, and what comes next"


def version_of(lesson: Lesson) -> str:
    """A short name for the lesson's code: a notebook and the package must mean the same pieces."""
    text = repr([cell.source for step in lesson.steps for cell in step.code])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def notebook_of(
    lesson: Lesson, name: str, values: dict[str, Any], data: Path | None = None
) -> dict[str, Any]:
    """The notebook, in nbformat 4.5, as what json writes.

    Args:
        name: under which the package finds the lesson again: its number, or the path of its file.
        values: parameters that have another value than in the file.
        data: a folder with MNIST that the notebook is to use.
    """
    arguments = [repr(name), f"version={version_of(lesson)!r}"]
    arguments += [f"data={str(data)!r}"] if data else []
    cells = [_code("setup", SETUP.format(arguments=", ".join(arguments)))]
    asked = 0
    for number, step in enumerate(lesson.steps, start=1):
        cells.append(_cell("markdown", f"step-{number}", markdown(step)))
        for piece in (piece for cell in step.code for piece in pieces(cell)):
            if piece.kind == "hidden":
                asked += 1
                call = "ask" if "ask_" in piece.source else "tell"
                cells.append(_code(f"{call}-{asked}", f"{call}({asked})", ["question"]))
            else:
                source = changed(piece, values) if piece.is_parameters else piece.source
                tags = ["parameters"] if piece.is_parameters else []
                place = sum(cell["id"].startswith(f"code-{number}-") for cell in cells) + 1
                cells.append(_code(f"code-{number}-{place}", source, tags))
    cells.append(_code("finish", FINISH))
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3",
            },
            "language_info": {"name": "python"},
            "ddpm_tutor": {"lesson": name, "version": __version__},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


def _cell(kind: str, name: str, source: str, tags: list[str] | None = None) -> dict[str, Any]:
    return {
        "cell_type": kind,
        "id": name,
        "metadata": {"tags": tags} if tags else {},
        "source": source.splitlines(keepends=True),
    }


def _code(name: str, source: str, tags: list[str] | None = None) -> dict[str, Any]:
    return _cell("code", name, source, tags) | {"execution_count": None, "outputs": []}


def changed(cell: Cell, values: dict[str, Any]) -> str:
    """The source of the parameters cell, with these values in place of its own."""
    lines = cell.source.encode().splitlines()
    for node in reversed(ast.parse(cell.source).body):
        name = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(name, ast.Name) and name.id in values:
            first, last = node.value.lineno - 1, (node.value.end_lineno or node.value.lineno) - 1
            before = lines[first][: node.value.col_offset]
            after = lines[last][node.value.end_col_offset :]
            lines[first : last + 1] = [before + repr(values[name.id]).encode() + after]
    return b"\n".join(lines).decode()


def markdown(step: Step) -> str:
    """The prose of a step as Markdown with typeset formulas, without the keys of the terminal."""
    named = entries_named("\n".join([step.prose, *(cell.source for cell in step.code)]))
    typed = ", ".join(f"`{command('paper', *entry.key.split())}`" for entry in named)
    below = f"\n\n*In the paper:* {typed}" if named else ""
    told = without_keys(step.prose, SOURCE, CHANGE)
    if any(cell.is_change for cell in step.code) and CHANGE.strip() not in told:
        told += f"\n\n{HOW_TO_CHANGE}"
    # what --set would set is an assignment here, for the cell of the parameters
    return typeset(SET.sub(_assignment, told)) + below


def without_keys(prose: str, source: str = "", change: str = "") -> str:
    """Prose for where no keys are pressed: without its sentences on those of the terminal.

    Args:
        source: a sentence in place of that on the key `s`, which shows the source of functions.
        change: one in place of that on the key `c`, which changes a value.
    """

    def instead(found: re.Match[str]) -> str:
        if "press `c`" in found[0]:
            return change
        return source if "the key `s`" in found[0] else ""

    kept = []
    for paragraph in prose.split("\n\n"):
        line = " ".join(paragraph.split("\n"))
        kept.append(KEYS.sub(instead, line).rstrip() if KEYS.search(line) else paragraph)
    return "\n\n".join(filter(None, kept))


def _assignment(found: re.Match[str]) -> str:
    """`steps = 300` for `--set steps=300`; words in quotes."""
    name, value = found.groups()
    try:
        ast.literal_eval(value)
    except (ValueError, SyntaxError):
        value = f'"{value}"'
    return f"`{name} = {value}`"


def typeset(prose: str) -> str:
    """Markdown with its formulas in LaTeX, between dollars; what is none stays code."""
    parts, at = list[str](), 0
    for block in BLOCK.finditer(prose):
        parts += [_words(prose[at : block.start()]), _block(block[1])]
        at = block.end()
    parts.append(_words(prose[at:]))
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _block(block: str) -> str:
    if found := display(block):
        return f"$$\n{found}\n$$"
    plain = "\n".join(line[4:] for line in block.strip("\n").splitlines())
    return f"```text\n{plain}\n```"


def _words(text: str) -> str:
    """Words with their symbols in LaTeX; what is left of a minus is one too, as on a page."""
    parts, at = list[str](), 0
    for code in CODE.finditer(text):
        found = inline(" ".join((code["code"] or code["symbol"]).split()))
        parts += [LESS.sub("−", text[at : code.start()]), f"${found}$" if found else code[0]]
        at = code.end()
    return "".join([*parts, LESS.sub("−", text[at:])])
