"""Is a file of questions for review in order? What a test, and an author, go over it with."""

from collections.abc import Iterator

from ddpm_tutor.course.lesson import Lesson, Step, all_lessons, parameters
from ddpm_tutor.course.lesson_lint import problems_of
from ddpm_tutor.course.questions import questions
from ddpm_tutor.course.review import lessons_of, place_of
from ddpm_tutor.errors import UsageError

NO_LITERAL = "its text is not a literal"  # here it holds the numbers of this time


def problems_of_review(page: Lesson) -> list[str]:
    """What is not in order, a line each; nothing of the file is run."""
    found = [] if "seed" in parameters(page) else ['no cell tagged "parameters" assigns `seed`']
    asked = questions(page)
    for number, step in enumerate(page.steps, start=1):
        mine = [question for question in asked if question.step == number]
        if number == 1 and mine:
            found.append("the first step sets up all others, and asks nothing")
        if number > 1:
            found += [f"{step.title}: {problem}" for problem in problems_of_step(step, len(mine))]
        for question in mine:
            found += [f"{step.title}: {p}" for p in problems_of(question) if p != NO_LITERAL]
    titles = [step.title for step in page.steps]
    return found + [f"{t}: two steps of this title" for t in {*titles} if titles.count(t) > 1]


def problems_of_step(step: Step, asked: int) -> Iterator[str]:
    """The heading, the lesson, the number of questions, and what is asserted."""
    try:
        place_of(step)
    except UsageError:
        yield 'its heading is not like "## Eq. 4 · What it asks", or "## Lesson 5 · ..."'
    numbers = {lesson.number for lesson in all_lessons()}
    if not lessons_of(step) or not {*lessons_of(step)} <= numbers:
        yield "it does not say **Lesson:** with the numbers of lessons"
    if asked != 1:
        yield f"it asks {asked} questions, not one"
