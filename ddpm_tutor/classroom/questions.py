"""Questions: the learner predicts, then the lesson shows what is true.

The right answer is computed by the lesson from its live tensors and handed in. Without a learner
at the keyboard, the question and its answer are printed and nothing is scored.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from rich.text import Text

from ddpm_tutor.classroom.session import Asked, current
from ddpm_tutor.classroom.typed_numbers import WANTED, read_number, understood
from ddpm_tutor.screen.keyboard import BACK, keys_of
from ddpm_tutor.screen.prose import Sentence
from ddpm_tutor.screen.shown import LETTERS, Question, Told
from ddpm_tutor.screen.values import number, roughly

SKIPPING = "Enter alone skips the question: you read the answer, and it earns nothing."
CHOICE_KEYS = "Type back to go to the step before, q to leave the lesson; b is an answer here."
NUMBER_KEYS = "Type b to go back to the step before, q to leave the lesson."
ALONE_KEYS = "Enter alone skips the question: you read the answer. Type q to leave."
NO_STEP_BEFORE = "No step comes before this question. Enter alone skips it, q leaves."


class Leave(BaseException):
    """The learner leaves a question without an answer: by -1 to the step before, by 0 for good.

    No error, so that no lesson's code catches it as one.
    """

    def __init__(self, move: int) -> None:
        super().__init__(move)
        self.move = move


def _pose(question: Question) -> None:
    session = current()
    if question.part and not session.told_of_parts:
        question = replace(question, explains_parts=True)
        session.told_of_parts = True
    session.gap()
    session.print(question)


def _tell(right: bool, text: str) -> None:
    mark = ("✓ ", "bold green") if right else ("✗ ", "bold red")
    current().print(Told(Text.assemble(mark, text)))


def _close(question: str, part: str, points: float, right: bool, answer: str = "") -> None:
    """Records the answer, and says so where a right one comes too late to count."""
    session = current()
    if session.on_answer:
        earned = session.on_answer(part or question, right, answer)
        if right and points and not earned:
            late = "The points are for the first answer. You can have them in another sitting."
            session.print(Told(late))
    session.gap()


def _asked(prompt: str, help: str, letters: str = "") -> str:
    """What the learner typed; "" at the end of input, which skips the question.

    Args:
        letters: those that are answers here, and so no keys.

    Raises:
        Leave: the learner has typed a key that leaves the question.
    """
    session = current()
    assert session.ask is not None
    while True:
        started = time.perf_counter()
        try:
            with session.bars.paused():
                text = session.ask(prompt).strip()
        except EOFError:
            session.console.print()
            return ""
        finally:
            session.thinking += time.perf_counter() - started
        word = text.lower()
        arrow = next(iter(keys_of(text)), "") if text.startswith("\x1b") else ""
        back = word == "back" or arrow in BACK or (word == "b" and "b" not in letters)
        if session.has_keys and back and not session.again:
            raise Leave(-1)
        if session.has_keys and word in ("q", "quit"):
            raise Leave(0)
        no_way = back and session.has_keys
        if not no_way and word not in ("?", "help"):
            return text
        session.show_again(Sentence(NO_STEP_BEFORE if no_way else help))


def _ways_out(keys: str) -> str:
    """How to leave a question; `keys` are those of a lesson."""
    session = current()
    return ALONE_KEYS if session.again else f"{SKIPPING} {keys * session.has_keys}"


def _dealt(
    options: Sequence[tuple[str, str]], answer: int, again: Random
) -> tuple[Sequence[tuple[str, str]], int]:
    """The options in another order, so that nobody knows the right one by its letter."""
    order = list(range(len(options)))
    again.shuffle(order)
    return [options[i] for i in order], order.index(answer)


def ask_choice(
    question: str,
    options: Sequence[tuple[str, str]],
    answer: int,
    *,
    part: str = "",
    points: float = 0,
) -> None:
    """Asks which option is right.

    Args:
        options: (option, reply): the reply says what this choice would imply, or why it is right.
        answer: the index of the right option, computed by the lesson.
        part: the part of the assignment, such as "11.5 d"; points: what it is worth there.
    """
    session = current()
    if session.silent:
        return
    if session.again:
        (options, answer), part, points = _dealt(options, answer, session.again), "", 0
    posed = Question("choice", question, answer, tuple(options), part=part, points=points)
    _pose(posed)
    letters = LETTERS[: len(options)]
    if session.ask is None:
        if session.reveals:
            _tell(True, posed.truth)
        session.gap()
        return
    prompt = f"Your choice ({'/'.join(letters)}, ? for help, Enter to skip): "
    help = f"Type {' or '.join(letters)} to answer. {_ways_out(CHOICE_KEYS)}"
    while (given := _asked(prompt, help, letters).lower().strip("(). ")) != "":
        if given in list(letters):
            break
        session.show_again(Sentence(f"Please type {' or '.join(letters)}, or ? for help."))
    if not given:
        session.print(Told(f"It is {posed.truth}"))
        session.keep(Asked(question, options, frozenset({answer})))
        _close(question, part, points, right=False)
        return
    chosen = letters.index(given)
    right = chosen == answer
    session.shown.append(Text(f"You said {given})"))
    _tell(right, options[chosen][1])
    if not right:
        session.print(Told(f"It is {posed.truth}"))
    session.keep(Asked(question, options, frozenset({answer, chosen})))
    _close(question, part, points, right, f"{given}) {options[chosen][0]}")


def ask_number(
    question: str,
    answer: float,
    *,
    tolerance: float,
    why: str,
    part: str = "",
    points: float = 0,
) -> None:
    """Asks for a number and scores it against the live value.

    Args:
        answer: the true value, computed by the lesson; tolerance: how far off still counts.
        why: one or two sentences that explain the value.
    """
    session = current()
    if session.silent:
        return
    answer = float(answer)
    if session.again:
        part, points = "", 0
    posed = Question(
        "number", question, answer, tolerance=tolerance, why=why, part=part, points=points
    )
    _pose(posed)
    if session.ask is None:
        if session.reveals:
            _tell(True, posed.truth)
        session.gap()
        return
    help = f"{WANTED} {_ways_out(NUMBER_KEYS)}"
    while text := _asked("Your number (? for help, Enter to skip): ", help):
        try:
            given = read_number(text, answer, tolerance)
            break
        except ValueError as error:
            session.show_again(Sentence(f"{error} ? helps."))
    if not text:
        session.print(Told(f"It is {posed.truth}"))
        _close(question, part, points, right=False)
        return
    said = understood(text, given)
    remember = session.shown.append if said == text else session.print  # the text is on the screen
    remember(Text(f"You said {said}"))
    right = abs(given - answer) <= tolerance
    difference = abs(given - float(number(answer).replace(",", "")))  # as it is shown
    off = "" if right else f" You were {roughly(difference)} off."
    _tell(right, f"It is {number(answer)}.{off} {why}")
    _close(question, part, points, right, text)
