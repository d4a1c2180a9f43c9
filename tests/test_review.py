"""`ddpm-tutor review`: questions again, with other numbers, each when it is due."""

import ast
import io
import json
import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ddpm_tutor.classroom.questions import ask_choice
from ddpm_tutor.classroom.session import Session, using
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.cli import review as review_module
from ddpm_tutor.cli.app import app
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import all_lessons, parameters
from ddpm_tutor.course.options_lint import (
    problems_of_all,
    problems_of_letters,
    problems_of_options,
    tells_of,
)
from ddpm_tutor.course.paper import all_entries, find_entry
from ddpm_tutor.course.questions import Question, questions
from ddpm_tutor.course.review import (
    Item,
    all_items,
    in_place_of,
    items_of_entry,
    items_of_review,
    review_pages,
    stands_alone,
)
from ddpm_tutor.course.review_lint import problems_of_review
from ddpm_tutor.learner import progress as progress_module
from ddpm_tutor.learner.progress import (
    Bookmark,
    Progress,
    Review,
    change_progress,
    load_progress,
    read_progress,
)
from ddpm_tutor.learner.reviews import DAYS, after, answered, due_items, in_order, is_due
from ddpm_tutor.screen import shown
from ddpm_tutor.screen.console import make_console

MADE = [item for page in review_pages() for item in items_of_review(page)]
ITEMS = list(all_items())
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MAX_SECONDS = 5.0  # of one core, for a question


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the progress of a new learner is kept."""
    path = tmp_path / "progress.json"
    monkeypatch.setattr(progress_module, "progress_file", lambda: path)
    return path


def asked(item: Item, seed: int, folder: Path) -> shown.Question:
    """The question as it is posed with this seed; all that its cell asserts has come true."""
    settings = {"seed": str(seed)}
    if "device" in parameters(item.page):
        settings["device"] = "cpu"
    session = Session(make_console(file=(folder / "screen").open("w")), folder)
    Stepper(item.page, session, settings=settings).ask_alone(item.before, item.cell)
    (posed,) = [each for each in session.shown if isinstance(each, shown.Question)]
    return posed


# what is asked


def bar(t: float, T: int = 1000) -> float:
    """ᾱ_t of the linear schedule, multiplied out in plain Python."""
    return math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / (T - 1)) for i in range(int(t)))


def beta(t: float) -> float:
    return 1e-4 + (0.02 - 1e-4) * (t - 1) / 999


def normal_cdf(x: float) -> float:
    return (1 + math.erf(x / 2**0.5)) / 2


# the right answer, from the numbers in the question's words
BY_HAND: dict[str, tuple[str, Callable[..., float]]] = {
    "What one step keeps": (r"β = (\S+?)\. ", lambda b: (1 - b) ** 0.5),
    "The variance after one step": (
        r"variance (\S+?)\. .*β = (\S+?)\. ", lambda v, b: (1 - b) * v + b),
    "Many steps from nothing": (r"β = (\S+?)\. .*after (\d+)", lambda b, n: 1 - (1 - b) ** n),
    "How much noise is in x_t?": (r"t = (\d+)", lambda t: (1 - bar(t)) ** 0.5),
    "A pixel of the background": (r"(-?1)\. ᾱ_t is (\S+?)\. ", lambda x, a: x * a**0.5),
    "From x_s on, not from x_0": (
        r"x_(\d+),.*x_(\d+),", lambda s, t: (bar(t) / bar(s)) ** 0.5),
    "The same β in fewer steps": (r"T = (\d+)", lambda T: bar(T, int(T))),
    "A network that says nothing": (r"(t) =", lambda: 1.0),
    "A network that is too timid": (r"ε_θ = (\S+) ε", lambda s: (1 - s) ** 2),
    "One pixel, back to x_0": (
        r"√ᾱ_t = (\S+) and .*= (\S+)\. A.* is (\S+), and .*ε = (\S+)\. ",
        lambda a, b, x, e: (x - b * e) / a),
    "A small error in ε": (
        r"t = (\d+).*off by (\S+)", lambda t, e: e * ((1 - bar(t)) / bar(t)) ** 0.5),
    "The wrong picture": (
        r"t = (\d+)", lambda t: bar(t - 1) ** 0.5 * beta(t) / (1 - bar(t))),
    "The noise is drawn once": (r"t = (\d+)", lambda t: (2 * (1 / bar(t) - 1)) ** 0.5),
    "Another σ_t²": (r"t = (\d+)", lambda t: (1 - bar(t)) / (1 - bar(t - 1))),
    "An error of the network, one step on": (
        r"t = (\d+).*off by (\S+)",
        lambda t, e: e * beta(t) / ((1 - beta(t)) * (1 - bar(t))) ** 0.5),
    "How much of ε_θ goes in one step": (r"t = (\d+)", lambda t: beta(t) / (1 - bar(t)) ** 0.5),
    "One pixel, one step": (
        r"\(1 - ᾱ_t\) = (\S+)\. A.* is (\S+), and ε_θ is (\S+) ",
        lambda n, x, e: (x - 0.19 / n * e) / 0.9),
    "Fewer steps, longer ones": (
        r"from t = (\d+) to t = (\d+)", lambda t, s: 1 - bar(t) / bar(s)),
    "The gap": (
        r"is (\S+) at z = 0 and (\S+) at.*= 0\) = (\S+)\. ",
        lambda a, b, q: q * math.log2(q / a) + (1 - q) * math.log2((1 - q) / b)),
    "Guidance in one pixel": (
        r"is (\S+) without .*and (\S+) with .*scale is (\S+)\. ", lambda a, b, w: a + w * (b - a)),
    "What guidance favours": (
        r"probability (\S+), another with (\S+)\. .*scale is (\d+)",
        lambda a, b, w: (a / b) ** w),
    "Random numbers of one picture": (r"T = (\d+) .*of (\d+) by", lambda T, n: T * n * n),
    "A code for another weather": (
        r"chances are (\S+), (\S+), (\S+), (\S+)\. ",
        lambda *q: sum(a * (math.log2(a) + n) for a, n in zip(q, (1, 2, 3, 3), strict=True))),
    "From noise to score": (r"= (\S+), and ε_θ = (\S+) ", lambda n, e: -e / n),
    "Two points, one guess": (
        r"ᾱ_t = (\S+), and x_t = (\S+)\. ", lambda a, x: math.tanh(a**0.5 * x / (1 - a))),
    "Two noises, mixed": (r"λ = (\S+),", lambda s: math.hypot(1 - s, s)),
    "v of one pixel": (
        r"√ᾱ_t = (\S+) and .*= (\S+)\. A.* is (\S+), its noise (\S+)\. ",
        lambda a, b, x, e: a * e - b * x),
    "Along a straight line": (
        r"τ = (\S+) a pixel is (\S+), .*velocity is (\S+)\. ", lambda s, x, u: x - s * u),
    "Bits per dimension": (r"is (\d+) nats", lambda n: n / 784 / math.log(2)),
    "Two bells of one width": (
        r"σ = (\S+), .*are (\S+) apart", lambda s, d: (d / s) ** 2 / 2),
    "The same mean, another width": (
        r"is (\d+) times", lambda r: (1 / r - 1 + math.log(r)) / 2),
    "The chance of the right shade": (
        r"σ_1 = (\S+)\. ", lambda s: 2 * normal_cdf(1 / 255 / s) - 1),
    "What a perfect network pays": (
        r"are (\S+), (\S+), (\S+), (\S+)\. ", lambda *p: -sum(q * math.log2(q) for q in p)),
}  # fmt: skip
IN_WORDS = {  # the right answer is none of the numbers, but which of the options it is
    "Half picture, half noise", "Where the noise is hard to find",
    "The weight that Eq. 14 leaves out", "How far x_{t-1} scatters, if x_0 is known",
    "Who has the larger say", "The noise that is put back", "L_T of a chain that is too short",
    "A black pixel",
}  # fmt: skip


def first_number(text: str) -> float:
    found = re.search(r"-?\d+(\.\d+)?(e-?\d+)?", text.replace(",", ""))
    assert found, text
    return float(found[0])


@pytest.mark.parametrize("item", MADE, ids=lambda item: item.heading)
def test_a_question_made_for_review_has_other_numbers_and_the_right_answer_each_time(
    item: Item, tmp_path: Path
) -> None:
    posed, slowest = [], 0.0
    for seed in (1, 2, 3):
        started = time.process_time()
        posed.append(asked(item, seed, tmp_path))
        slowest = max(slowest, time.process_time() - started)
    assert slowest < MAX_SECONDS
    assert len({(q.text, q.options) for q in posed}) > 1
    name = item.heading.partition(" · ")[2]
    for question in posed:
        options = [option for option, _ in question.options]
        assert len(set(options)) == len(options)
        if name in IN_WORDS:
            continue
        pattern, compute = BY_HAND[name]
        found = re.search(pattern, question.text)
        assert found, question.text
        wanted = compute(*(float(n) for n in found.groups() if n != "t"))
        said = first_number(options[int(question.answer)]) if options else question.answer
        assert said == pytest.approx(wanted, rel=0.02, abs=0.006), question.text


class Posed(Exception):
    """The options of a question, when it is posed."""


def pose(question: str, options: list[tuple[str, str]], answer: int) -> None:
    raise Posed([option for option, _ in options], answer)


# of these it takes long to come to the question
SLOW = ("L_T of a chain that is too short", "Where the noise is hard to find")
QUICK = [item for item in MADE if not item.heading.endswith(SLOW)]


@pytest.mark.parametrize("item", QUICK, ids=lambda item: item.heading)
def test_no_other_option_is_the_right_one_or_near_it_whatever_the_numbers(
    item: Item, tmp_path: Path
) -> None:
    stepper = Stepper(item.page, Session(make_console(file=io.StringIO()), tmp_path))
    stepper.ask_alone(item.before, Cell("code", "", "", 1))
    tools = {"ask_choice": pose, "ask_number": lambda *given, **named: pose("", [], 0)}
    for seed in range(40):
        with pytest.raises(Posed) as posed:
            exec(item.cell.source, {**stepper.namespace, **tools, "seed": seed})
        options, answer = posed.value.args
        assert len({*options}) == len(options), (seed, options)
        if item.heading.partition(" · ")[2] in IN_WORDS or not options:
            continue
        right = first_number(options.pop(answer))
        for other in (option for option in options if re.search(r"\d", option)):
            assert abs(right - first_number(other)) > 0.06 * abs(right), (seed, right, options)


def test_each_equation_from_2_to_16_has_a_question_made_for_review() -> None:
    asked = {item.place for item in MADE}
    assert {("paper", "eq", str(number)) for number in range(2, 17)} <= asked


@pytest.mark.parametrize("page", review_pages(), ids=lambda page: page.path.stem)
def test_a_file_of_questions_is_in_order(page) -> None:
    assert problems_of_review(page) == []


def test_what_is_wrong_in_a_file_of_questions_is_named() -> None:
    page = review_pages()[0]
    first, second, *_ = page.steps
    wrong = (Cell("code", "", "ask_choice(words, [('a', 'b')], answer=0)", 1),)
    steps = (
        type(first)(first.prose, wrong), type(second)("## Eq. 99 · What", ()), second, second,
    )  # fmt: skip
    found = "\n".join(problems_of_review(type(page)(page.path, steps)))
    for says in (
        "`seed`", "asks nothing", "not like", "**Lesson:**", "asks 0 questions", "of this title",
        "at least two options",
    ):  # fmt: skip
        assert says in found, found


def test_a_seed_gives_the_same_question_again(tmp_path: Path) -> None:
    item = MADE[0]
    assert asked(item, 4, tmp_path) == asked(item, 4, tmp_path)


@pytest.mark.parametrize("key", ["eq 4", "eq 11", "eq 2"])
def test_an_entry_asks_its_question_alone_and_shows_what_comes_after(
    key: str, tmp_path: Path
) -> None:
    (item,) = items_of_entry(find_entry(key))
    seed = item.settings(Random(0))["seed"]
    assert seed != "0"
    posed = asked(item, int(seed), tmp_path)
    assert posed.text == item.question.text
    screen = (tmp_path / "screen").read_text()
    assert screen.lstrip().startswith("╭─ Predict")  # nothing of the cells before


def test_of_the_lessons_there_are_choices_that_point_at_nothing_on_the_screen() -> None:
    items = [item for item in ITEMS if item.name and item.place[0] == "lesson"]
    assert len(items) >= 20
    for item in items:
        assert len(questions(item.page)) > 0 and "below" not in item.cell.source
        call = ast.parse(item.cell.source).body[0]
        assert isinstance(call, ast.Expr)  # the question alone, without its step's other code


# how it is asked


def test_options_are_dealt_anew_where_a_question_is_asked_again() -> None:
    options = [("one", "Yes."), ("two", "No."), ("three", "No.")]
    letters = set()
    for seed in range(20):
        told: list[bool] = []
        session = Session(make_console(file=io.StringIO()), again=Random(seed))
        session.ask = lambda prompt: "a"
        session.on_answer = lambda question, right, text, told=told: told.append(right) or True
        with using(session):
            ask_choice("Which?", options, 0, part="11.5 d", points=2)
        (posed,) = [each for each in session.shown if isinstance(each, shown.Question)]
        assert posed.options[int(posed.answer)][0] == "one" and posed.heading == "Predict"
        assert told == [posed.answer == 0]
        letters.add(posed.answer)
    assert letters == {0, 1, 2}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("Yes. One t a picture.", "One t a picture."), ("Yes: all of it.", "All of it."),
        ("Yes: x_0 is known.", "x_0 is known."),
        ("Yes. v asks for it.", "v asks for it."), ("Yes: a half.", "A half."),
        ("Yes, by far.", "By far."),
        ("so it is", "so it is"), ("Yesterday.", "Yesterday."),
    ],
)  # fmt: skip
def test_the_truth_after_a_wrong_answer_does_not_begin_with_yes(reply: str, told: str) -> None:
    posed = shown.Question("choice", "Which?", 1, (("one", "No."), ("two", reply)))
    assert posed.truth == f"b) two.\n{told}"


def test_no_step_comes_before_a_question_that_is_asked_alone() -> None:
    typed = iter(["back", "?", "a"])
    session = Session(make_console(file=io.StringIO()), again=Random(0))
    session.ask = lambda prompt: next(typed)
    with using(session):
        ask_choice("Which?", [("one", "Yes."), ("two", "No.")], 0)
    assert next(typed, None) is None


# when it is asked


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def test_waits_grow_with_success_and_begin_again_after_a_miss() -> None:
    review, moment = Review(), MONDAY
    for successes, days in enumerate(DAYS[1:], start=1):
        review = after(review, True, written(moment))
        assert review == Review(successes, written(moment))
        assert not is_due(review, moment + timedelta(days=days, minutes=-1))
        moment += timedelta(days=days)
        assert is_due(review, moment)
    for _ in range(3):  # the longest wait stays
        review = after(review, True, written(moment))
        assert not is_due(review, moment + timedelta(days=DAYS[-1], minutes=-1))
        moment += timedelta(days=DAYS[-1])
    missed = after(review, False, written(moment))
    assert missed.successes == 0 and is_due(missed, moment + timedelta(days=DAYS[0]))


def test_an_answer_before_it_is_due_makes_no_wait_longer() -> None:
    review = after(Review(), True, written(MONDAY))
    assert after(review, True, written(MONDAY + timedelta(hours=1))) == review
    assert after(review, False, written(MONDAY + timedelta(hours=1))).successes == 0


def test_a_clock_that_was_wrong_does_no_harm() -> None:
    review = Review(5, written(MONDAY))
    assert not is_due(review, MONDAY - timedelta(hours=13))  # another time zone
    assert is_due(review, MONDAY - timedelta(days=900))  # it cannot have been asked then


def take(lesson: int, question: Question, right: bool, when: datetime) -> None:
    place = Bookmark(all_lessons()[lesson - 1].key)
    place.answered(question.key, right, "a) so" if right else "")
    key = all_lessons()[lesson - 1].key

    def then(progress: Progress) -> None:
        given = progress.lesson(key).given[question.key]
        given[-1] = progress_module.Answer("a) so", right, written(when), True)

    change_progress(then)


def item_of_lesson(number: int) -> Item:
    key = all_lessons()[number - 1].key
    return next(item for item in ITEMS if item.name == key)


def keys_due(moment: datetime) -> list[str]:
    return [item.key for item, _ in due_items(load_progress(), moment)]


def test_what_was_missed_in_a_lesson_is_due_at_once_and_what_was_right_later(kept: Path) -> None:
    item = item_of_lesson(2)
    assert keys_due(MONDAY) == []
    take(2, item.question, False, MONDAY)
    assert keys_due(MONDAY) == [item.key]
    take(2, item.question, True, MONDAY)
    assert keys_due(MONDAY) == []
    assert keys_due(MONDAY + timedelta(days=DAYS[1])) == [item.key]


def test_an_answer_in_a_review_counts_from_then_on_until_the_lesson_is_missed_again(
    kept: Path,
) -> None:
    item = item_of_lesson(2)
    take(2, item.question, False, MONDAY)
    ((_, before),) = due_items(load_progress(), MONDAY)
    answered(item, before, True, written(MONDAY + timedelta(hours=1)))
    later = MONDAY + timedelta(days=2)
    assert keys_due(later) == []
    take(2, item.question, False, later)
    assert keys_due(later) == [item.key]


def test_a_lesson_that_is_done_brings_its_questions_and_no_others(kept: Path) -> None:
    Bookmark(all_lessons()[1].key).finished()
    mine = keys_due(MONDAY)
    assert mine and all(item.taught and 2 in item.taught for item in MADE if item.key in mine)
    assert len(mine) == sum(2 in item.taught for item in MADE)


def test_a_missed_question_that_cannot_be_asked_alone_leads_to_one_on_the_same_piece(
    kept: Path,
) -> None:
    (question,) = (q for q in questions(all_lessons()[1]) if "By what factor is x_0" in q.text)
    take(2, question, True, MONDAY)
    assert keys_due(MONDAY) == []
    take(2, question, False, MONDAY)
    (key,) = keys_due(MONDAY)
    (item,) = (each for each in MADE if each.key == key)
    assert item.place == ("paper", "eq", "4")
    Bookmark(all_lessons()[1].key).finished()  # and it comes first
    progress = load_progress()
    order = in_order(due_items(progress, MONDAY), progress, Random(1))
    assert order[0][0].key == key and len(order) > 3
    answered(item, Review(), True, written(MONDAY + timedelta(hours=1)))
    assert key not in keys_due(MONDAY + timedelta(hours=2))
    take(2, question, False, MONDAY + timedelta(hours=3))
    assert key in keys_due(MONDAY + timedelta(hours=3))


def test_every_question_of_a_lesson_comes_back_as_itself_or_as_another() -> None:
    for lesson in all_lessons():
        for question in questions(lesson):
            item = None if stands_alone(question) else in_place_of(lesson, question, MADE)
            assert stands_alone(question) or (item and item in MADE), question.text


def test_an_entry_that_was_read_brings_the_questions_on_it(kept: Path) -> None:
    Bookmark("paper/eq_15").finished()
    mine = keys_due(MONDAY)
    assert mine == [item.key for item in MADE if item.place == ("paper", "eq", "15")] and mine


def test_what_review_all_asked_comes_again_without_any_lesson(kept: Path) -> None:
    items = [next(item for item in ITEMS if item.name.startswith(kind)) for kind in ("0", "paper/")]
    items.append(next(item for item in ITEMS if not item.name))
    for item in items:
        answered(item, Review(), right=False, when="2026-11-23T09:00:00Z")
    due = due_items(load_progress(), MONDAY + timedelta(days=2))
    assert {item.key for item, _ in due} == {item.key for item in items}
    assert not due_items(load_progress(), MONDAY + timedelta(hours=2))


def test_what_was_missed_comes_first_then_what_is_due_then_what_is_new(kept: Path) -> None:
    item = item_of_lesson(2)
    Bookmark(all_lessons()[1].key).finished()
    old = next(each for each in MADE if 2 in each.taught)
    answered(old, Review(), True, written(MONDAY - timedelta(days=40)))
    take(2, item.question, False, MONDAY)
    progress = load_progress()
    for seed in range(5):
        order = in_order(due_items(progress, MONDAY), progress, Random(seed))
        assert [each.key for each, _ in order[:2]] == [item.key, old.key]


# what is kept


@pytest.mark.parametrize(
    "damage",
    [
        None, 3, [], {"q": 3}, {"q": {"successes": "two"}}, {"q": {"successes": -1}},
        {"q": {"successes": 1, "when": "yesterday"}}, {"q": {"successes": True, "when": ""}},
        {"q": {"why": 1}}, {"q": {"when": 5}}, {"q": []},
    ],
)  # fmt: skip
def test_damaged_reviews_are_left_out_and_nothing_else_is_lost(damage: object) -> None:
    whole = {
        "version": 4, "lessons": {"02": {"step": 3, "answers": {"11.2 b": True}}},
        "exercises": {}, "reviews": damage,
    }  # fmt: skip
    progress = read_progress(json.dumps(whole))
    assert progress.reviews == {} and progress.lesson("02").answers == {"11.2 b": True}
    if isinstance(damage, dict):
        good = {"successes": 2, "when": written(MONDAY)}
        progress = read_progress(json.dumps(whole | {"reviews": damage | {"good": good}}))
        assert progress.reviews == {"good": Review(**good)}


def test_two_terminals_keep_what_both_were_told(kept: Path) -> None:
    first, second = MADE[:2]
    old, today = Review(2, written(MONDAY - timedelta(days=20))), written(MONDAY)
    answered(first, old, True, today)
    answered(second, Review(), False, today)
    answered(first, old, True, today)  # the other terminal had chosen it as well
    assert load_progress().reviews == {first.key: Review(3, today), second.key: Review(0, today)}


# the command


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_who_has_done_nothing_is_told_where_to_begin(kept: Path) -> None:
    done = run("review")
    assert done.exit_code == 0 and "Begin with: ddpm-tutor lesson 1" in done.output
    assert "due" not in run().output and "due" not in run("lessons").output


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_a_count_of_none_is_refused(kept: Path, count: str) -> None:
    assert run("review", "--count", count).exit_code == 2


def only_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all questions two are left, which compute little."""
    monkeypatch.setattr("ddpm_tutor.learner.reviews.all_items", lambda wanted: iter(MADE_QUICK))


