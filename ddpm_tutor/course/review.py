"""Questions that can be asked again by themselves, each from the file that has it.

There are three kinds. The files of `ddpm_tutor/review` hold questions made for it: one a step, with
numbers that follow from `seed`. The question of an entry of the paper comes after the cells before
it, with another seed. Of the lessons there are the choices that need none of their numbers; for any
other one stands one that was made for review (`in_place_of`).
Nothing here needs torch, so that the welcome can tell what is due.
"""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import Lesson, Step, all_lessons, parameters, read_lesson
from ddpm_tutor.course.paper import Entry, pieces_named, understood
from ddpm_tutor.course.questions import Question, keyword, name_of, questions
from ddpm_tutor.files import bundled

# questions of entries, by file and step, before which over five seconds are computed on one core
TOO_SLOW = {
    ("eq_1", 4), ("eq_5", 2), ("table_1", 2), ("table_4", 2), ("alg_4", 3), ("fig_5", 2),
    ("fig_6", 3), ("fig_7", 3), ("fig_8", 3), ("fig_8", 4), ("fig_9", 2), ("fig_10", 2),
    ("fig_15", 2),
}  # fmt: skip
SEEDS_OF_ENTRIES = range(1, 6)  # other ones than a reader's, and the claims were tried with them
MAX_SEED = 2**31
TOOLS = Cell("code", "", "from ddpm_tutor.classroom.tools import ask_choice", 1)
# a question of a lesson that points at what the lesson shows cannot stand alone
POINTING = re.compile(
    r"\b(here|below|above|table|step before|next step|[Ll]ook|[Cc]ompare|[Yy]ou saw|saved)\b"
)


@dataclass(frozen=True)
class Item:
    """A question, and what is needed to ask it alone.

    Attributes:
        name: under which progress in the page is kept; "" for a file made for review.
        key: under which it is kept how well it stays.
        heading: what it is about, such as "Eq. 4 · How much noise is in x_t?".
        before: what runs first, without being shown; cell: what asks.
        place: the words of the command that leads to where it is taught.
    """

    page: Lesson
    name: str
    question: Question
    key: str
    heading: str
    prose: str
    before: tuple[Cell, ...]
    cell: Cell
    place: tuple[object, ...]
    taught: tuple[int, ...] = ()  # numbers of lessons, for a file made for review

    def settings(self, random: Random) -> dict[str, str]:
        """Numbers of their own for this time, as `--set` would give them."""
        if "seed" not in parameters(self.page):
            return {}
        seed = random.choice(SEEDS_OF_ENTRIES) if self.name else random.randrange(MAX_SEED)
        return {"seed": str(seed)}


def all_items(wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Item]:
    """The questions of all pages, or of those whose progress is kept under a wanted name."""
    for lesson in all_lessons():
        if wanted(lesson.key):
            yield from items_of_lesson(lesson)
    for path in sorted(bundled("paper").glob("[a-z]*_*.py")):
        if wanted(f"paper/{path.stem}"):
            yield from items_of_entry(Entry(read_lesson(path)))
    for page in review_pages():
        yield from items_of_review(page)


def review_pages() -> list[Lesson]:
    """The files of questions made for review."""
    return [read_lesson(path) for path in sorted(bundled("review").glob("*.py"))]


def items_of_lesson(lesson: Lesson) -> Iterator[Item]:
    """The choices of a lesson that need nothing which it computes or shows."""
    for question in questions(lesson):
        if not stands_alone(question):
            continue
        step = lesson.steps[question.step - 1]
        source = ast.get_source_segment(question.cell.source, question.call) or ""
        line = question.cell.line + question.call.lineno - 1
        yield Item(
            page=lesson,
            name=lesson.key,
            question=question,
            key=f"{lesson.key}: {question.key}",
            heading=f"Lesson {lesson.number} · {step.title}",
            prose=step.prose,
            before=(TOOLS,),
            cell=Cell("code", "", source, line),
            place=("lesson", lesson.number, "--from", question.step),
        )


