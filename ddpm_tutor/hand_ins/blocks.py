"""A hand-in as blocks to read: headings, words, tables, code, pictures. Every form shows these."""

from dataclasses import dataclass, field

from ddpm_tutor.hand_ins.hand_in import TOTAL, Asked, HandIn, Training, Written, number_of
from ddpm_tutor.words import count_of

UNPROVEN = (
    "Times are in UTC. Which answers were given, and when, is what the learner's own file of "
    "progress says: anybody can edit it, and nothing here proves it. The code is here in full and "
    "can be checked again: ddpm-tutor grade does so."
)
SCORES_NOTE = "In brackets the 95 % interval; ± is one standard error."
RIGHT, WRONG = "✓", "✗"


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Words:
    """A paragraph; `dim` where it is a side note."""

    text: str
    dim: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    rows: dict[str, str]


@dataclass(frozen=True)
class Line:
    """A line of a cell, and what is said of it beside."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table; each cell holds lines, and the first column names the row.

    On a narrow screen each row is a card, in which cells say their columns; those named in `told`
    tell it themselves.
    """

    columns: list[str]
    rows: list[list[list[Line]]]
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Code:
    """A file of Python, under its name."""

    name: str
    source: str


@dataclass(frozen=True)
class Image:
    """A picture: PNG in base64, and what it shows, for readers who cannot see it."""

    title: str
    says: str
    png: str


Block = Heading | Words | Facts | Grid | Code | Image


@dataclass
class Page:
    """All that a hand-in shows."""

    title: str
    who: str
    points: float
    of: float
    blocks: list[Block] = field(default_factory=list)


def page_of(hand_in: HandIn) -> Page:
    """A hand-in as a page to read."""
    who = ", ".join(part for part in (hand_in.name, with_word(hand_in.group)) if part)
    page = Page("ddpm-tutor: hand-in", who or "no name given", hand_in.points, TOTAL)
    when = hand_in.made.replace("T", " ").replace("Z", " UTC")
    page.blocks += [Facts({"made": when, **hand_in.made_with})]
    page.blocks += [Words(note) for note in hand_in.notes]
    page.blocks += [Heading(f"The {TOTAL:g} points"), questions_of(hand_in)]
    page.blocks += [Words(UNPROVEN, dim=True), Heading("Exercises")]
    if not hand_in.exercises:
        page.blocks.append(Words("No code is handed in."))
    for written in hand_in.exercises:
        page.blocks += exercise_of(written)
    if hand_in.pictures:
        page.blocks.append(Heading("Pictures"))
    page.blocks += [Image(p.title, p.says, p.png) for p in hand_in.pictures]
    if hand_in.training:
        page.blocks += training_of(hand_in.training)
    return page


def with_word(group: str) -> str:
    """ "3" is "group 3"; a group with a name of its own keeps it."""
    return f"group {group}" if group.isdigit() else group


def questions_of(hand_in: HandIn) -> Grid:
    """What was asked and answered, a row for each part."""
    rows = []
    for asked in sorted(hand_in.questions, key=lambda asked: asked.part):
        got = asked.points if asked.earned(hand_in.passed) else 0
        points = Line(f"{got:g} of {asked.points:g}")
        answers = answers_of(asked, hand_in.passed)
        rows.append([[Line(asked.part)], [Line(asked.text)], answers, [points]])
    return Grid(["part", "asked", "answered", "points"], rows, ("asked", "answered"))


def answers_of(asked: Asked, passed: set[str]) -> list[Line]:
    """The answers to a question, each with its attempt and its time."""
    found, attempt = [], 0
    for answer in asked.answers:
        attempt += answer.first
        which = f"attempt {attempt}" if answer.first else "after the answer was told"
        text = f"{RIGHT if answer.right else WRONG} {answer.text or '(skipped)'}"
        found.append(Line(text, f"{which}, {minute(answer.when)}"))
    if asked.exercises and asked.earned(passed) and asked.right_at is None:
        numbers = " and ".join(map(number_of, asked.exercises))
        word = "exercises" if len(asked.exercises) > 1 else "exercise"
        found.append(Line(f"{RIGHT} by {word} {numbers}, below"))
    elif asked.earned_before and not asked.earned(passed):
        found.append(Line("earned earlier", "neither the answer nor the code of it is here"))
    return found or [Line("–")]


def minute(when: str) -> str:
    """A time, to the minute."""
    return when[:16].replace("T", " ")


def exercise_of(written: Written) -> list[Block]:
    """An exercise: its verdict, how it came to it, and the code."""
    mark = RIGHT if written.kind == "passed" else WRONG
    where = f" (line {written.line})" if written.line else ""
    history = []
    if written.checks:
        history.append(count_of(written.checks, "check"))
    if written.passed_check:
        when = minute(written.passed_when)
        history.append(f"passed at check {written.passed_check}, {when}")
    if written.hints:
        history.append(f"{count_of(written.hints, 'hint')} read")
    if written.solution_seen:
        history.append("the solution was read before it passed: it earns no points")
    blocks: list[Block] = [
        Heading(f"{mark} {written.number} · {written.title}", 3),
        Words(f"{written.says}{where}"),
    ]
    if history:
        blocks.append(Words("; ".join(history), dim=True))
    return [*blocks, Code(f"{written.name}.py", written.code)]


def training_of(training: Training) -> list[Block]:
    """The learner's own training."""
    blocks: list[Block] = [Heading("Own training"), Facts(training.settings)]
    rows = [
        [[Line(f"{epoch:g}")], [Line(f"{train:.4f}")], [Line(f"{validation:.4f}")]]
        for epoch, train, validation in training.losses
    ]
    if rows:
        blocks.append(Grid(["epoch", "training loss", "validation loss"], rows))
    blocks += [Image(p.title, p.says, p.png) for p in training.pictures]
    if training.scores:
        head, *scores = training.scores
        blocks.append(Heading("Its digits, scored", 3))
        blocks.append(Words(training.scores_made, dim=True))
        blocks.append(Grid(head, [[[Line(cell)] for cell in row] for row in scores]))
        blocks.append(Words(SCORES_NOTE, dim=True))
    elif training.scores_missing:
        blocks.append(Words(training.scores_missing, dim=True))
    return blocks
