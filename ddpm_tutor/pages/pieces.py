"""What a lesson shows, each piece as HTML: for pages, and for the cells of notebooks."""

import io
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from itertools import groupby
from typing import Any

from rich.padding import Padding
from rich.text import Text
from torch import Tensor

from ddpm_tutor.pages.live import LiveForward, live_forward
from ddpm_tutor.pages.pixels import (
    data_uri,
    in_words,
    many_in_words,
    png_size,
    png_uri,
    sprite,
)
from ddpm_tutor.pages.plots import histogram, plot
from ddpm_tutor.pages.plots import in_words as curves_in_words
from ddpm_tutor.pages.words import code, spaced, words
from ddpm_tutor.pictures.grids import as_uint8, grid, is_image
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.curves import Curves, FigureCurves
from ddpm_tutor.screen.images import Images
from ddpm_tutor.screen.prose import Code
from ddpm_tutor.screen.shown import (
    LETTERS,
    ON_PARTS,
    Film,
    Printed,
    Question,
    Runs,
    Said,
    SavedFile,
    Told,
)
from ddpm_tutor.screen.values import (
    MAX_IMAGES_SHOWN,
    DataTable,
    Statistics,
    Value,
    number,
    statistics,
)

BINS = 48  # of a histogram
ZOOM = 3  # pixels of the page for one of a picture of many digits
MAX_CAPTION = 9  # characters of a caption below one of five pictures on a telephone
PIXELS = re.compile(r"[#.?█▓▒░·]{3,}")  # a row of them in a cell, as characters
ALONE = 256  # pixels of the page for a picture of one digit


def to_html(shown: Iterable[object]) -> str:
    """All that a step has shown, in order.

    What comes after a question stays hidden until it is answered: it gives the answer away.
    """
    pieces, opened = [], 0
    described = ""  # the curves of the figure that follows
    for kind, alike in groupby(shown, key=type):
        if kind is Printed:
            lines = "\n".join(line.plain for line in alike if isinstance(line, Text))
            pieces.append(f'<pre class="printed">{spaced(lines.rstrip())}</pre>\n')
            continue
        for each in alike:
            if isinstance(each, FigureCurves):
                described = " ".join(curves_in_words(frame) for frame in each.frames)
            elif isinstance(each, SavedFile) and isinstance(each.picture, bytes):
                pieces.append(_figure(each, described))
                described = ""
            else:
                pieces.append(piece(each))
            if isinstance(each, Question):
                pieces.append('<div class="after" hidden>\n')
                opened += 1
    return "".join(pieces) + "</div>\n" * opened


@singledispatch
def piece(shown: Any) -> str:
    """One piece; what is not known here as a terminal prints it."""
    console = make_console(file=io.StringIO())
    lines = console.render_lines(shown, console.options.update(width=80), pad=False)
    text = "\n".join("".join(part.text for part in line).rstrip() for line in lines).rstrip()
    return f'<pre class="printed">{spaced(text)}</pre>\n' if text else ""


@piece.register
def _(shown: Padding) -> str:
    return piece(shown.renderable)


@piece.register
def _(shown: Code) -> str:
    """Code, folded; not what the question below may be about, the values that can be changed."""
    return code(shown.source, unfolded=bool(shown.kind))


@piece.register
def _(shown: Text) -> str:
    kind = "note ran" if shown.justify == "right" else "note"
    return f'<p class="{kind}">{words(shown.plain)}</p>\n' if shown.plain.strip() else ""


@piece.register
def _(shown: Said) -> str:
    return f'<p class="said">{words(shown.plain)}</p>\n'


@piece.register
def _(shown: Told) -> str:
    return ""  # the question has its replies


@piece.register
def _(shown: Value) -> str:
    if isinstance(shown.value, Tensor):
        return _tensor(shown.value, shown.title or "", list(shown.captions or []))
    if isinstance(shown.value, str):
        return f'<pre class="printed">{spaced(shown.value)}</pre>\n'
    drawn: str = piece.dispatch(object)(shown)
    return drawn


def _tensor(value: Tensor, title: str, captions: list[str]) -> str:
    """The statistics of a tensor, a histogram, and its pictures where it is of pictures."""
    found = statistics(value, BINS)
    pictures = ""
    if is_image(value):
        some = value.reshape(-1, *value.shape[-2:])[:MAX_IMAGES_SHOWN]
        pictures = _pictures(some, title, captions)
    beside = f'<div class="stats">{_facts(found, value)}</div>'
    sides = f'<div class="sides">{pictures}{beside}</div>'
    return f'<figure class="tensor">{_title(title)}{sides}</figure>\n'


