"""The paper, piece by piece: one content file an entry, found by the name the paper gives it.

An entry is a file like a lesson's, whose first cell says where the piece stands and what belongs to
it. `contents.toml` has the paper's sections, the entries of each, and what is left out and why.
Nothing here needs torch, so that lists are quick.
"""

import functools
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ddpm_tutor.course.lesson import Lesson, Step, read_lesson
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import bundled

# how the kinds of pieces are called in a key, and how they are written
KINDS = {"eq": "Eq.", "alg": "Alg.", "table": "Table", "fig": "Fig.", "sec": "§"}
SPELLED = {
    "eq": r"eqn?s?\.?|equations?", "alg": r"algo?\.?|algorithms?", "table": r"tab\.?|tables?",
    "fig": r"figs?\.?|figures?", "sec": r"sec\.?|sections?|§|app\.?|appendix",
}  # fmt: skip
FACTS = re.compile(r"^\*\*[^*]+:\*\*.*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
# how the ledger's numbers were found
MEASURED = (
    "Each effect was measured with this tutor's weights, on digits. "
    "In brackets and behind ±: 95 % intervals."
)
# pieces as lessons name them: Eq. 11, Alg. 2, Algorithm 2, Fig. 6, Table 1; (11) after a formula;
# none of another paper, which stands behind its year
NAMED = re.compile(
    r"(?<!\d{4}, )(?<!\d{4} \()"
    r"\b(?P<kind>Eq|Alg|Algorithm|Fig|Figure|Table)s?\.? (?P<number>\d{1,2})\b"
    r"(?P<more>(?:(?:, | and | to )\d{1,2}\b(?!\.\d))*)"
)
SECTION = re.compile(r"\b(?:Section (\d(?:\.\d)?)|Appendix ([A-D]))\b")
# a number that stands apart, behind a formula; a line of code may end in `flatten(1)`
BESIDE = re.compile(r"^    .*  \((\d{1,2})\)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A piece of the paper, read but not run."""

    page: Lesson

    @property
    def key(self) -> str:
        """Its name as it is typed, such as "eq 11" or "sec 3.2"."""
        kind, _, number = self.page.path.stem.partition("_")
        return f"{kind} {number.replace('_', '.')}"

    @property
    def also(self) -> tuple[str, ...]:
        """The keys of other pieces that it covers."""
        return self.listed("Also")

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys under which it is found."""
        return self.key, *self.also

    @property
    def title(self) -> str:
        """Its heading, without the name of the piece."""
        return self.page.steps[0].title.partition(" · ")[2]

    @property
    def name(self) -> str:
        """What the paper calls it, such as "Eq. 11"."""
        return self.page.steps[0].title.partition(" · ")[0]

    @property
    def progress_name(self) -> str:
        """Where the learner's progress in it is kept."""
        return f"paper/{self.page.path.stem}"

    def listed(self, fact: str) -> tuple[str, ...]:
        """What the first cell lists behind `**fact:**`, between commas."""
        return tuple(part.strip() for part in self.page.fact(fact).split(",") if part.strip())

    @property
    def lessons(self) -> tuple[tuple[int, str], ...]:
        """The steps that teach it: (number of the lesson, title of the step)."""
        linked = [part.strip() for part in self.page.fact("Lesson").split(";") if part.strip()]
        pairs = [part.partition(",")[::2] for part in linked]
        return tuple((int(number), title.strip()) for number, title in pairs)

    @property
    def exercises(self) -> tuple[int, ...]:
        """The numbers of the exercises on it."""
        return tuple(int(number) for number in self.listed("Exercise"))

    def to_read(self) -> Lesson:
        """The page as a learner steps through it: without the facts, which are shown as links."""
        first, *rest = self.page.steps
        prose = FACTS.sub("", first.prose).strip("\n")
        return replace(self.page, steps=(Step(prose, first.code), *rest))


@dataclass(frozen=True)
class Section:
    """A section of the paper."""

    number: str  # "3.2", or "A" for an appendix
    title: str
    says: str  # what it is about, in our words
    entries: tuple[str, ...]  # keys, in the order of the paper

    @property
    def name(self) -> str:
        """How it is cited."""
        return written(f"sec {self.number}")


@dataclass(frozen=True)
class Symbol:
    """A symbol of the paper, and its names in code."""

    symbol: str
    key: str  # as it is typed
    meaning: str
    shape: str
    names: dict[str, str]  # where -> its name there

    def is_called(self, name: str) -> bool:
        """Whether somebody who types `name` means it: by its sign, or by its name in some code."""
        words = {word for there in self.names.values() for word in re.split(r"\W+", there)}
        return name in {self.symbol, self.key, *self.names.values(), *words}


@functools.cache
def sections() -> tuple[Section, ...]:
    """The sections of the paper, in order."""
    listed = _toml("contents.toml")["section"]
    return tuple(Section(**s | {"entries": tuple(s["entries"])}) for s in listed)


@functools.cache
def left_out() -> dict[str, str]:
    """The pieces that have no entry, and why."""
    return dict(_toml("contents.toml")["left_out"])


@functools.cache
def symbols() -> tuple[Symbol, ...]:
    """The paper's symbols, in the order in which they appear."""
    fixed = ("symbol", "key", "meaning", "shape")
    return tuple(
        Symbol(**{k: s[k] for k in fixed}, names={k: v for k, v in s.items() if k not in fixed})
        for s in _toml("symbols.toml")["symbol"]
    )


@functools.cache
def conventions() -> tuple[str, ...]:
    """How the codes count t, and what else goes wrong between them; a sentence each."""
    return tuple(_toml("symbols.toml")["conventions"])


@dataclass(frozen=True)
class Difference:
    """A place where code differs from the paper's text."""

    name: str
    title: str
    paper: str  # what the text says
    code: str  # what code does, and whose
    effect: str  # as measured, with its interval
    how: str  # with which weights, how many digits and seeds
    see: str = ""  # the entry on it


@functools.cache
def ledger() -> tuple[Difference, ...]:
    """Where the authors' code, and common code, differs from the text.

    The figures were measured by `assets/measure_ledger.py`; the words have their names in braces.
    """
    measured = json.loads((bundled("assets") / "ledger.json").read_text(encoding="utf-8"))
    return tuple(
        Difference(**line | {"effect": line["effect"].format_map(measured[line["name"]])})
        for line in _toml("ledger.toml")["line"]
    )


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((bundled("paper") / name).read_text(encoding="utf-8"))


@functools.cache
def all_entries() -> tuple[Entry, ...]:
    """The entries, in the order of the paper."""
    pages = (read_lesson(path) for path in sorted(bundled("paper").glob("[a-z]*_*.py")))
    found = {entry.key: entry for entry in map(Entry, pages)}
    order = [key for section in sections() for key in section.entries]
    listed = [found.pop(key) for key in order if key in found]
    return (*listed, *found.values())


def find_entry(key: str) -> Entry:
    """The entry for the piece of this key, such as "eq 11".

    Raises:
        UsageError: there is none; says why, or what is near.
    """
    for entry in all_entries():
        if key in entry.keys:
            return entry
    if why := left_out().get(key):
        raise UsageError(f"{written(key)} has no entry: {why}")
    kind = key.split()[0]
    near = {k for entry in all_entries() for k in entry.keys if k.split()[0] == kind}
    raise UsageError(
        f"There is no {written(key)} here. Choose from: {', '.join(sorted(near, key=by_number))}.\n"
        "The contents: ddpm-tutor paper"
    )


def by_number(key: str) -> tuple[tuple[int, str], ...]:
    """What sorts keys as a reader counts: eq 9 before eq 10, and sec B last."""
    parts = key.split()[1].split(".")
    return tuple((int(part), "") if part.isdigit() else (1000, part) for part in parts)


def find_own_entry(section: Section) -> Entry | None:
    """The entry on what a section says outside its equations, where there is one."""
    return next((e for e in all_entries() if e.key == f"sec {section.number}"), None)


def understood(words: Sequence[str]) -> Section | Entry:
    """What a reader means who types this: `eq 11`, `11`, `eq11`, `alg 2`, `3.4`, `app B`.

    Raises:
        UsageError: it names no piece of the paper.
    """
    typed = " ".join(words).strip().lower().strip("()")
    for kind, spelled in SPELLED.items():
        found = re.fullmatch(rf"(?:{spelled})\s*\(?(\d+(?:\.\d+)?|[a-d])\)?", typed)
        if found and kind == "sec":
            return _section(found[1])
        if found:
            return find_entry(f"{kind} {found[1]}")
    if re.fullmatch(r"\d+", typed):
        return find_entry(f"eq {typed}")
    if re.fullmatch(r"\d\.\d|[a-d]", typed):
        return _section(typed)
    raise UsageError(
        f"{' '.join(words)!r} is no piece of the paper. Try: eq 11, alg 2, fig 6, table 1, 3.4, "
        f"app B.\nTo look for words: ddpm-tutor paper find {' '.join(words)}"
    )


def _section(number: str) -> Section:
    """The section of this number.

    Raises:
        UsageError: the paper has no such section.
    """
    section = next((s for s in sections() if s.number.lower() == number), None)
    if section is None:
        numbers = ", ".join(section.number for section in sections())
        raise UsageError(f"The paper has no section {number}. It has: {numbers}.")
    return section


def written(key: str) -> str:
    """A key as it is cited: Eq. 11, §3.2, App. B."""
    kind, _, number = key.partition(" ")
    if kind == "sec":
        return f"App. {number}" if number.isalpha() else f"§{number}"
    return f"{KINDS[kind]} {number}"


def pieces_named(text: str) -> list[str]:
    """The keys of the pieces that a lesson's words name, in order, each once."""
    in_order = sorted(_named(text), key=lambda found: found[0])
    return list(dict.fromkeys(key for _, key in in_order))


def _named(text: str) -> Iterator[tuple[int, str]]:
    for found in NAMED.finditer(text):
        kind = {"algorithm": "alg", "figure": "fig"}.get(found["kind"].lower())
        numbers = [int(found["number"])]
        for joint, number in re.findall(r"(, | and | to )(\d+)", found["more"]):
            first = numbers[-1] + 1 if joint == " to " else int(number)
            numbers += range(first, int(number) + 1)
        for number in numbers:
            yield found.start(), f"{kind or found['kind'].lower()} {number}"
    for found in SECTION.finditer(text):
        yield found.start(), f"sec {found[1] or found[2]}"
    for found in BESIDE.finditer(text):
        yield found.start(), f"eq {found[1]}"


def entries_named(text: str) -> list[Entry]:
    """The entries of the pieces that a lesson's words name."""
    by_key = {key: entry for entry in all_entries() for key in entry.keys}
    found = [by_key[key] for key in pieces_named(text) if key in by_key]
    return list(dict.fromkeys(found))


def neighbours(entry: Entry) -> tuple[Entry | None, Entry | None]:
    """The entries before and after it in the paper."""
    order = all_entries()
    at = order.index(entry)
    return order[at - 1] if at else None, order[at + 1] if at + 1 < len(order) else None


def step_of(lesson: Lesson, title: str) -> int:
    """The number, from 1, of the step with this title.

    Raises:
        TutorError: the lesson has no such step.
    """
    for number, step in enumerate(lesson.steps, start=1):
        if step.title == title:
            return number
    raise TutorError(f"{lesson.path.name} has no step {title!r}.")
