"""Looking for words in all there is to read: the paper's entries, symbols and ledger, lessons,
exercises, functions."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddpm_tutor.course.exercise import all_exercises
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.paper import FACTS, all_entries, ledger, symbols

SOURCES = ("science", "evaluation", "storage")  # the rooms whose functions can be shown
AROUND = 36  # characters of an excerpt before and behind the word


@dataclass(frozen=True)
class Found:
    """A place that has the words."""

    kind: str  # "paper", "symbol", "ledger", "lesson", "exercise" or "function"
    place: tuple[object, ...]  # the words of the command that opens it; a function's name
    title: str
    excerpt: str  # of the text around the first word; "" where the title has them all


def search(words: Sequence[str]) -> list[Found]:
    """The places whose title or text has all the words; those with them in the title first.

    A symbol's name stands for its sign as well: alpha-bar also finds places with ᾱ_t.
    """
    wanted = [spellings(word.lower()) for word in words]
    titled, texts = [], []
    for kind, place, title, text in documents():
        lower = title.lower()
        name = lower.partition(":")[0] if kind == "function" else lower
        if all(any(word in name for word in ways) for ways in wanted):
            titled.append(Found(kind, place, title, ""))
        elif all(any(word in f"{lower}\n{text.lower()}" for word in ways) for ways in wanted):
            texts.append(Found(kind, place, title, excerpt(text, [w for ws in wanted for w in ws])))
    return titled + texts


def spellings(word: str) -> list[str]:
    """A word, and the signs of the symbols that have it for a name, all in lower case."""
    name = word.replace("-", "_")
    named = [s.symbol.lower() for s in symbols() if s.key.lower().rstrip("2") == name]
    return list(dict.fromkeys([word, name, *named]))


def documents() -> Iterator[tuple[str, tuple[object, ...], str, str]]:
    """All there is to read: (kind, place, title, text)."""
    for entry in all_entries():
        text = "\n".join(step.prose for step in entry.page.steps)
        yield "paper", ("paper", *entry.key.split()), f"{entry.name} · {entry.title}", text
    for symbol in symbols():
        title = f"{symbol.symbol} · {symbol.meaning}"
        names = dict.fromkeys((symbol.symbol, *symbol.names.values()))  # many codes share one
        yield "symbol", ("paper", "symbols", symbol.key), title, ", ".join(names)
    for line in ledger():
        text = f"{line.paper} {line.code} {line.effect}"
        yield "ledger", ("paper", "ledger", line.name), f"Ledger · {line.title}", text
    for lesson in all_lessons():
        for number, step in enumerate(lesson.steps, start=1):
            at = ("lesson", lesson.number, "--from", number)
            yield "lesson", at, step.title, step.prose
    for exercise in all_exercises():
        words = [" ".join(exercise.start.docstring), *(m.what for m in exercise.mistakes)]
        start = ("exercise", "start", exercise.number)
        yield "exercise", start, f"Exercise {exercise.number} · {exercise.title}", "\n".join(words)
    for name, summary, docstring in functions():
        yield "function", (name,), f"{name}: {summary}", docstring


def functions() -> Iterator[tuple[str, str, str]]:
    """The library's public functions and classes: name, first line, docstring. Runs none."""
    package = Path(__file__).parents[1]
    api = ast.parse((package / "api.py").read_text(encoding="utf-8"))
    names = {a.name for n in api.body if isinstance(n, ast.ImportFrom) for a in n.names}
    for room in SOURCES:
        for path in sorted((package / room).glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
                    docstring = ast.get_docstring(node) or ""
                    yield node.name, docstring.partition("\n")[0], docstring


def excerpt(text: str, words: Sequence[str]) -> str:
    """The text around the first of the words."""
    told = re.sub(r"^#+ .*$", "", FACTS.sub("", text), flags=re.MULTILINE)
    if not any(word in told.lower() for word in words):
        told = re.sub(r"^\s*\*\*[^*]+:\*\*", "", text, flags=re.MULTILINE)
    flat = " ".join(told.split())
    at = min((flat.lower().find(word) for word in words if word in flat.lower()), default=0)
    start, end = max(0, at - AROUND), at + AROUND
    before, after = "..." if start else "", "..." if end < len(flat) else ""
    inner = flat[start:end]
    if start:
        inner = inner.partition(" ")[2] or inner
    if end < len(flat):
        inner = inner.rpartition(" ")[0] or inner
    return f"{before}{inner}{after}"