def _facts(found: Statistics, value: Tensor) -> str:
    facts = dict(found.facts)
    device = facts.pop("device")
    facts["type"] += f", {device}" if device != "cpu" else ""
    rows = "".join(f"<div><dt>{k}</dt><dd>{words(v)}</dd></div>" for k, v in facts.items())
    drawn = ""
    if not found.finite:
        drawn = '<p class="wrong">not all values are finite</p>'
    elif found.counts:
        drawn = histogram(found.counts, facts["min"], facts["max"], value.numel())
    return f"<dl>{rows}</dl>{drawn}"


def _pictures(images: Tensor, title: str, captions: list[str], columns: int | None = None) -> str:
    """Pictures side by side, each with its caption and with words in its place.

    Args:
        columns: how many stand in a row, where they form a grid.
    """
    drawn = []
    pixels = as_uint8(images).numpy()
    for number_, image in enumerate(pixels):
        caption = captions[number_] if number_ < len(captions) else ""
        alt = f"{', '.join(filter(None, (title, caption)))}: {in_words(image)}"
        below = f"<figcaption>{words(caption)}</figcaption>" if caption else ""
        high, wide = image.shape
        drawn.append(
            f'<figure><img class="pixels" src="{data_uri(image)}" '
            f'width="{wide}" height="{high}" alt="{escape(alt.removeprefix(": "))}">{below}'
            "</figure>"
        )
    count = len(pixels)
    long = any(len(caption) > MAX_CAPTION for caption in captions)
    # on a telephone fewer, where they do not all fit, or their captions do not
    few = columns or columns_of(count, (3, 2) if long else (5, 3, 4))
    columns = columns or columns_of(count, (5, 6, 4, 3))
    kind = " alone" if count == 1 else " long" * long
    style = f"--columns:{columns};--few:{few}"
    return f'<div class="pictures{kind}" style="{style}">{"".join(drawn)}</div>'


def columns_of(count: int, choices: Sequence[int]) -> int:
    """How many pictures stand in a row: all in one, or rows that are full, or nearly so."""
    if count <= choices[0]:
        return count
    return max(choices, key=lambda columns: (count - 1) % columns / (columns - 1))


@piece.register
def _(shown: Images) -> str:
    drawn = _pictures(shown.images, shown.title, list(shown.captions or []), shown.columns)
    return f'<figure class="images">{_title(shown.title)}{drawn}</figure>\n'


@piece.register
def _(shown: DataTable) -> str:
    columns = shown.by_column()
    kinds = ['class="number"' if numeric else "" for _, _, numeric in columns]
    heads = "".join(
        f'<th scope="col" {kind}>{words(name)}</th>'
        for (name, _, _), kind in zip(columns, kinds, strict=True)
    )
    rows = ""
    for row in zip(*(cells for _, cells, _ in columns), strict=True):
        cells = [f"<td {k}>{_cell(cell)}</td>" for k, cell in zip(kinds, row, strict=True)]
        rows += f"<tr>{''.join(cells)}</tr>"
    label = escape(shown.title)
    return (
        f'<figure class="numbers-of">{_title(shown.title)}<div class="wide" data-label="{label}">'
        f'<table aria-label="{label}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></figure>\n"
    )


def _cell(text: str) -> str:
    """What stands in a cell; pixels that are drawn as signs are all of one width."""
    return f"<code>{escape(text)}</code>" if PIXELS.fullmatch(text) else words(text)


def _title(title: str) -> str:
    """The title of what is shown; it stands above it, whatever that is."""
    return f"<figcaption>{words(title)}</figcaption>" if title else ""


@piece.register
def _(shown: Curves) -> str:
    return f'<figure class="curves">{_title(shown.title)}{plot(shown)}</figure>\n'


@piece.register
def _(shown: FigureCurves) -> str:
    return "".join(piece(frame) for frame in shown.frames)


def _figure(shown: SavedFile, described: str = "") -> str:
    """A figure that matplotlib drew, or a sheet."""
    assert isinstance(shown.picture, bytes)
    title = title_of(shown.name)
    wide, high = png_size(shown.picture)
    broad = " broad" if wide > 1.25 * high else ""  # on a telephone its letters would be too small
    alt = escape(" ".join(filter(None, (f"{title or shown.what}.", shown.about, described))))
    return (
        f'<figure class="sheet{broad}">{_title(title)}'
        f'<div class="wide" data-label="{escape(title)}">'
        f'<img src="{png_uri(shown.picture)}" alt="{alt}"></div></figure>\n'
    )


@piece.register
def _(shown: SavedFile) -> str:
    if shown.film is not None:
        return film(shown.film, title_of(shown.name) or "Film")
    if isinstance(shown.picture, bytes):
        return _figure(shown)
    if shown.picture is None:
        return ""
    drawn, seen = grid(shown.picture, shown.columns), many_in_words(shown.picture)
    title = title_of(shown.name)
    high, wide = drawn.shape
    return (
        f'<figure class="sheet">{_title(title)}<img class="pixels" src="{data_uri(drawn)}" '
        f'width="{wide * ZOOM}" height="{high * ZOOM}" alt="{escape(f"{title}: {seen}")}">'
        "</figure>\n"
    )


