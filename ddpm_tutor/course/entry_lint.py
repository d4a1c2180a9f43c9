"""Is an entry of the paper in order? What a test, and an author, go over it with before it runs."""

from collections.abc import Iterator

from ddpm_tutor.course.exercise import all_exercises
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.lesson_lint import problems_of, problems_of_cells
from ddpm_tutor.course.paper import (
    BESIDE,
    KINDS,
    Entry,
    all_entries,
    left_out,
    sections,
    step_of,
    symbols,
)
from ddpm_tutor.course.questions import questions
from ddpm_tutor.errors import TutorError

# what the paper has, by kind: equations, algorithms, tables and figures are numbered through
PIECES = {"eq": 22, "alg": 4, "table": 4, "fig": 19}
WRONG = "What people get wrong"  # the heading of the step that says so


def problems_of_paper() -> list[str]:
    """Pieces of the paper that are neither there nor said to be out of scope, or are twice."""
    entries = all_entries()
    there = [key for entry in entries for key in entry.keys]
    named = {f"{kind} {n}" for kind, count in PIECES.items() for n in range(1, count + 1)}
    found = [f"{key}: no entry, and no reason why" for key in named - {*there, *left_out()}]
    found += [f"{key}: an entry, and out of scope" for key in there if key in left_out()]
    found += [f"{key}: in two entries" for key in set(there) if there.count(key) > 1]
    listed = [key for section in sections() for key in section.entries]
    found += [f"{key}: listed, but not there" for key in listed if key not in there]
    return sorted(found + [f"{e.key}: in no section" for e in entries if e.key not in listed])


def problems_of_entry(entry: Entry, functions: set[str]) -> list[str]:
    """What is not in order, a line each; nothing of the entry is run.

    Args:
        functions: the public names of the library.
    """
    return [
        *problems_of_frame(entry),
        *problems_of_links(entry, functions),
        *problems_of_cells(entry.to_read()),
        *(f"{q.text!r}: {problem}" for q in questions(entry.page) for problem in problems_of(q)),
    ]


def problems_of_frame(entry: Entry) -> Iterator[str]:
    """The heading, the formula, the question, and what people get wrong."""
    kind = entry.key.split()[0]
    if not entry.name.startswith((KINDS[kind], "App.")) or not entry.title:
        yield f'the first heading is not like "# {KINDS[kind]} 11 · What it is"'
    for fact in ("Where", "Symbols"):
        if not entry.page.fact(fact):
            yield f"the first cell has no **{fact}:**"
    formulas = BESIDE.findall(entry.page.steps[0].prose)
    if kind == "eq" and entry.key.split()[1] not in formulas:
        yield "the first cell does not have its formula, with its number behind it"
    if not questions(entry.page):
        yield "it asks nothing"
    if not any(step.title.startswith(WRONG) for step in entry.page.steps):
        yield f'no step is called "{WRONG}"'
    if not any("assert " in cell.source for step in entry.page.steps for cell in step.code):
        yield "no number in it is asserted"


def problems_of_links(entry: Entry, functions: set[str]) -> Iterator[str]:
    """Functions, symbols, steps, exercises, mistakes and entries that it names and are not."""
    known = {symbol.symbol for symbol in symbols()}
    exercises = all_exercises()
    mistakes = {mistake.name for exercise in exercises for mistake in exercise.mistakes}
    numbers = {exercise.number for exercise in exercises}
    keys = {key for other in all_entries() for key in other.keys}
    yield from (f"no function {n}" for n in entry.listed("Function") if n not in functions)
    yield from (f"no symbol {s}" for s in entry.listed("Symbols") if s not in known)
    yield from (f"no exercise {n}" for n in entry.exercises if n not in numbers)
    yield from (f"no mistake {n}" for n in entry.listed("Mistakes") if n not in mistakes)
    yield from (f"no entry {key}" for key in entry.listed("See") if key not in keys)
    lessons = {lesson.number: lesson for lesson in all_lessons()}
    for number, title in entry.lessons:
        if number not in lessons:
            yield f"no lesson {number}"
            continue
        try:
            step_of(lessons[number], title)
        except TutorError as error:
            yield str(error)
