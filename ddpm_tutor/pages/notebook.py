"""What a lesson shows as HTML for the output of a notebook's cell, which brings its style along.

A cell's output may stand in a frame of its own, so each has all that it needs. It takes the
notebook's own colours, light or dark.
"""

import base64
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from ddpm_tutor.pages.pieces import title_of, to_html
from ddpm_tutor.pages.words import words
from ddpm_tutor.pictures.films import side_by_side
from ddpm_tutor.pictures.picture_files import film_bytes
from ddpm_tutor.screen.curves import FigureCurves
from ddpm_tutor.screen.prose import Sentence
from ddpm_tutor.screen.shown import LETTERS, ON_PARTS, Film, Question, Runs, Said, SavedFile
from ddpm_tutor.screen.values import number

BEHIND = "What came out, which answers the question above"
UNANSWERED = "Run this cell where you can type, as in Jupyter, to answer it."


@cache
def style() -> str:
    """The rules of the style, in one line."""
    text = Path(__file__).with_name("notebook.css").read_text(encoding="utf-8")
    return " ".join(text.split())


def output(html: str) -> str:
    """HTML with its style; "" where there is nothing to see."""
    return f'<div class="ddpm"><style>{style()}</style>{html}</div>' if html.strip() else ""


def cell_html(shown: object, curves: FigureCurves | None = None) -> str:
    """One piece of what a lesson shows.

    Args:
        curves: of the figure that is shown, to be told in words.
    """
    if isinstance(shown, Question):
        return output(asked(shown))
    if isinstance(shown, Sentence) and not isinstance(shown, Said):
        return output(told(shown.plain))
    if isinstance(shown, SavedFile):
        if shown.path.suffix == ".gif":
            drawn = moving(shown)
        else:
            drawn = to_html(filter(None, [curves, shown]))
        where = f"{shown.what} saved: {shown.path}"
        return output(f'{drawn}<p class="dim">{escape(where)}</p>')
    if isinstance(shown, Runs):
        gif = film_bytes(side_by_side(shown.film.views, shown.film.captions))
        return output(_gif(gif, f"Side by side: {', '.join(shown.film.views)}", shown.film))
    return output(to_html([shown]))


def asked(question: Question) -> str:
    """A question and its choices; nothing of its answer."""
    off = f" (±&nbsp;{number(question.tolerance)})" if question.kind == "number" else ""
    items = "".join(
        f"<li>{letter}) {words(option)}</li>"
        for letter, (option, _) in zip(LETTERS, question.options, strict=False)
    )
    part = ON_PARTS.format(question.part) if question.explains_parts else ""
    return (
        f'<div class="asked"><p class="label">{escape(question.heading)}</p>'
        f"<p>{words(question.text)}{off}</p>{f'<ol>{items}</ol>' * bool(items)}"
        f"{f'<p class=dim>{escape(part)}</p>' * bool(part)}</div>"
    )


def told(text: str) -> str:
    """What a learner is told of an answer."""
    mark = {"✓": "good", "✗": "bad"}.get(text[:1], "")
    rest = text[1:].lstrip() if mark else text
    sign = f'<span class="mark">{text[:1]}</span> ' if mark else ""
    return f'<p class="told {mark}">{sign}{words(rest)}</p>'


def other_replies(pairs: Sequence[tuple[str, str]]) -> str:
    """The choices that were not taken with their replies, folded."""
    items = "".join(f"<p>{words(choice)}<br>{words(reply)}</p>" for choice, reply in pairs)
    return f"<details><summary>The other replies</summary>{items}</details>" if pairs else ""


def moving(file: SavedFile) -> str:
    """A film as the GIF that was saved."""
    return _gif(file.path.read_bytes(), title_of(file.name) or "Film", file.film)


def _gif(gif: bytes, title: str, film: Film | None) -> str:
    """A film that needs no script: a notebook runs none of a page's."""
    data = base64.b64encode(gif).decode()
    ends = f", from {film.captions[0]} to {film.captions[-1]}" if film and film.captions else ""
    return (
        f'<figure class="sheet"><figcaption>{words(title)}</figcaption>'
        f'<img src="data:image/gif;base64,{data}" alt="{escape(f"Film: {title}{ends}")}"></figure>'
    )


def folded(outputs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """All outputs of a cell as one that is to be unfolded, as HTML and as text.

    Args:
        outputs: as HTML, or "" where there is only a text; and the text.
    """
    parts = [html or f"<pre>{escape(text)}</pre>" for html, text in outputs]
    return f"<details><summary>{BEHIND}</summary>{''.join(parts)}</details>", f"{BEHIND}."


def progress(description: str, done: float, total: float, left: str, note: str) -> str:
    """A bar for what is being computed."""
    count = f"{done:,.0f} of {total:,.0f}" if total else ""
    bar = f'<progress value="{done:g}" max="{total:g}"></progress>' if total else ""
    facts = " &nbsp; ".join(escape(part) for part in (count, left, note) if part)
    return f'<p class="note">{escape(description)} {bar} {facts}</p>'
