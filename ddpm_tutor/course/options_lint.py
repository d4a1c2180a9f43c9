"""Do options give themselves away? The right one must not be known by its looks.

Most people would take the longest option, the one with "no", or the letter that was right before.
Which option is right is read from the file: the only one whose reply begins with "Yes", else the
literal that the question has for it, or the first branch of what computes it.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ddpm_tutor.course.questions import Question, constant, keyword, name_of

LONGER, MARGIN = 1.3, 8  # the longest option stands out by such a factor, and so many characters
RIGHT_LONGER = 1.2  # in one question alone the right one may not be longer by more, and the margin
# of a statistic beyond which chance would go once in twenty sittings
CHI_SQUARE = {1: 3.84, 2: 5.99, 3: 7.81}
SIGMAS = 2.0
FEWEST = 5  # questions of a lesson from which on one letter would be noticed
RUN = 3  # one letter is not right so often in a row
YES_NO = re.compile(r"^(yes|no|none|neither)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """The options of a question as its file has them, and the right one."""

    options: tuple[str, ...]
    right: int

    @property
    def stands_out(self) -> int | None:
        """The option that is the longest by a margin, if there is one."""
        *_, second, longest = sorted(map(len, self.options))
        if longest < LONGER * second or longest - second < MARGIN:
            return None
        return next(i for i, option in enumerate(self.options) if len(option) == longest)


@dataclass(frozen=True)
class Tells:
    """What gives right answers away, over many questions; each expected value is that of chance."""

    count: int
    letters: Counter[int]
    expected_letters: dict[int, float]
    longest: tuple[int, int, float]  # the longest by a margin: right, of how many, expected
    no: tuple[int, int, float]  # begins with "no" where others do not: right, of how many, expected

    @property
    def chi_square(self) -> float:
        """How uneven the letters of the right options are."""
        return sum(
            (self.letters[i] - wanted) ** 2 / wanted for i, wanted in self.expected_letters.items()
        )

    def __str__(self) -> str:
        letters = ", ".join(f"{'abcdefgh'[i]} {self.letters[i]}" for i in self.expected_letters)
        (longest, of, by_chance), (no, of_no, no_by_chance) = self.longest, self.no
        return (
            f"Right letters: {letters} (chi-square {self.chi_square:.1f}). "
            f"Longest by far: right {longest} of {of}, {by_chance:.0f} by chance. "
            f'"Yes" or "no" alone: right {no} of {of_no}, {no_by_chance:.0f} by chance.'
        )


def intended(answer: ast.expr | None) -> int | None:
    """The index that a literal or the first branch has; None where only a run can tell."""
    if isinstance(answer, ast.IfExp):
        return intended(answer.body)
    value = constant(answer) if answer else None
    return value if type(value) is int else None


def choice_of(question: Question) -> Choice | None:
    """The options of a question, and the right one; None where the file does not say it."""
    call = question.call
    if name_of(call) != "ask_choice" or len(call.args) < 2:
        return None
    listed = call.args[1]
    pairs = [o.elts for o in getattr(listed, "elts", ()) if isinstance(o, ast.Tuple)]
    confirmed = [i for i, (_, reply) in enumerate(pairs) if _text(reply).startswith("Yes")]
    right = confirmed[0] if len(confirmed) == 1 else intended(_answer(call))
    options = tuple(_text(option) for option, _ in pairs)
    return Choice(options, right) if right is not None and right < len(options) >= 2 else None


def _answer(call: ast.Call) -> ast.expr | None:
    return keyword(call, "answer") or (call.args[2] if len(call.args) > 2 else None)


def _text(option: ast.expr) -> str:
    """The words of an option; a number put into them counts as four characters."""
    if isinstance(option, ast.JoinedStr):
        return "".join(str(constant(part) or "0.00") for part in option.values)
    value = constant(option)
    return value if isinstance(value, str) else ast.unparse(option)


def tells_of(questions: Iterable[Question]) -> Tells:
    """What gives the right options of these questions away.

    Those are left out of which the file does not say which option is right.
    """
    choices = [choice for question in questions if (choice := choice_of(question))]
    most = max((len(choice.options) for choice in choices), default=0)
    expected = {
        i: sum(1 / len(c.options) for c in choices if i < len(c.options)) for i in range(most)
    }
    outstanding = [c for c in choices if c.stands_out is not None]
    alone = [(c, i) for c in choices if (i := _yes_or_no_alone(c)) is not None]
    return Tells(
        len(choices),
        Counter(choice.right for choice in choices),
        expected,
        (
            sum(c.stands_out == c.right for c in outstanding),
            len(outstanding),
            sum(1 / len(c.options) for c in outstanding),
        ),
        (
            sum(c.right == i for c, i in alone),
            len(alone),
            sum(1 / len(c.options) for c, _ in alone),
        ),
    )


def _yes_or_no_alone(choice: Choice) -> int | None:
    """The one option that says no where all others say yes, or the other way round."""
    begins = [found[1].lower() if (found := YES_NO.match(o)) else "" for o in choice.options]
    said = ["no" if word in ("no", "none", "neither") else word for word in begins]
    alone = [i for i, word in enumerate(said) if word and said.count(word) == 1]
    return alone[0] if len(alone) == 1 else None


def is_a_tell(right: int, of: int, by_chance: float) -> bool:
    """Whether so many of them are more than chance would make right, or so few."""
    spread = (by_chance * (1 - by_chance / of)) ** 0.5 if of else 0
    return abs(right - by_chance) > max(1, SIGMAS * spread)


def problems_of_all(questions: Iterable[Question], *, dealt: bool = False) -> list[str]:
    """What gives the right options away, over all of these questions, a line each.

    Args:
        dealt: whether their options are put into another order each time, so that letters say
            nothing.
    """
    seen = tells_of(questions)
    found = []
    if not dealt and seen.chi_square > CHI_SQUARE.get(len(seen.expected_letters) - 1, 10):
        found.append(f"the letters of the right options are uneven: {seen}")
    if is_a_tell(*seen.longest):
        found.append(f"the longest option is right too often, or too seldom: {seen}")
    if is_a_tell(*seen.no):
        found.append(f'the option with "yes" or "no" is right too often, or too seldom: {seen}')
    return found


def problems_of_options(question: Question) -> list[str]:
    """What gives the right option of one question away, a line each."""
    choice = choice_of(question)
    if choice is None:
        return []
    found = []
    said = constant(_answer(question.call) or question.call)
    if type(said) is int and said != choice.right:
        found.append("another option than the right one has the reply that begins with Yes")
    lengths = [len(option) for option in choice.options]
    mine = lengths.pop(choice.right)
    if mine > RIGHT_LONGER * max(lengths) and mine - max(lengths) >= MARGIN:
        found.append("the right option is by far the longest")
    return found


def problems_of_letters(questions: Iterable[Question]) -> list[str]:
    """Whether one letter is right nearly always, or time after time, in these of one lesson."""
    questions = list(questions)
    seen = tells_of(questions)
    found = [
        f"{'abcdefgh'[letter]}) is right in {count} of {seen.count} questions"
        for letter, count in seen.letters.items()
        if seen.count >= FEWEST and count >= seen.count - 1
    ]
    right = [choice.right for question in questions if (choice := choice_of(question))]
    runs = {right[i] for i in range(len(right) - RUN + 1) if len({*right[i : i + RUN]}) == 1}
    return found or [f"{'abcdefgh'[letter]}) is right three times in a row" for letter in runs]