def stands_alone(question: Question) -> bool:
    """Whether it is a choice of literal words that point at nothing on the screen."""
    call = question.call
    answer = keyword(call, "answer") or (call.args[2] if len(call.args) > 2 else None)
    try:
        options = ast.literal_eval(call.args[1])
        ast.literal_eval(answer or call)
    except (ValueError, IndexError):
        return False
    words = [question.text, *(word for option in options for word in option)]
    return name_of(call) == "ask_choice" and not any(map(POINTING.search, words))


def items_of_entry(entry: Entry) -> Iterator[Item]:
    """The questions of an entry of the paper, but for those that take long to come to."""
    page = entry.to_read()
    cells = [cell for step in page.steps for cell in step.code]
    for question in questions(page):
        if (page.path.stem, question.step) in TOO_SLOW:
            continue
        yield Item(
            page=page,
            name=entry.progress_name,
            question=question,
            key=f"{entry.progress_name}: {question.key}",
            heading=f"{entry.name} · {entry.title}",
            prose=page.steps[question.step - 1].prose,
            before=tuple(cells[: cells.index(question.cell)]),
            cell=question.cell,
            place=("paper", *entry.key.split()),
        )


def items_of_review(page: Lesson) -> Iterator[Item]:
    """The questions of a file made for review; the cells of its first step set up all of them."""
    for question in questions(page):
        step = page.steps[question.step - 1]
        yield Item(
            page=page,
            name="",
            question=question,
            key=f"review/{page.path.stem}: {step.title}",
            heading=step.title,
            prose=without_facts(step),
            before=page.steps[0].code,
            cell=question.cell,
            place=place_of(step),
            taught=lessons_of(step),
        )


def in_place_of(lesson: Lesson, question: Question, made: Sequence[Item]) -> Item | None:
    """The question made for review that is asked for one of a lesson that cannot stand alone.

    It is on the piece of the paper that the question names, or else on something that this lesson
    alone teaches, or on a piece that its step names; of several that which shares most words with
    it. None where nothing fits.

    Args:
        made: the questions made for review.
    """

    def on(text: str) -> Iterator[list[Item]]:
        for piece in pieces_named(text):
            yield [item for item in made if item.place == ("paper", *piece.split())]

    fitting = next(filter(None, chain(
        on(ast.unparse(question.call)),
        [[item for item in made if item.place == ("lesson", str(lesson.number))]],
        on(lesson.steps[question.step - 1].prose),
        [[item for item in made if lesson.number in item.taught]],
    )), [])  # fmt: skip
    fitting = [item for item in fitting if lesson.number in item.taught] or fitting
    mine = words_in(question)
    return max(fitting, key=lambda item: len(mine & words_in(item.question)), default=None)


def words_in(question: Question) -> set[str]:
    """The longer words of a question, its options and its replies."""
    return {*re.findall(r"[^\W\d_]{4,}", ast.unparse(question.call).lower())}


def without_facts(step: Step) -> str:
    """The words of a step, without what it says behind `**Lesson:**`."""
    return re.sub(r"^\*\*Lesson:\*\*.*\n*", "", step.prose, flags=re.MULTILINE).strip("\n")


def lessons_of(step: Step) -> tuple[int, ...]:
    """The numbers of the lessons that teach what a step for review asks."""
    found = re.search(r"^\*\*Lesson:\*\* *([\d, ]+)$", step.prose, re.MULTILINE)
    return tuple(map(int, found[1].split(","))) if found else ()


def place_of(step: Step) -> tuple[str, ...]:
    """The words of the command that leads to the piece, or lesson, that a step for review names.

    Raises:
        UsageError: it names none.
    """
    named = step.title.partition(" · ")[0]
    if lesson := re.fullmatch(r"Lesson (\d+)", named):
        return "lesson", lesson[1]
    piece = understood([named])
    return ("paper", *(piece.key.split() if isinstance(piece, Entry) else [piece.number]))
