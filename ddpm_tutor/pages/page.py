"""A whole page: the shell that all pages have, and the page of a lesson or of an entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from ddpm_tutor import __version__
from ddpm_tutor.commands import command
from ddpm_tutor.course.lesson import Lesson, Step
from ddpm_tutor.course.notebook import without_keys
from ddpm_tutor.course.paper import entries_named
from ddpm_tutor.pages.live import LiveForward, place_of
from ddpm_tutor.pages.pieces import to_html
from ddpm_tutor.pages.words import code, prose, unmarked, words
from ddpm_tutor.screen.prose import without_title

HERE = Path(__file__).parent
HOME = '<a href="index.html">Contents</a> &nbsp;·&nbsp; '  # before what a page of a site is called
# in place of the key that shows it in the terminal
SOURCE = "Where a function of the package is used first, its source is folded below. "
# below the prose of a step that has the learner try other values: a page is of one run
OTHER_VALUES = """\
<p class="note">This page shows one run. To try other values, in the terminal: \
<code>{typed} --from {step}</code>, then the key c. In a notebook, which <code>{notebook}</code> \
writes: change the value there, and run its cell and those below it.</p>
"""


@dataclass(frozen=True)
class Link:
    """Another page of the same site."""

    href: str
    title: str
    kind: str  # such as "Before" or "Next"


def shell(
    name: str,
    title: str,
    main: str,
    *,
    where: str = "",
    contents: str = "",
    footer: str = "",
) -> str:
    """A page that needs no other file.

    Args:
        name: of its file, without the ending: under it the reader's answers are kept.
        where: what stands above it, as HTML; contents, footer: beside and below.
    """
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        name=escape(name),
        title=escape(unmarked(title)),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        where=where or words(title),
        contents=contents,
        main=main,
        footer=footer,
    )


def page_of(
    lesson: Lesson,
    shown: Mapping[int, Sequence[object]],
    name: str,
    typed: str,
    notebook: str = "",
    *,
    digits: LiveForward | None = None,
    below: str = "",
    links: Sequence[Link] = (),
    sources: Mapping[int, Mapping[str, str]] | None = None,
) -> str:
    """The page of a lesson, or of an entry of the paper, from its recorded run.

    Args:
        shown: what each step with code has shown, by its number.
        name: of the page's file, without the ending.
        typed: the command that opens it; notebook: the one that writes its notebook.
        digits: what the reader may add noise to, in a place that `place_of` finds.
        below: what stands below the prose of the first step.
        links: pages of the same site; none where this one stands alone.
        sources: the package's functions that a step uses, by its number: name and source. Each is
            shown where it comes first.
    """
    first, sections = lesson.steps[0], []
    seen: set[str] = set()
    live = place_of(lesson, shown) if digits else 0
    for number, step in enumerate(lesson.steps, start=1):
        mine: list[object] = list(shown.get(number, []))
        if number == live:
            mine.append(digits)
        head = _heading(step, number)
        body = prose(without_keys(without_title(step.prose), SOURCE))
        if number == 1:
            body = body.replace("<p><strong>", '<p class="fact"><strong>') + below
        if any(cell.is_change for cell in step.code):
            body += OTHER_VALUES.format(typed=escape(typed), step=number, notebook=escape(notebook))
        named = _named_entries(step, name, linked=bool(links))
        step_sources = {k: v for k, v in (sources or {}).get(number, {}).items() if k not in seen}
        seen |= step_sources.keys()
        sections.append(
            f'<section class="step" id="step-{number}" aria-labelledby="title-{number}">'
            f"{head}\n{body}{named}{to_html(mine)}{_sources(step_sources)}</section>\n"
        )
    return shell(
        name,
        first.title,
        "".join(sections),
        where=_where(first.title, links),
        contents=contents_of(lesson),
        footer=_footer(typed, links),
    )


def _heading(step: Step, number: int) -> str:
    if number > 1:
        return f'<h2 id="title-{number}"><span class="n">{number}</span>{words(step.title)}</h2>'
    kind, dot, title = step.title.partition(" · ")
    whole = f'<span class="kind">{escape(kind)}</span>{words(title)}' if dot else words(kind)
    return f'<h1 id="title-1">{whole}</h1>'


def contents_of(lesson: Lesson) -> str:
    """Links to the steps."""
    items = "".join(
        f'<li><a href="#step-{number}"><span class="n">{number}</span>'
        f"{words(step.title.partition(' · ')[2] if number == 1 else step.title)}</a></li>"
        for number, step in enumerate(lesson.steps, start=1)
    )
    return f"<details open><summary>On this page</summary><ol>{items}</ol></details>"


def _named_entries(step: Step, name: str, *, linked: bool) -> str:
    """Links to the paper's entries that a step names; what opens them, where there are no links."""
    named = entries_named("\n".join([step.prose, *(cell.source for cell in step.code)]))
    places = [
        f'<a href="{entry.page.path.stem}.html">{escape(entry.name)}</a>'
        if linked
        else f'<code class="whole">{escape(command("paper", *entry.key.split()))}</code>'
        for entry in named
        if entry.page.path.stem != name
    ]
    return f'<p class="paper-links">In the paper: {", ".join(places)}</p>\n' if places else ""


def _sources(sources: Mapping[str, str]) -> str:
    """The source of functions, each folded."""
    return "".join(
        code(source.rstrip(), title=f"Source of <code>{escape(name)}</code>", kind="code source")
        for name, source in sources.items()
    )


def _where(title: str, links: Sequence[Link]) -> str:
    return HOME * bool(links) + words(title)


def _footer(typed: str, links: Sequence[Link]) -> str:
    around = "".join(
        f'<a href="{link.href}">{escape(link.kind)}: {words(link.title)}</a>' for link in links
    )
    return (
        f'<p class="links">{around}</p>'
        * bool(around)
        + '<p class="links"><button type="button" class="skip show-all">Show all answers, as for '
        'print</button><button type="button" class="skip start-over">Forget my answers</button></p>'
        f"<p>In the terminal: <code>{escape(typed)}</code>. Made by ddpm-tutor {__version__}; "
        "your answers stay in this browser.</p>"
    )