MADE_QUICK = [item for item in MADE if "forward" in item.key and "2" in str(item.place)][:2]


def test_without_a_terminal_questions_are_printed_with_their_answers(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_forward(monkeypatch)
    Bookmark(all_lessons()[0].key).finished()
    done = run("review", "--count", "1000000", "--seed", "1")
    assert done.exit_code == 0 and done.output.count("Read it again: ddpm-tutor paper eq 2") == 2
    assert "✓" in done.output and "Your choice" not in done.output
    assert run("review", "--count", "1000000", "--seed", "1").output == done.output
    assert load_progress().reviews == {}  # nobody has answered


def test_the_welcome_and_the_list_say_in_a_line_that_something_is_due(kept: Path) -> None:
    Bookmark(all_lessons()[0].key).finished()
    count = len(due_items(load_progress(), MONDAY))
    for words in ([], ["lessons"]):
        (line,) = [line for line in run(*words).output.splitlines() if "due" in line]
        assert "ddpm-tutor review" in line and f"{count} questions are due" in line


def at_the_keyboard(monkeypatch: pytest.MonkeyPatch, typed: list[str], keys: str = "\r") -> None:
    """Somebody who types these answers, and then leaves by Ctrl-C."""
    words = iter(typed)

    def ask(prompt: str) -> str:
        try:
            return next(words)
        except StopIteration:
            raise KeyboardInterrupt from None

    pressed = iter(keys * 20)
    monkeypatch.setattr(review_module, "learner_is_there", lambda: True)
    monkeypatch.setattr(review_module, "asking", lambda console: ask)
    monkeypatch.setattr(review_module, "read_key", lambda: next(pressed))


def test_ctrl_c_keeps_what_was_answered(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_forward(monkeypatch)
    Bookmark(all_lessons()[0].key).finished()
    at_the_keyboard(monkeypatch, ["a"])
    done = run("review", "--seed", "1")
    assert done.exit_code == 130 and "Interrupted." in done.stderr
    assert len(load_progress().reviews) == 1


def test_a_review_ends_with_what_was_right_and_where_to_read(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_forward(monkeypatch)
    Bookmark(all_lessons()[0].key).finished()
    at_the_keyboard(monkeypatch, ["", ""])
    done = run("review", "--seed", "1")
    assert done.exit_code == 0 and "0 of 2 right." in done.output
    assert "comes again tomorrow" in done.output
    after_it = run("review")
    assert "Nothing is due. The next question is due tomorrow." in after_it.output


def test_a_long_heading_goes_on_below_itself() -> None:
    item: Any = SimpleNamespace(place=("lesson", "3"), heading="Lesson 3 · The step back, or what")
    into = io.StringIO()
    review_module.say_result(Console(file=into, width=50), [(item, False)], 0)
    shown = [line.rstrip() for line in into.getvalue().splitlines()]
    assert "  ddpm-tutor lesson 3  Lesson 3 · The step back," in shown
    assert " " * 23 + "or what" in shown


def test_q_leaves_and_keeps_the_place(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_forward(monkeypatch)
    Bookmark(all_lessons()[0].key).finished()
    at_the_keyboard(monkeypatch, ["q"])
    assert "Nothing was answered." in run("review", "--seed", "1").output
    at_the_keyboard(monkeypatch, ["a", "a"], keys="q")
    assert "1 more: ddpm-tutor review" in run("review", "--seed", "1").output


# options do not give themselves away


def all_of(*pages) -> list[Question]:
    return [question for page in pages for question in questions(page)]


LESSONS, ENTRIES = all_of(*all_lessons()), all_of(*(entry.page for entry in all_entries()))


@pytest.mark.parametrize(
    "some", [LESSONS, ENTRIES, LESSONS + ENTRIES], ids=["lessons", "entries", "both"]
)
def test_the_right_option_is_not_known_by_its_looks(some: list[Question]) -> None:
    assert tells_of(some).count >= 30
    assert problems_of_all(some) == []


def test_the_questions_made_for_review_do_not_give_themselves_away() -> None:
    assert problems_of_all(all_of(*review_pages()), dealt=True) == []


def made(options: list[str], answer: str) -> Question:
    pairs = ", ".join(f"({option!r}, {'Reply ' + option!r})" for option in options)
    source = f"ask_choice('Which?', [{pairs}], answer={answer})"
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return Question("Which?", "", 0, 1, statement.value, Cell("code", "", source, 1))


def test_letters_lengths_and_words_that_give_answers_away_are_found() -> None:
    even = [made(["this", "that", "those"], str(i % 3)) for i in range(30)]
    assert problems_of_all(even) == [] == problems_of_letters(even)
    always_b = [made(["this", "that", "those"], "1 if x else 0")] * 30
    assert "letters" in problems_of_all(always_b)[0] and problems_of_all(always_b, dealt=True) == []
    assert problems_of_letters(always_b) == ["b) is right in 30 of 30 questions"]
    assert problems_of_letters(even[:5] + always_b[:2]) == ["b) is right three times in a row"]
    long = "the one that says much more than any other does"
    for right in (0, 1):  # always the longest, and never
        some = [made([long, "this", "that"], str(right))] * 30
        assert "longest" in problems_of_all(some, dealt=True)[0]
    some = [made(["no: it", "yes: so", "yes: as"], "0")] * 30
    assert '"no"' in problems_of_all(some, dealt=True)[0]


def test_a_right_option_that_is_the_longest_by_a_fifth_is_found() -> None:
    options = ["a" * 50, "b" * 40, "c" * 39]
    assert problems_of_options(made(options, "1")) == []
    assert "by far the longest" in problems_of_options(made(options, "0"))[0]


def test_a_yes_in_reply_to_another_option_than_the_right_one_is_found() -> None:
    source = "ask_choice('Which?', [('this', 'No.'), ('that', 'Yes.')], answer=0)"
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    question = Question("Which?", "", 0, 1, statement.value, Cell("code", "", source, 1))
    assert "begins with Yes" in problems_of_options(question)[0]


def test_everything_can_be_asked_and_each_under_a_name_of_its_own() -> None:
    keys = [item.key for item in ITEMS]
    assert len(keys) == len(set(keys)) and len(keys) > 70
    done = run("review", "--check")
    assert done.exit_code == 0 and "chi-square" in done.output