@piece.register
def _(shown: Runs) -> str:
    return film(shown.film, f"Side by side: {', '.join(shown.film.views)}")


def title_of(name: str) -> str:
    """What a file shows, from its name: without the lesson or the entry that it belongs to."""
    short = re.sub(r"^(lesson \d+|paper (eq|alg|fig|table|sec) \w+) *", "", name)
    return short[:1].upper() + short[1:]


def film(shown: Film, title: str = "") -> str:
    """A film as a slider over its moments, with a button that plays it."""
    views = []
    for name, moments in shown.views.items():
        columns = None if moments.shape[1] < 10 else 5
        pixels, wide, high = sprite(moments, columns)
        zoom = min(ALONE // wide, 8) if moments.shape[1] == 1 else ZOOM
        seen = [many_in_words(images) for images in moments]
        views.append(
            f'<figure class="view"><img hidden alt="" src="{data_uri(pixels)}"><canvas '
            f'class="pixels" role="img" width="{wide}" height="{high}" data-name="{escape(name)}" '
            f"data-seen='{escape(json.dumps(seen))}' style=\"width:{wide * max(zoom, 1)}px\">"
            f"</canvas><figcaption>{words(name)}</figcaption></figure>"
        )
    broad = " broad" if wide > 2 * high else ""  # stands below the others on a telephone
    captions = escape(json.dumps(list(shown.captions), ensure_ascii=False))
    last = len(shown.captions) - 1
    return (
        f"<figure class=\"film{broad}\" data-captions='{captions}'>{_title(title)}"
        f'<div class="views">{"".join(views)}</div><div class="controls">'
        f'<button type="button" class="play" aria-label="Play {escape(title)}">▶</button>'
        f'<input type="range" min="0" max="{last}" value="0" step="1" '
        f'aria-label="Moment of the film {escape(title)}"><output></output>'
        '</div><div class="strip" aria-hidden="true"></div></figure>\n'
    )


@piece.register
def _(shown: LiveForward) -> str:
    return live_forward(shown.images)


@piece.register
def _(shown: Question) -> str:
    """A question that is answered by a click or a number; its replies wait in a template."""
    key = zlib.crc32(shown.text.encode())
    answer = str(int(shown.answer)) if shown.kind == "choice" else repr(float(shown.answer))
    head = (
        f'<section class="question" data-kind="{shown.kind}" data-key="{key}" '
        f'data-answer="{answer}" data-points="{shown.points:g}" '
        f'data-tolerance="{shown.tolerance!r}" aria-labelledby="q{key}">'
        f'<p class="label" id="q{key}">{escape(shown.heading)}</p>'
        f'<p class="asked" id="a{key}">{words(shown.text)}</p>'
    )
    if shown.explains_parts:
        head += f'<p class="note">{words(ON_PARTS.format(shown.part))}.</p>'
    asked = _choices(shown, key) if shown.kind == "choice" else _entry(shown, key)
    return (
        f'{head}{asked}<div class="reply" role="status" tabindex="-1"></div>'
        f"<template>{_replies(shown)}</template></section>\n"
    )


def _choices(shown: Question, key: int) -> str:
    buttons = "".join(
        f'<button type="button" value="{i}"><span class="letter">{letter}</span>'
        f"<span>{words(option)}</span></button>"
        for i, (letter, (option, _)) in enumerate(zip(LETTERS, shown.options, strict=False))
    )
    return (
        f'<div class="options" role="group" aria-labelledby="a{key}">{buttons}</div>'
        '<button type="button" class="skip">Skip, and see the answer</button>'
    )


def _entry(shown: Question, key: int) -> str:
    return (
        f'<form class="typed"><label for="n{key}">Your number, ± {number(shown.tolerance)} counts'
        f'</label><input id="n{key}" autocomplete="off" inputmode="text" spellcheck="false" '
        'placeholder="0.5, 1/2, √2"><button>Answer</button></form>'
        '<button type="button" class="skip">Skip, and see the answer</button>'
    )


def _replies(shown: Question) -> str:
    """What is told after each choice, and what is right."""
    replies = "".join(
        f'<p data-option="{i}">{words(reply)}</p>' for i, (_, reply) in enumerate(shown.options)
    )
    if shown.kind == "choice":
        return f"{replies}<p data-truth>{words(shown.truth)}</p>"
    rounded = number(shown.answer).replace(",", "")  # a learner is off from what is shown
    return f"""<p data-truth data-rounded="{rounded}"><span>{number(shown.answer)}.</span> \
{words(shown.why)}</p>"""
