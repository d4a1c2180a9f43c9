"""Is a lesson file in order? What tests, CI and teachers go over it with, before it is run."""

import ast
import re
from collections import Counter

from rich.cells import cell_len

from ddpm_tutor.course.lesson import Lesson, parameters, shown_source
from ddpm_tutor.course.options_lint import problems_of_letters, problems_of_options
from ddpm_tutor.course.questions import Question, keyword, name_of, questions
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import came_along

FACTS = ("Goal", "You need", "Paper", "Time")
MAX_PROSE_LINES = 16
MAX_CODE_LINES = 22
MAX_COLUMNS = 78  # a terminal of 80, less a little room
MAX_FORMULA_COLUMNS = 79  # a formula that wraps is torn
MIN_QUESTIONS = 3  # in each lesson, at least
MIN_CHANGES = 2  # steps with something to change, in each lesson of the package, at least


def lesson_problems(lesson: Lesson) -> list[str]:
    """What is not in order, a line each; nothing of the lesson is run."""
    return [
        *problems_of_frame(lesson),
        *problems_of_cells(lesson),
        *problems_of_assertions(lesson),
        *(f"{q.text!r}: {problem}" for q in questions(lesson) for problem in problems_of(q)),
        *problems_of_keys(lesson),
        *problems_of_changes(lesson),
        *problems_of_letters(questions(lesson)),
    ]


def problems_of_frame(lesson: Lesson) -> list[str]:
    """Heading, facts, parameters and recap."""
    found = []
    if not re.match(r"Lesson \d+ · \S", lesson.steps[0].title):
        found.append('the first heading is not like "# Lesson 6 · What it is about"')
    found += [f"the first cell has no **{fact}:**" for fact in FACTS if not lesson.fact(fact)]
    try:
        if "seed" not in parameters(lesson):
            found.append('no cell tagged "parameters" assigns `seed`')
    except TutorError:
        found.append("a parameter's default is not a literal")
    if lesson.steps[-1].title != "Recap":
        found.append('the last heading is not "## Recap"')
    elif not re.search(r"Eq\. \d|Alg|\d{4}", lesson.steps[-1].prose):
        found.append("the recap cites no equation")
    return found


def problems_of_cells(lesson: Lesson) -> list[str]:
    """Cells that do not fit a screen."""
    found = []
    for step in lesson.steps:
        if len(step.prose.splitlines()) > MAX_PROSE_LINES:
            found.append(f"{step.title}: more than {MAX_PROSE_LINES} lines of prose")
        found += [
            f"{step.title}: a formula of more than {MAX_FORMULA_COLUMNS} columns: {line.strip()}"
            for line in step.prose.splitlines()
            if line.startswith("    ") and cell_len(line) > MAX_FORMULA_COLUMNS
        ]
        for cell in step.code:
            lines = shown_source(cell).splitlines()
            if len(lines) > MAX_CODE_LINES:
                found.append(f"{step.title}: a cell of more than {MAX_CODE_LINES} lines")
            found += [
                f"{step.title}: wider than {MAX_COLUMNS} columns: {line.strip()}"
                for line in lines
                if len(line) > MAX_COLUMNS
            ]
    return found


def problems_of_assertions(lesson: Lesson) -> list[str]:
    """Assertions that a notebook would show below the question whose answer they give away.

    Right behind the question they are not shown. What is computed only later gives nothing away.
    """
    found = []
    for step in lesson.steps:
        asked, later = False, set[str]()  # names that are assigned behind the question
        for cell in step.code:
            for node in ast.parse(shown_source(cell)).body if asked else []:
                names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
                if isinstance(node, ast.Assert) and not later & {name.id for name in names}:
                    found.append(
                        f"{step.title}: {ast.unparse(node)!r} gives an answer away in a notebook; "
                        "put it right behind its question"
                    )
                later |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
                later |= {node.name} if isinstance(node, ast.FunctionDef) else set()
            asked = asked or "ask_" in cell.source
    return found


def problems_of(question: Question) -> list[str]:
    """A question without replies, without the right answer, or with one reply for all."""
    call, found = question.call, []
    if not question.text:
        found.append("its text is not a literal")
    if keyword(call, "points") is not None and not question.points:
        found.append("its points are not a number above 0")
    if question.points and not question.part:
        found.append("it has points, but no `part` under which they are kept")
    if keyword(call, "answer") is None and len(call.args) < (3 if "choice" in name_of(call) else 2):
        found.append("it has no answer")
    if name_of(call) == "ask_number":
        found += [f"it has no {n}" for n in ("tolerance", "why") if keyword(call, n) is None]
    else:
        listed = call.args[1] if len(call.args) > 1 else None
        options = listed.elts if isinstance(listed, ast.List) else []
        replies = [ast.unparse(o.elts[1]) for o in options if isinstance(o, ast.Tuple)]
        if len(options) < 2 or len(replies) < len(options):
            found.append("it needs at least two options, each with a reply of its own")
        elif len(set(replies)) < len(replies):
            found.append("two options have the same reply")
        found += problems_of_options(question)
    return found


def problems_of_keys(lesson: Lesson) -> list[str]:
    """Too few questions, or two whose answers would be kept under one name."""
    asked = questions(lesson)
    found = []
    if len(asked) < MIN_QUESTIONS:
        found.append(f"only {len(asked)} questions: the learner predicts at least {MIN_QUESTIONS}")
    counts = Counter(q.key for q in asked)
    return found + [f"{key!r} is asked {n} times" for key, n in counts.items() if n > 1]


def problems_of_changes(lesson: Lesson) -> list[str]:
    """Too few steps in which the learner changes a value, or one that asks nothing of it."""
    steps = [step for step in lesson.steps if any(cell.is_change for cell in step.code)]
    asked = {question.step for question in questions(lesson)}
    found = [
        f"{step.title}: there is something to change, but no question to predict by"
        for step in steps
        if lesson.steps.index(step) + 1 not in asked
    ]
    if came_along(lesson.path) and len(steps) < MIN_CHANGES:
        found.append(f"{len(steps)} steps with something to change: at least {MIN_CHANGES}")
    return found
