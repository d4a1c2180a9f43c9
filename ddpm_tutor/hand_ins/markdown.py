"""A hand-in as Markdown, alone and as the cells of a notebook."""

import json
import re
from functools import singledispatch
from typing import Any

from ddpm_tutor.hand_ins.blocks import Block, Code, Facts, Grid, Heading, Image, Line, Page, Words

DATA = "ddpm-tutor-hand-in"  # before the JSON, in the comment at the end
SPECIAL = re.compile(r"([\\`*_\[\]#|~$&!])")


def to_markdown(page: Page, data: str) -> str:
    """The page as Markdown.

    Args:
        data: the hand-in as JSON, which a program reads.
    """
    blocks = [*head(page), *(block_markdown(block) for block in page.blocks)]
    return "\n\n".join(blocks) + f"\n\n<!-- {DATA}\n{in_comment(data)}\n-->\n"


def head(page: Page) -> list[str]:
    """Who hands in, and the points."""
    return [
        f"# {plain(page.who)}",
        f"{plain(page.title)} · **{page.points:g}** of {page.of:g} points",
    ]


def in_comment(data: str) -> str:
    """JSON that no text in it can end the comment of."""
    json.loads(data)  # it is JSON, so these stand in its texts alone
    return data.replace("--", "-\\u002d").replace("<", "\\u003c").replace(">", "\\u003e")


def to_notebook(page: Page, data: str) -> str:
    """The page as a notebook (nbformat 4.5): words in cells of Markdown, code in cells of code.

    Args:
        data: the hand-in as JSON, which a program reads.
    """
    cells = [markdown_cell("\n\n".join(head(page)), {})]
    for block in page.blocks:
        if isinstance(block, Code):
            cells.append(code_cell(block.source))
        elif isinstance(block, Image):
            text = f"**{plain(block.title)}** {plain(block.says)}\n\n"
            text += f"![{plain(block.says)}](attachment:picture.png)"
            cells.append(markdown_cell(text, {"picture.png": {"image/png": block.png}}))
        else:
            cells.append(markdown_cell(block_markdown(block), {}))
    for number, cell in enumerate(cells):
        cell["id"] = f"hand-in-{number}"
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {
        "kernelspec": python,
        "language_info": {"name": "python"},
        "ddpm_tutor": json.loads(data),
    }
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"


def markdown_cell(text: str, attachments: dict[str, Any]) -> dict[str, Any]:
    """A cell of words."""
    cell: dict[str, Any] = {"cell_type": "markdown", "metadata": {}, "source": text}
    return cell | ({"attachments": attachments} if attachments else {})


def code_cell(source: str) -> dict[str, Any]:
    """A cell of code that has not run."""
    return {
        "cell_type": "code", "metadata": {}, "source": source.rstrip("\n"),
        "execution_count": None, "outputs": [],
    }  # fmt: skip


@singledispatch
def block_markdown(block: Block) -> str:
    """A block as Markdown."""
    raise TypeError(type(block))


@block_markdown.register
def _(block: Heading) -> str:
    return f"{'#' * block.level} {plain(block.text)}"


@block_markdown.register
def _(block: Words) -> str:
    return f"*{plain(block.text)}*" if block.dim else plain(block.text)


@block_markdown.register
def _(block: Facts) -> str:
    return "\n".join(f"- **{plain(name)}**: {plain(value)}" for name, value in block.rows.items())


@block_markdown.register
def _(block: Grid) -> str:
    rows = [row(block.columns), row(["---"] * len(block.columns))]
    rows += [row(["<br>".join(map(line_markdown, cell)) for cell in cells]) for cells in block.rows]
    return "\n".join(rows)


def line_markdown(line: Line) -> str:
    """A line of a cell."""
    return f"{plain(line.text)} *({plain(line.note)})*" if line.note else plain(line.text)


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


@block_markdown.register
def _(block: Code) -> str:
    longest = max((len(run) for run in re.findall("`+", block.source)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if block.source.endswith("\n") else "\n"
    return f"`{block.name}`\n\n{fence}python\n{block.source}{end}{fence}"


@block_markdown.register
def _(block: Image) -> str:
    says = plain(block.says)
    return f"**{plain(block.title)}** {says}\n\n![{says}](data:image/png;base64,{block.png})"


def plain(text: str) -> str:
    """A text that is no markup, and one line."""
    one_line = " ".join(text.split())
    return SPECIAL.sub(r"\\\1", one_line).replace("<", "&lt;").replace(">", "&gt;")
