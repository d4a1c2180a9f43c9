"""A hand-in as one HTML file that needs nothing else: no network, no script that runs."""

import json
from functools import singledispatch
from html import escape
from pathlib import Path

from ddpm_tutor.hand_ins.blocks import (
    RIGHT,
    WRONG,
    Code,
    Facts,
    Grid,
    Heading,
    Image,
    Line,
    Page,
    Words,
)
from ddpm_tutor.pages.words import highlighted, words

CSS = Path(__file__).with_name("hand_in.css")
DATA = "ddpm-tutor-hand-in"  # the id of the element that holds the JSON
# nothing is loaded and nothing runs, whatever a name or an answer says
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def to_html(page: Page, data: str) -> str:
    """The page as HTML.

    Args:
        data: the hand-in as JSON, which a program reads.
    """
    body = "\n".join(block_html(block) for block in page.blocks)
    share = 100 * page.points / page.of
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(page.who)} · {escape(page.title)}</title>
<style>
{CSS.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<p class="kind">{escape(page.title)}</p>
<h1>{escape(page.who)}</h1>
<p class="score"><b>{page.points:g}</b> of {page.of:g} points</p>
<div class="bar" aria-hidden="true"><span style="width: {share:.1f}%"></span></div>
</header>
<main>
{body}
</main>
<script type="application/json" id="{DATA}">{in_script(data)}</script>
</body>
</html>
"""


def in_script(data: str) -> str:
    """JSON that no text in it can end the element of."""
    json.loads(data)  # it is JSON, so these stand in its texts alone
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@singledispatch
def block_html(block: object) -> str:
    raise TypeError(type(block))


@block_html.register
def _(block: Heading) -> str:
    return f"<h{block.level}>{marked(block.text)}</h{block.level}>"


@block_html.register
def _(block: Words) -> str:
    kind = ' class="dim"' if block.dim else ""
    return f"<p{kind}>{escape(block.text)}</p>"


@block_html.register
def _(block: Facts) -> str:
    rows = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in block.rows.items())
    return f"<dl>{''.join(rows)}</dl>"


@block_html.register
def _(block: Grid) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in block.columns)
    rows = []
    for first, *others in block.rows:
        cells = [f'<th scope="row">{lines(first)}</th>']
        for name, cell in zip(block.columns[1:], others, strict=True):
            named = "" if name in block.told else f' data-name="{escape(name)}"'
            cells.append(f"<td{named}>{lines(cell)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    kind = " sentences" if block.told else ""
    return f'<div class="table c{len(block.columns)}{kind}">{table}</div>'


@block_html.register
def _(block: Code) -> str:
    return (
        f"<details open><summary>{escape(block.name)}</summary>"
        f'<pre tabindex="0"><code>{highlighted(block.source)}</code></pre></details>'
    )


@block_html.register
def _(block: Image) -> str:
    return (
        f'<figure><img src="data:image/png;base64,{escape(block.png)}" alt="{escape(block.says)}">'
        f"<figcaption><b>{escape(block.title)}</b> {escape(block.says)}</figcaption></figure>"
    )


def lines(cell: list[Line]) -> str:
    """The lines of a cell."""
    notes = [f" <small>{escape(line.note)}</small>" if line.note else "" for line in cell]
    pairs = zip(cell, notes, strict=True)
    return "".join(f"<span>{marked(line.text)}{note}</span>" for line, note in pairs)


def marked(text: str) -> str:
    """A text with its symbols; a mark in front is coloured, and is a word to a screen reader."""
    for mark, kind, word in ((RIGHT, "right", "right"), (WRONG, "wrong", "wrong")):
        if text.startswith(f"{mark} "):
            sign = f'<i class="{kind}" role="img" aria-label="{word}">{mark}</i>'
            return f"{sign} {words(text[2:])}"
    return words(text)
