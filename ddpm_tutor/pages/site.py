"""The pages around the lessons: contents, the paper's entries, its symbols, the ledger."""

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from html import escape

from ddpm_tutor.course.lesson import Lesson
from ddpm_tutor.course.paper import (
    MEASURED,
    Entry,
    all_entries,
    conventions,
    find_entry,
    ledger,
    sections,
    step_of,
    symbols,
)
from ddpm_tutor.course.questions import questions
from ddpm_tutor.course.search import functions
from ddpm_tutor.files import came_along
from ddpm_tutor.learner.points import worth
from ddpm_tutor.pages.page import HOME, shell
from ddpm_tutor.pages.words import one_line, table, words
from ddpm_tutor.words import count_of

# in a name of a symbol: what stands beside the code, and what is code among words
APART = re.compile(r"(, |; |: | or )(?![^()\[\]]*[)\]])")
CODE = re.compile(
    r"\.?\b[a-z]\w*\([^()]*\)|\b[a-z]\w*_[a-z]{3,}\w*(?:\[\w\]|=\"\w+\")?|\b[a-z]+\[\w\]"
)


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    """A table of names and what they stand for, as HTML; what has one name stands in one row."""
    named: dict[str, list[str]] = {}
    for name, what in facts:
        if what:
            named.setdefault(name, []).append(what)
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{"<br>".join(whats)}</td></tr>'
        for name, whats in named.items()
    )
    return f'<div class="wide"><table class="entries">{rows}</table></div>\n'


def links_of(entry: Entry, lessons: dict[int, Lesson], *, linked: bool) -> str:
    """The symbols of an entry, and what of this tutor belongs to it.

    Args:
        lessons: by their numbers; linked: whether their pages, and the entries', stand beside it.
    """
    known = {symbol.symbol: symbol for symbol in symbols()}
    summaries = {name: summary for name, summary, _ in functions()}
    mine = [(name, known[name]) for name in entry.listed("Symbols")]
    rows = [
        (words(name), one_line(symbol.meaning), named(symbol.names.get("here", "")))
        for name, symbol in mine
    ]
    head = ("Symbol", "Meaning", "In code")
    html = table(head, rows, "Symbols", "entries stacked") if rows else ""

    def anchor(href: str, text: str) -> str:
        return f'<a href="{href}">{words(text)}</a>' if linked else words(text)

    facts = [("In the paper", words(entry.page.fact("Where")))]
    for name in entry.listed("Function"):
        facts.append(("Function", f"<code>{name}()</code> {one_line(summaries.get(name, ''))}"))
    for number, title in entry.lessons:
        step = step_of(lessons[number], title)
        facts.append(
            ("Taught in", anchor(f"lesson_{number}.html#step-{step}", f"Lesson {number}, {title}"))
        )
    for number in entry.exercises:
        facts.append(("Write it", f"<code>ddpm-tutor exercise start {number}</code>"))
    for name in entry.listed("Mistakes"):
        facts.append(("See it wrong", f"<code>ddpm-tutor gif --digit 7 --bug {name}</code>"))
    for key in entry.listed("See"):
        other = find_entry(key)
        text = f"{other.name}, {other.title}"
        facts.append(("See also", anchor(f"{other.page.path.stem}.html", text)))
    return html + facts_table(facts)


def index_page(lessons: Mapping[str, Lesson], course: str = "") -> str:
    """The contents of a site, with its lessons by the names of their pages.

    Args:
        course: the name of one that some of the lessons are of, and did not come along.
    """
    own = {name: each for name, each in lessons.items() if came_along(each.path)}
    others = {name: each for name, each in lessons.items() if name not in own}
    listed = ""
    if others:
        listed += f"<h2>Lessons of {escape(course)}</h2>" if course else "<h2>Lessons</h2>"
        listed += lessons_table(others)
    if own:
        listed += f"<h2>{'The lessons of ddpm-tutor' if others else 'Lessons'}</h2>"
        listed += lessons_table(own)
    by_key = {entry.key: entry for entry in all_entries()}
    paper = []
    for section in sections():
        mine = [by_key[key] for key in section.entries if key in by_key]
        items = [(_linked(e.page.path.stem, e.name), words(e.title)) for e in mine]
        head = f"<h3>{escape(section.name)} {words(section.title)}</h3><p>{words(section.says)}</p>"
        paper.append(
            head + (table(("Entry", "What it is"), items, section.name, "entries") if items else "")
        )
    main = f"""\
<section class="step"><h1><span class="kind">ddpm-tutor</span>How diffusion models work,
step by step</h1>
<p class="lead">Ho, Jain and Abbeel 2020, <i>Denoising Diffusion Probabilistic Models</i>
(arXiv 2006.11239), with a real model. Predict, click, and see what was computed.</p></section>
<section class="step" id="lessons">{listed}</section>
<section class="step" id="paper"><h2>The paper, piece by piece</h2>{"".join(paper)}</section>
<section class="step" id="more"><h2>Beside it</h2>
<p><a href="symbols.html">Symbols</a>: each symbol, and its name in five codes.</p>
<p><a href="ledger.html">Ledger</a>: where code differs from the text, and what that does.</p>
</section>
"""
    contents = (
        '<details open><summary>On this page</summary><ol><li><a href="#lessons">Lessons</a></li>'
        '<li><a href="#paper">The paper</a></li><li><a href="#more">Symbols, ledger</a></li></ol>'
        "</details>"
    )
    return shell("index", "ddpm-tutor: contents", main, contents=contents, footer=_footer())


def lessons_table(lessons: Mapping[str, Lesson]) -> str:
    """Lessons by the names of their pages, with what they ask and how long they take."""
    rows = []
    for name, lesson in lessons.items():
        points = worth(lesson)
        title = _linked(name, lesson.title)
        about = count_of(len(questions(lesson)), "question")
        if points:
            about += f", {count_of(points, 'point').replace(' ', '&nbsp;')}"
        goal = lesson.fact("Goal").removeprefix("at the end you can ")
        rows.append(
            (str(lesson.number), f"{title}<br><span class='dim'>{words(goal)}</span>",
             f'{lesson.fact("Time")}<br><span class="dim">{about}</span>'
             f'<br><span class="dim" data-score-of="{name}"></span>')
        )  # fmt: skip
    return table(("", "Lesson", "Time"), rows, "Lessons", "entries")


def _linked(name: str, text: str) -> str:
    return f'<a href="{name}.html">{words(text)}</a>'


def unlinked(html: str, made: Collection[str]) -> str:
    """A page without its links to pages of the site that could not be made."""

    def kept(link: re.Match[str]) -> str:
        return link[0] if link["name"] in made else link["text"]

    return re.sub(r'<a href="(?P<name>\w+)\.html(?:#[\w-]+)?">(?P<text>.*?)</a>', kept, html)


def symbols_page() -> str:
    """Each symbol of the paper with its names in code."""
    rows = []
    for symbol in symbols():
        places: dict[str, list[str]] = {}
        for place, called in symbol.names.items():
            places.setdefault(called, []).append("ddpm-tutor" if place == "here" else place)
        names = "<br>".join(
            f"{named(called)} {', '.join(map(_whole, where))}" for called, where in places.items()
        )
        shape = f'<br><span class="dim">{escape(symbol.shape)}</span>' if symbol.shape else ""
        rows.append((words(symbol.symbol), f"{one_line(symbol.meaning)}{shape}", names))
    notes = "".join(f"<li>{_code_or_words(line)}</li>" for line in conventions())
    main = (
        '<section class="step"><h1><span class="kind">The paper</span>Symbols</h1>'
        f"{table(('Symbol', 'Meaning', 'In code'), rows, 'Symbols', 'entries stacked')}"
        f"<h2>How the codes count</h2><ul>{notes}</ul></section>"
    )
    return shell("symbols", "Symbols", main, where=f"{HOME}Symbols", footer=_footer())


def _whole(name: str) -> str:
    """The name of a code, in which no line ends."""
    return f'<span class="dim whole">{escape(name)}</span>'


def ledger_page() -> str:
    """Where code differs from the paper's text, with the effect that was measured."""
    parts = []
    for line in ledger():
        facts = {"Paper": one_line(line.paper), "Code": one_line(line.code),
                 "Effect": one_line(line.effect), "Measured": one_line(line.how)}  # fmt: skip
        if line.see:
            other = find_entry(line.see)
            facts["See"] = _linked(other.page.path.stem, f"{other.name}, {other.title}")
        title = f'<h2 id="{escape(line.name)}">{words(line.title)}</h2>'
        parts.append(title + facts_table(facts.items()))
    main = (
        '<section class="step"><h1><span class="kind">The paper</span>Where code differs from the '
        f"text</h1><p>{words(MEASURED)}</p>{''.join(parts)}</section>"
    )
    return shell("ledger", "The ledger", main, where=f"{HOME}Ledger", footer=_footer())


def _footer() -> str:
    pages = {"index": "Contents", "symbols": "Symbols", "ledger": "Ledger"}
    links = "".join(f'<a href="{name}.html">{title}</a>' for name, title in pages.items())
    return f'<p class="links">{links}</p>'


def named(name: str) -> str:
    """What a symbol is called in code, as HTML: "variance, of variance_type="fixed_small"".

    What is Python stands as code; of what is words, the names in it do.
    """
    parts = APART.split(name)
    return "".join(part if n % 2 else _code_or_words(part) for n, part in enumerate(parts))


def _code_or_words(text: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError:
        html, at = "", 0
        for found in CODE.finditer(text):
            html += words(text[at : found.start()]) + f"<code>{escape(found[0])}</code>"
            at = found.end()
        return html + words(text[at:])
    return f"<code>{escape(text)}</code>" if text else ""
