"""The classroom: a lesson file becomes steps; stepping, questions, progress."""

import inspect
import io
import json
import os
import re
import select
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ddpm_tutor.classroom.session import Session, so_far, using
from ddpm_tutor.classroom.stepper import LessonError, Stepper
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import (
    Lesson,
    all_lessons,
    check_settings,
    find_lesson,
    read_lesson,
    shown_source,
)
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.learner import progress as progress_module
from ddpm_tutor.learner.progress import (
    MAX_TEXT,
    Bookmark,
    LessonProgress,
    load_progress,
    read_progress,
)
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.screen.curves import Curves, FigureCurves
from ddpm_tutor.screen.images import Images
from ddpm_tutor.screen.keyboard import showing_keys
from ddpm_tutor.screen.prose import HOLD, PROSE_WIDTH, Prose, Sentence, folded, used_functions
from ddpm_tutor.screen.shown import Printed, Question, Said, SavedFile, Told
from ddpm_tutor.screen.values import DataTable, Value

LESSON = """\
# %% [markdown]
# # Lesson 9 · A small one
#
# **Paper:** Eq. 4
#
# **Time:** 1 minute

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
count = 3
rate = 0.5
name = "x"
loud = False

# %% [markdown]
# ## Work

# %%
import torch
from ddpm_tutor import linear_schedule
from ddpm_tutor.classroom.tools import ask_choice, ask_number
runs = globals().get("runs", 0) + 1

def twice(x):
    return 2 * x

# %%
print("counted", twice(count))
torch.arange(float(count))

# %% [markdown]
# ## Ask

# %%
total = sum(range(count))
ask_number("How many?", total, tolerance=0.1, why="It is the SECRET sum.")
ask_choice("Which?", [("this", "wrong REPLY"), ("that", "right REPLY")], answer=1)
linear_schedule(10).T
"""


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    path = tmp_path / "09_small.py"
    path.write_text(LESSON, encoding="utf-8")
    return read_lesson(path)


def screen(width: int = 80, **options: object) -> Console:
    return Console(file=io.StringIO(), width=width, **options)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def keys_of(text: str):
    """Reads one key after another; more keys than that are a bug in the test."""
    keys = iter(text)
    return lambda: next(keys)


def test_a_file_becomes_steps_of_prose_and_code(lesson: Lesson) -> None:
    assert [step.title for step in lesson.steps] == [
        "Lesson 9 · A small one", "Parameters", "Work", "Ask",
    ]  # fmt: skip
    assert [len(step.code) for step in lesson.steps] == [0, 1, 2, 1]
    assert (lesson.number, lesson.title) == (9, "A small one")
    assert (lesson.fact("Paper"), lesson.fact("Time")) == ("Eq. 4", "1 minute")


RECORDED = """\
# %% [markdown]
# # Lesson 9 · All that can be shown

# %%
import torch
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, figure, save_film, save_grid, save_moments, say, show, show_curves,
    show_images, show_table,
)
from ddpm_tutor.pictures.films import Frame

# %%
x = torch.zeros(3, 1, 32, 32)
show(x, "zeros", ["a", "b", "c"])
x += 1  # what was shown stays
show_images(x, "ones")
print("printed [bold]")
say("Said.")
rows = [(1, 0.5), (2, 0.25)]
show_table("Halves", ["n", "half"], rows)
rows.clear()
show_curves("Curve", {"up": enumerate([1.0, 2.0])}, "n", log=True)
with figure() as (picture, (axis,)):
    axis.plot([1, 2], [3, 4])
show(picture, "lines")

# %%
_ = save_film([Frame(t, x[:1] * t, -x[:1]) for t in (5, 0)], "film")
_ = save_moments([x, x], ["one", "two"], "moments")
_ = save_grid(x, "grid", 2)
ask_choice("Which?", [("this", "No, this."), ("that", "Yes. That.")], 1, part="1 a", points=2)
ask_number("How many?", 3, tolerance=0.1, why="There are.")
"""


def test_a_recorded_run_keeps_the_data_and_shows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "09_all.py"
    path.write_text(RECORDED, encoding="utf-8")
    console, lesson = screen(), read_lesson(path)
    shown = Stepper(lesson, Session(console, out=tmp_path)).record()[1]
    assert text_of(console) == ""
    kinds = dict.fromkeys(type(each) for each in shown)
    assert set(kinds) == {
        Padding, Value, Images, Printed, Said, DataTable, Curves, FigureCurves, SavedFile, Text,
        Question, Told,
    }  # fmt: skip
    by_kind = {kind: [each for each in shown if type(each) is kind] for kind in kinds}
    (value,), (images,) = by_kind[Value], by_kind[Images]
    assert (value.title, value.captions) == ("zeros", ["a", "b", "c"]) and not value.value.any()
    assert images.title == "ones" and images.images.all()
    assert [line.plain for line in by_kind[Printed]] == ["printed [bold]"]
    assert by_kind[Said][0].text.plain == "Said." and len(by_kind[Told]) == 2
    assert by_kind[DataTable][0].rows == [[1, 0.5], [2, 0.25]]
    figure, film, moments, grid = by_kind[SavedFile]
    assert figure.picture.startswith(b"\x89PNG") and figure.path.is_file()
    assert film.film.times == (5, 0) and film.film.captions == ("t = 5", "t = 0")
    assert film.film.views["x_t"].shape == (2, 1, 1, 32, 32)
    assert film.film.views["x_t"][0].mean() == 5 and film.film.views["estimate of x_0"].mean() == -1
    assert moments.film.captions == ("one", "two") and moments.film.views[""].shape[:2] == (2, 3)
    assert grid.columns == 2 and grid.picture.shape == (3, 1, 32, 32)
    choice, number = by_kind[Question]
    assert choice.options == (("this", "No, this."), ("that", "Yes. That.")) and choice.answer == 1
    assert (choice.part, choice.points, choice.kind) == ("1 a", 2, "choice")
    assert (number.answer, number.tolerance, number.why) == (3, 0.1, "There are.")
    # printed one after the other they are what a terminal shows
    printed, straight = screen(), screen()
    for each in shown:
        Session(printed).show_again(each)
    Stepper(lesson, Session(straight, out=tmp_path)).run()
    assert "printed [bold]" in text_of(printed)
    took = re.compile(r"\n *ran in .+ s\n")  # said where it takes a second or more
    assert took.sub("\n", text_of(straight)).endswith(took.sub("\n", text_of(printed)))


def test_cells_know_their_line_in_the_file(lesson: Lesson) -> None:
    lines = LESSON.splitlines()
    for step in lesson.steps:
        for cell in step.code:
            assert lines[cell.line - 1] == cell.source.splitlines()[0]


def test_running_straight_through_shows_prose_code_output_and_last_value(lesson: Lesson) -> None:
    console = screen()
    assert Stepper(lesson, Session(console)).run()
    shown = text_of(console)
    assert "counted 6" in shown
    assert "3   float32   cpu" in shown  # the last expression, as a panel
    assert "def twice(x):" in shown
    assert "3. It is the SECRET sum." in shown  # question with its answer
    assert "✓ b) that.\nright REPLY" in shown


def test_the_code_of_a_question_is_not_shown(lesson: Lesson) -> None:
    source = shown_source(lesson.steps[3].code[0])
    assert "SECRET" not in source and "REPLY" not in source
    assert "total = sum(range(count))" in source and "linear_schedule(10).T" in source


def test_what_is_asserted_behind_a_question_is_not_shown() -> None:
    source = 'assert n\nask_choice("?", [], answer=n)\nprint(n)\nassert n == 7  # SECRET'
    assert shown_source(Cell("code", "", source, 1)) == "assert n\nprint(n)"


def test_what_a_lesson_says_is_shown_as_words_and_not_as_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "# %% [markdown]\n# # Mine\n\n# %%\nfrom ddpm_tutor.classroom.tools import say\n"
        'n = 3\nsay("Few." if n < 5 else\n    "Many.")\n'
    )
    console = screen()
    assert Stepper(read_lesson(path), Session(console)).run()
    assert "n = 3" in text_of(console) and "\nFew.\n" in text_of(console)
    assert "Many." not in text_of(console)


def test_settings_override_parameters_in_their_own_type(lesson: Lesson) -> None:
    console = screen()
    stepper = Stepper(
        lesson, Session(console), settings={"count": "5", "rate": "2", "loud": "true"}
    )
    stepper.run()
    assert stepper.namespace["count"] == 5
    assert stepper.namespace["rate"] == 2.0 and isinstance(stepper.namespace["rate"], float)
    assert stepper.namespace["loud"] is True
    assert "counted 10" in text_of(console)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"nothing": "1"}, "It has: count, rate, name, loud"),
        ({"count": "x"}, "count must be a whole number, like 3"),
        ({"count": "1.5"}, "count must be a whole number"),
        ({"loud": "maybe"}, "loud must be true or false"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(
    lesson: Lesson, settings: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        check_settings(lesson, settings)


def test_errors_name_the_lesson_files_own_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("# %% [markdown]\n# # Wrong\n\n# %%\nx = 1\n\ny = x / 0\n")
    with pytest.raises(LessonError, match=r"wrong.py, line 7: ZeroDivisionError"):
        Stepper(read_lesson(path), Session(screen())).run()


def test_functions_of_a_lesson_have_source(lesson: Lesson) -> None:
    stepper = Stepper(lesson, Session(screen()))
    stepper.run()
    assert inspect.getsource(stepper.namespace["twice"]) == "def twice(x):\n    return 2 * x\n"


def test_the_source_key_finds_the_packages_functions(lesson: Lesson) -> None:
    stepper = Stepper(lesson, Session(screen()))
    stepper.run()
    assert list(used_functions([c.source for c in lesson.steps[3].code], stepper.namespace)) == [
        "linear_schedule"
    ]


def test_a_loop_variable_is_no_second_name_of_a_function() -> None:
    namespace = {"linear_schedule": linear_schedule, "kind": linear_schedule}
    code = "for kind in [linear_schedule]:\n    kind()\n"
    assert list(used_functions([code], namespace)) == ["linear_schedule"]


def test_going_back_shows_the_step_again_without_running_it(lesson: Lesson) -> None:
    console = screen()
    stepper = Stepper(lesson, Session(console), keys=keys_of("\r\r\rb\r\r"))
    assert stepper.run()
    assert stepper.namespace["runs"] == 1
    assert text_of(console).count("counted 6") == 2


def test_r_runs_a_step_again(lesson: Lesson) -> None:
    stepper = Stepper(lesson, Session(screen()), keys=keys_of("\r\rrrq"))
    assert not stepper.run()
    assert stepper.namespace["runs"] == 3


def test_from_runs_earlier_code_silently(lesson: Lesson) -> None:
    console = screen()
    Stepper(lesson, Session(console)).run(start=4)
    assert "counted" not in text_of(console)
    assert "How many?" in text_of(console)


@pytest.mark.parametrize("start", [0, 5])
def test_from_a_step_that_is_not_there(lesson: Lesson, start: int) -> None:
    with pytest.raises(UsageError, match="steps 1 to 4"):
        Stepper(lesson, Session(screen())).run(start=start)


def test_an_error_with_a_learner_present_does_not_end_the_lesson(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("# %% [markdown]\n# # Wrong\n\n# %%\n1 / 0\n\n# %% [markdown]\n# ## Next\n")
    console = screen()
    assert Stepper(read_lesson(path), Session(console), keys=keys_of("\r\r")).run()
    assert "ZeroDivisionError" in text_of(console) and "Next" in text_of(console)


def answering(lesson: Lesson, *answers: str) -> tuple[str, dict[str, bool]]:
    """Steps through the lesson giving these answers to its questions."""
    console, given, scored = screen(), iter(answers), {}

    def on_answer(question: str, right: bool, text: str) -> bool:
        scored[question] = right
        return right

    session = Session(console, ask=lambda prompt: next(given), on_answer=on_answer)
    Stepper(lesson, session, keys=keys_of("\r" * 4)).run()
    return text_of(console), scored


def test_right_answers_count(lesson: Lesson) -> None:
    shown, scored = answering(lesson, "3.05", "b")
    assert scored == {"How many?": True, "Which?": True}
    assert "✓ right REPLY" in shown


def test_wrong_answers_get_their_own_reply_and_the_truth(lesson: Lesson) -> None:
    shown, scored = answering(lesson, "five", "5", "z", "a")
    assert scored == {"How many?": False, "Which?": False}
    assert "Please type a number" in shown and "You were 2 off" in shown
    assert "✗ wrong REPLY" in shown and "It is b) that.\nright REPLY" in shown


@pytest.mark.parametrize(
    ("typed", "said", "right"),
    [
        ("3", "", True),
        ("3,05", "3,05 = 3.05", True),
        ("6/2", "6/2 = 3", True),
        ("300%", "300%, read as 3", True),
        ("1,024", "1,024, read as 1.024", False),
    ],
)
def test_what_was_understood_is_said_where_the_text_does_not(
    lesson: Lesson, typed: str, said: str, right: bool
) -> None:
    shown, scored = answering(lesson, typed, "b")
    assert scored["How many?"] is right
    assert f"You said {said}" in shown if said else "You said 3" not in shown


def test_nonsense_is_asked_again_and_a_thousand_is_one(tmp_path: Path) -> None:
    path = tmp_path / "many.py"
    path.write_text(
        "# %% [markdown]\n# # Many\n\n# %%\n"
        "from ddpm_tutor.classroom.tools import ask_number\n"
        "ask_number('How many?', 1024, tolerance=1, why='It is.')\n"
    )
    shown, scored = answering(read_lesson(path), "nan", "1/0", "[/b]", "1,024")
    assert scored == {"How many?": True} and "You said 1,024, read as 1024" in shown
    assert "a finite number" in shown and "division by 0" in shown and "off" not in shown


def test_skipped_questions_tell_the_answer_and_earn_nothing(lesson: Lesson) -> None:
    shown, scored = answering(lesson, "", "")
    assert scored == {"How many?": False, "Which?": False}
    assert "It is 3. It is the SECRET sum." in shown


def test_a_letter_may_be_typed_as_it_is_printed(lesson: Lesson) -> None:
    assert answering(lesson, "3", "B)")[1]["Which?"]


def test_going_back_to_a_question_shows_what_was_said(lesson: Lesson) -> None:
    console, given = screen(), iter(["4", "a"])
    session = Session(console, ask=lambda prompt: next(given))
    Stepper(lesson, session, keys=keys_of("\r\r\rb\rq")).run()
    shown = text_of(console)
    assert shown.count("You said 4") == shown.count("You said a)") == 1  # once more, from memory


def test_running_a_step_again_runs_the_later_ones_again_too(lesson: Lesson) -> None:
    console = screen()
    # to the third step, back to the second, which runs again, and on
    stepper = Stepper(lesson, Session(console), keys=keys_of("\r\rbr\r\r\r"))
    assert stepper.run()
    assert stepper.namespace["runs"] == 2
    assert text_of(console).count("counted 6") == 2


def test_a_step_that_ran_silently_is_shown_on_going_back_without_running_again(
    lesson: Lesson,
) -> None:
    console = screen()
    stepper = Stepper(lesson, Session(console), keys=keys_of("b\r\r"))
    assert stepper.run(start=4)
    assert stepper.namespace["runs"] == 1
    assert text_of(console).count("counted 6") == 1


def test_lines_printed_beside_a_progress_bar_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "bar.py"
    path.write_text(
        "# %% [markdown]\n# # Bar\n\n# %%\nfrom ddpm_tutor.classroom.tools import track\n"
        "for i in track(range(2), 2, 'Working'):\n    print('row', i)\n\n"
        "# %% [markdown]\n# ## Next\n"
    )
    console = screen(force_terminal=True)
    Stepper(read_lesson(path), Session(console), keys=keys_of("\rbq")).run()
    assert text_of(console).count("row 1") == 2


def test_arrows_space_and_page_keys_step(lesson: Lesson) -> None:
    console, moves = screen(), iter(["right", "page down", "left", "up", "up", " ", "down", "q"])
    at: list[int] = []
    stepper = Stepper(lesson, Session(console), keys=lambda: next(moves), at_step=at.append)
    assert not stepper.run()
    assert at == [1, 2, 3, 2, 1, 2, 3] and "This is the first step." in text_of(console)


STOPPABLE = """\
# %% [markdown]
# # Stoppable

# %%
tries = []

# %% [markdown]
# ## Long

# %%
tries.append(len(tries))
print("try", len(tries))
if tries == [0]:
    raise KeyboardInterrupt
whole = True

# %% [markdown]
# ## End

# %%
print("at the end", whole)
"""


def written_as(path: Path, text: str) -> Lesson:
    path.write_text(text, encoding="utf-8")
    return read_lesson(path)


def test_ctrl_c_stops_the_step_alone(tmp_path: Path) -> None:
    console, lesson = screen(), written_as(tmp_path / "long.py", STOPPABLE)
    assert Stepper(lesson, Session(console), keys=keys_of("\rr\r\r")).run()
    shown = text_of(console)
    assert shown.index("try 1") < shown.index("Stopped.") < shown.index("try 2")
    assert "at the end True" in shown


def test_a_step_that_was_stopped_runs_when_it_is_opened_again(tmp_path: Path) -> None:
    console, lesson, ended = screen(), written_as(tmp_path / "long.py", STOPPABLE), []
    # on without it, which fails; back to it, and on to the end
    stepper = Stepper(lesson, Session(console), keys=keys_of("\r\rb\rq"))
    stepper.at_end = lambda: ended.append(stepper.namespace["tries"][:])
    assert stepper.run()
    shown = text_of(console)
    assert "NameError" in shown and "Step 2 has not run to its end" in shown
    assert ended == [[0, 1]]  # the last step was seen twice, and with all that it rests on once


def test_ctrl_c_with_nobody_there_ends_the_lesson(tmp_path: Path) -> None:
    stepper = Stepper(written_as(tmp_path / "long.py", STOPPABLE), Session(screen()))
    with pytest.raises(KeyboardInterrupt):
        stepper.run()


def test_ctrl_c_while_earlier_steps_run_goes_on_where_it_came(tmp_path: Path) -> None:
    console, lesson, at = screen(), written_as(tmp_path / "long.py", STOPPABLE), []
    stepper = Stepper(lesson, Session(console), keys=keys_of("\r\r"), at_step=at.append)
    assert stepper.run(start=3) and at == [2, 3]
    assert "Stopped in step 2" in text_of(console) and "at the end True" in text_of(console)


def test_a_wait_is_said_before_earlier_steps_run_and_times_are_told(lesson: Lesson) -> None:
    console, took = screen(), {}
    before = {"Parameters": 30.2, "Work": 79.9}
    Stepper(lesson, Session(console), expected=before, took=took.__setitem__).run(start=4)
    assert "steps 1 to 3 first, about 1 min 50 s" in text_of(console)
    assert list(took) == ["Parameters", "Work", "Ask"] and max(took.values()) < 20
    console = screen()
    Stepper(lesson, Session(console), expected={"Work": 12}).run(start=4)
    assert "first, at least 10 s ..." in text_of(console)
    console = screen()
    Stepper(lesson, Session(console)).run(start=4)
    assert "steps 1 to 3 first ..." in text_of(console)


def test_who_has_seen_the_last_step_has_done_the_lesson(lesson: Lesson) -> None:
    ended: list[int] = []
    stepper = Stepper(lesson, Session(screen()), keys=keys_of("\r\r\rbq"))
    stepper.at_end = lambda: ended.append(1)
    assert stepper.run() and ended == [1]


def test_o_reads_the_replies_to_the_other_choices(lesson: Lesson) -> None:
    for answer, read, unread in (("b", "right REPLY", "wrong REPLY"), ("a", "wrong REPLY", "")):
        console, given = screen(), iter(["3", answer])
        session = Session(console, ask=lambda prompt, given=given: next(given))
        Stepper(lesson, session, keys=keys_of("\r\r\roq")).run()
        before, after, _ = text_of(console).split("q quit")[-3:]
        assert read in before and read not in after
        assert ("o other replies" in before) == bool(unread) and unread in after
        assert unread or "There are no other choices here." in after


def test_a_lesson_is_left_from_a_question_as_from_the_prompt(lesson: Lesson) -> None:
    def at(*answers: str, keys: str) -> tuple[list[int], str, bool]:
        console, given, at = screen(), iter(answers), []
        session = Session(console, ask=lambda prompt: next(given))
        stepper = Stepper(lesson, session, keys=keys_of(keys), at_step=at.append)
        seen_all = stepper.run()
        return at, " ".join(text_of(console).split()), seen_all

    # number: back, forward again, help, quit
    steps, shown, seen_all = at("b", "?", "q", keys="\r\r\r\r")
    assert steps == [1, 2, 3, 4, 3, 4] and not seen_all
    assert "Type b to go back" in shown and "SECRET" not in shown
    # choice: b is an answer, "back" is not
    assert at("3", "back", "q", keys="\r\r\r\r")[0] == [1, 2, 3, 4, 3, 4]
    assert at("3", "\x1b[D", "q", keys="\r\r\r\r")[0] == [1, 2, 3, 4, 3, 4]
    steps, shown, _ = at("3", "?", "b", keys="\r\r\rq")
    assert steps == [1, 2, 3, 4] and "b is an answer here" in shown and "✓ right REPLY" in shown


def test_what_is_shown_again_fits_the_window_as_it_is_then(tmp_path: Path) -> None:
    long_line = "total = sum(number * number for number in range(10)) + sum(range(100))"
    lesson = written_as(
        tmp_path / "wide.py",
        "# %% [markdown]\n# # Wide\n\n# %%\nimport torch\n"
        "from ddpm_tutor.classroom.tools import show, show_images\n"
        f"if True:\n    {long_line}\n"
        "x = torch.zeros(5, 1, 32, 32)\n"
        "show_images(x, 'five', [f't = {t}' for t in range(5)])\nx[:] = 1\nshow(x[:1])\n",
    )
    console = screen(100)

    typed = iter("\x0cq")

    def key() -> str:
        console.width = 60
        return next(typed)

    Stepper(lesson, Session(console), keys=key).run()
    wide, narrow = (part.splitlines() for part in text_of(console).split("quit\n")[:2])
    assert "t = 0 t = 1 t = 2 t = 3 t = 4" in [" ".join(line.split()) for line in wide]
    captions = [" ".join(line.split()) for line in narrow if "t = " in line][1:]
    assert captions == ["t = 0 t = 1 t = 2", "t = 3 t = 4"]  # whole, as many as fit
    assert any(long_line in line for line in wide)
    deeper = next(line for line in narrow if "range(100)" in line)
    assert deeper.startswith(" " * 12) and all(len(line) <= 60 for line in narrow)
    # the picture is as it was when it was shown: black, not white
    assert "@" not in "".join(narrow[: narrow.index(next(li for li in narrow if "shape" in li))])


def test_only_the_keys_that_do_something_are_offered_in_one_line(lesson: Lesson) -> None:
    console, given = screen(), iter(["3", "b"])
    session = Session(console, ask=lambda prompt: next(given))
    Stepper(lesson, session, keys=keys_of("\r\r\rq")).run()
    offered = [line.strip() for line in text_of(console).splitlines() if "q quit" in line]
    assert offered == [
        "Enter next  p play  ? help  q quit",
        "Enter next  b back  r again  c change  p play  ? help  q quit",
        "Enter next  b back  r again  p play  s source  ? help  q quit",
        "Enter next  b back  r again  o other replies  p play  s source  ? help  q quit",
    ]


def test_a_step_that_only_imports_has_the_source_of_what_it_imports(tmp_path: Path) -> None:
    text = "# %% [markdown]\n# # Set up\n\n# %%\nfrom ddpm_tutor import linear_schedule, q_step\n"
    console = screen()
    Stepper(written_as(tmp_path / "a.py", text), Session(console), keys=keys_of("s2q")).run()
    assert "def q_step(" in text_of(console)


def test_what_a_part_is_stands_under_the_first_alone(tmp_path: Path) -> None:
    ask = "ask_number('How many?', 1, tolerance=0, why='So.', part='11.6 {}', points=1)\n"
    text = "# %% [markdown]\n# # Parts\n\n# %%\nfrom ddpm_tutor.classroom.tools import ask_number\n"
    console = screen()
    lesson = written_as(tmp_path / "parts.py", text + ask.format("a") + ask.format("b"))
    Stepper(lesson, Session(console)).run()
    assert text_of(console).count("is a part of a university assignment, of 42 points") == 1
    assert "11.6 a is a part" in text_of(console)


def test_paths_and_printed_lines_stay_whole_in_a_file(tmp_path: Path) -> None:
    out = tmp_path / ("very long name " * 8).strip()
    out.mkdir()
    text = (
        "# %% [markdown]\n# # Paths\n\n# %%\nimport torch\n"
        "from ddpm_tutor.classroom.tools import save_grid\n"
        "print('word ' * 40)\n_ = save_grid(torch.zeros(1, 1, 32, 32), 'grid')\n"
    )
    console = screen()
    Stepper(written_as(tmp_path / "paths.py", text), Session(console, out)).run()
    lines = text_of(console).splitlines()
    assert f"Picture saved: {out / 'grid.png'}" in lines
    assert ("word " * 40).rstrip() in [line.rstrip() for line in lines]


@pytest.mark.slow
def test_assertions_and_docstrings_of_lesson_code_count_under_OO(tmp_path: Path) -> None:
    path = tmp_path / "strict.py"
    path.write_text('# %% [markdown]\n# # Strict\n\n# %%\nassert 1 > 2, "no"\n')
    script = (
        "import sys; from pathlib import Path\n"
        "from ddpm_tutor.course.lesson import compile_cell, read_lesson\n"
        "path = Path(sys.argv[1]); cell = read_lesson(path).steps[0].code[0]\n"
        "exec(compile_cell(cell, path)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-OO", "-c", script, str(path)], capture_output=True, text=True
    )
    assert "AssertionError: no" in done.stderr


@pytest.fixture
def bookmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_module, "progress_file", lambda: tmp_path / "progress.json")
    return lambda: Bookmark("02")


def test_the_first_answer_of_a_sitting_counts(bookmark) -> None:
    sitting = bookmark()
    assert not sitting.answered("11.2 a", False, "b) that")
    assert not sitting.answered("11.2 a", True, "b) that")  # the answer had been told
    assert bookmark().answered("11.2 a", True, "b) that")


def test_what_was_earned_stays(bookmark) -> None:
    assert bookmark().answered("11.2 a", True, "b) that")
    assert bookmark().answered("11.2 a", False, "b) that")
    assert bookmark().lesson.answers == {"11.2 a": True}


def test_opening_a_lesson_keeps_the_place_until_the_second_step(bookmark) -> None:
    bookmark().at_step(7)
    bookmark().at_step(1)
    assert bookmark().lesson.step == 7
    bookmark().at_step(2)
    assert bookmark().lesson.step == 2


def lines_of(renderable: object, width: int) -> list[str]:
    console = screen(width)
    console.print(renderable)
    return [line.rstrip() for line in text_of(console).splitlines()]


@pytest.mark.parametrize("width", range(20, 60, 3))
def test_no_line_of_prose_ends_inside_code(width: int) -> None:
    words = "Then look at `x_t = a b c` and type `ddpm-tutor lesson 3` or so.\n\n- So `a b`, too."
    lines = lines_of(Prose(words), width)
    for code in ("x_t = a b c", "ddpm-tutor lesson 3", "a b,"):
        assert any(code in line for line in lines)
    assert HOLD not in "".join(lines) and len(lines) > 3


@pytest.mark.parametrize("width", range(24, 60, 3))
def test_no_line_of_prose_ends_inside_a_small_formula(width: int) -> None:
    lines = lines_of(Sentence("It is noise of size √(1 - ᾱ_500) = 0.96, and α + β is 1."), width)
    for formula in ("√(1 - ᾱ_500) = 0.96,", "α + β"):
        assert any(formula in line for line in lines)


def test_prose_is_never_wider_than_is_easy_to_read() -> None:
    assert max(map(len, lines_of(Sentence("word " * 100), 200))) <= PROSE_WIDTH


def test_long_lines_of_source_are_broken_at_blanks_and_stand_deeper() -> None:
    source = "def f():\n    return first_term(a, b) + second_term(c, d)\n\n"
    assert folded(source, 30) == (
        "def f():\n    return first_term(a, b) +\n            second_term(c, d)"
    )
    assert folded("x" * 50, 30) == "x" * 50


def test_progress_is_kept(bookmark) -> None:
    bookmark().at_step(4)
    bookmark().answered("11.2 b", True, "b) that")
    given = load_progress().lesson("02").given
    kept = LessonProgress(4, False, {"11.2 b": True}, given=given)
    assert load_progress().lesson("02") == kept
    bookmark().finished()
    assert load_progress().lesson("02") == replace(kept, step=1, finished=True)


def test_two_terminals_lose_no_answer(bookmark) -> None:
    one, other = bookmark(), bookmark()
    one.answered("11.2 a", True, "b) that")
    other.answered("11.2 b", True, "b) that")
    one.at_step(3)
    kept = bookmark().lesson
    assert kept.step == 3 and kept.answers == {"11.2 a": True, "11.2 b": True}
    assert [len(kept.given[question]) for question in ("11.2 a", "11.2 b")] == [1, 1]


def test_what_another_terminal_has_earned_meanwhile_stays(bookmark) -> None:
    one, other = bookmark(), bookmark()
    other.answered("11.2 a", True, "b) that")
    one.answered("11.2 a", False, "a) this")
    assert bookmark().lesson.answers == {"11.2 a": True}
    assert [answer.text for answer in bookmark().lesson.given["11.2 a"]] == ["b) that", "a) this"]


def test_every_answer_of_every_sitting_is_kept_as_it_was_given(bookmark) -> None:
    sitting = bookmark()
    sitting.answered("11.2 a", False, "")
    sitting.answered("11.2 a", True, "b) that")  # too late: the answer had been told
    bookmark().answered("11.2 a", True, "9" * 1000)
    begun = datetime.now(UTC)
    skipped, late, right = bookmark().lesson.given["11.2 a"]
    assert (skipped.text, skipped.right, skipped.first) == ("", False, True)
    assert (late.text, late.right, late.first) == ("b) that", True, False)
    assert right.right and right.first and right.text == f"{'9' * MAX_TEXT} ..."
    assert abs(datetime.fromisoformat(right.when) - begun) < timedelta(seconds=10)


def test_what_was_typed_or_chosen_is_what_is_kept(lesson: Lesson, bookmark) -> None:
    for answers in (("3,05", "b"), ("", "(A)")):
        given = iter(answers)
        session = Session(
            screen(), ask=lambda _, given=given: next(given), on_answer=bookmark().answered
        )
        Stepper(lesson, session, keys=keys_of("\r" * 4)).run()
    kept = bookmark().lesson.given
    assert [(a.text, a.right) for a in kept["How many?"]] == [("3,05", True), ("", False)]
    assert [(a.text, a.right) for a in kept["Which?"]] == [("b) that", True), ("a) this", False)]


def test_the_file_of_the_version_before_is_read_without_loss_and_written_as_the_new_one(
    bookmark, tmp_path: Path
) -> None:
    lesson = {"step": 4, "finished": True, "answers": {"11.2 a": True}, "seconds": {"Work": 2.5}}
    exercise = {"hints": 2, "passed": "0123456789abcdef", "given_up": False}
    text = json.dumps({"version": 3, "lessons": {"02": lesson}, "exercises": {"ex1": exercise}})
    (tmp_path / "progress.json").write_text(text)
    bookmark().answered("11.2 b", True, "b")
    saved = json.loads((tmp_path / "progress.json").read_text())
    assert saved["version"] == 4 and saved["lessons"]["02"]["given"]["11.2 b"][0]["text"] == "b"
    earned = lesson["answers"] | {"11.2 b": True}
    assert saved["lessons"]["02"].items() >= (lesson | {"answers": earned}).items()
    more = {"checks": 0, "passed_when": "", "passed_check": 0}
    assert saved["exercises"]["ex1"] == exercise | more


@pytest.mark.parametrize(
    "given", ["[]", "7", '{"q": 7}', '{"q": [{"text": "b"}, 7, null]}',
              '{"q": [{"text": 7, "right": true, "when": "", "first": true}]}'],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_costs_no_points(given: str) -> None:
    lesson = f'{{"step": 4, "answers": {{"11.2 a": true}}, "given": {given}}}'
    text = f'{{"version": 4, "lessons": {{"02": {lesson}}}, "exercises": {{}}}}'
    assert read_progress(text).lesson("02") == LessonProgress(4, False, {"11.2 a": True})


@pytest.mark.slow
def test_many_processes_lose_no_answer(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom ddpm_tutor.learner import progress\n"
        "progress.progress_file = lambda: Path(sys.argv[1])\n"
        "mine = progress.Bookmark('02')\n"
        "for n in range(20): mine.answered(f'{sys.argv[2]} {n}', True, 'b')"
    )
    path = tmp_path / "progress.json"
    command = [sys.executable, "-c", script, str(path)]
    processes = [subprocess.Popen([*command, name]) for name in "abcd"]
    assert [process.wait(60) for process in processes] == [0] * 4
    answers = read_progress(path.read_text()).lesson("02").answers
    assert sorted(answers) == sorted(f"{name} {n}" for name in "abcd" for n in range(20))


def test_times_of_steps_are_kept_with_the_place(bookmark) -> None:
    sitting = bookmark()
    sitting.took("Parameters", 1.234)
    sitting.at_step(3)
    sitting.took("Work", 40)
    assert bookmark().lesson.seconds == {"Parameters": 1.23}
    sitting.finished()
    assert bookmark().lesson == LessonProgress(1, True, {}, {"Parameters": 1.23, "Work": 40})


@pytest.mark.parametrize("seconds", ["[]", "7", '{"Work": "long"}', '{"Work": NaN}'])
def test_progress_without_good_times_is_progress_all_the_same(seconds: str) -> None:
    lesson = '{"step": 4, "finished": false, "answers": {"11.2 a": true}%s}'
    kept = LessonProgress(4, False, {"11.2 a": True})
    for version, more in ((2, ""), (3, f', "seconds": {seconds}')):
        text = f'{{"version": {version}, "lessons": {{"02": {lesson % more}}}, "exercises": {{}}}}'
        assert read_progress(text).lesson("02") == kept


DAMAGED = [
    "", "{", "[]", "null", '{"version": 99, "lessons": {}}', "\x00\xff",
    '{"version": 1, "lessons": []}', '{"version": 1, "lessons": {"02": {"steps": 3}}}',
    '{"version": 1, "lessons": {"02": {"step": "three"}}}',
    '{"version": 1, "lessons": {"02": {"answers": ["11.2 a"]}}}', "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_progress_file_is_kept_aside_and_progress_goes_on(
    bookmark, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):  # the second does not take the place of the first
        (tmp_path / "progress.json").write_text(text, encoding="utf-8")
        assert load_progress().lessons == {}
        bookmark().at_step(5)
        assert bookmark().lesson.step == 5
        kept = tmp_path / f"progress.{number}.old"
        assert kept.read_text(encoding="utf-8") == text
        assert f"The old file is kept: {kept}" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_does_not_stop_a_lesson_and_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(progress_module, "progress_file", lambda: tmp_path / "file" / "p.json")
    place = Bookmark("02")
    place.at_step(5)
    assert place.answered("11.2 a", True, "b) that") and place.lesson.step == 5
    said = capsys.readouterr().err
    assert said.count("Your progress is not kept.") == 1 and str(tmp_path / "file") in said


def test_a_progress_file_that_is_a_link_stays_one(
    bookmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (tmp_path / "progress.json").symlink_to(dotfiles / "ddpm.json")
    bookmark().at_step(3)
    (dotfiles / "ddpm.json").write_text("{")
    bookmark().at_step(5)
    assert str(dotfiles / "ddpm.1.old") in capsys.readouterr().err
    assert (tmp_path / "progress.json").is_symlink() and bookmark().lesson.step == 5
    assert sorted(path.name for path in dotfiles.iterdir()) == ["ddpm.1.old", "ddpm.json"]


def test_a_damaged_file_that_another_terminal_is_writing_is_left_to_it(
    bookmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "LOCK_SECONDS", 0.1)
    (tmp_path / "progress.json").write_text("{")
    with FileLock(tmp_path / ".lock"):
        assert progress_module.set_aside_unreadable() is None
    assert progress_module.set_aside_unreadable() == tmp_path / "progress.1.old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows shows no key before it is read")
def test_hidden_keys_are_dropped_and_keys_show_again_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pty
    import termios

    learner, terminal = pty.openpty()

    def shown() -> bool:
        return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)

    def type_line(line: bytes) -> None:
        os.write(learner, line)
        assert select.select([terminal], [], [], 5)[0]  # it has come

    with open(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(KeyboardInterrupt), showing_keys(False):
            assert not shown()
            type_line(b"too early\n")
            with showing_keys(True):
                assert shown()
                type_line(b"in time\n")
                assert stdin.readline() == "in time\n"
            assert not shown()
            type_line(b"rm -r *\n")
            raise KeyboardInterrupt
        assert shown()
        type_line(b"later\n")
        assert stdin.readline() == "later\n"
    os.close(learner)


def test_lessons_are_found_by_number_and_by_file(lesson: Lesson) -> None:
    numbers = [one.number for one in all_lessons()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert find_lesson("2").title == "The closed form"
    assert find_lesson(str(lesson.path)).title == "A small one"
    with pytest.raises(UsageError, match=r"No lesson 99. Choose from 1, 2, 3, 4, 5"):
        find_lesson("99")


def test_a_file_that_is_no_lesson(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("print(1)\n")
    with pytest.raises(TutorError, match="has no cells"):
        read_lesson(tmp_path / "plain.py")


TRYING = """\
# %% [markdown]
# # Lesson 9 · To change

# %% tags=["parameters"]
seed = 1

# %% [markdown]
# ## Halving

# %% tags=["change"]
share = 0.5  # what is left

# %%
from ddpm_tutor.classroom.tools import ask_choice, show_table, so_far
left = share * (10 + seed)
ask_choice("Is more left than 6?", [("yes", "It IS."), ("no", "It is NOT.")],
           answer=int(left <= 6))
found = so_far("halving", f"share = {share}", left)
show_table("left", ["with", "left"], list(found.items()))

# %% [markdown]
# ## After

# %%
print("after", share)
"""


@pytest.fixture
def trying(tmp_path: Path) -> Lesson:
    path = tmp_path / "09_trying.py"
    path.write_text(TRYING, encoding="utf-8")
    return read_lesson(path)


def run_trying(trying: Lesson, keys: str, typed: list[str]) -> tuple[Stepper, str]:
    console, lines = screen(), iter(typed)
    session = Session(console, ask=lambda prompt: next(lines))
    stepper = Stepper(trying, session, keys=keys_of(keys))
    stepper.run()
    return stepper, text_of(console)


def test_a_learner_changes_a_value_predicts_and_sees_both_beside_each_other(
    trying: Lesson,
) -> None:
    typed = ["b", "share = 0.8", "b", "0.9", "", "set seed=3"]
    stepper, shown = run_trying(trying, "\rccb" + "c" + "\r\r\rq", [*typed, "a"])
    assert shown.count("Is more left than 6?") == 4 and shown.count("set by you: share") >= 2
    assert "✗ It is NOT." in shown and "✓ It is NOT." in shown  # the answer is computed anew
    table = shown[: shown.index("set by you: seed")].rpartition("with")[2]
    rows = [
        (float(share), float(left)) for share, left in re.findall(r"= (\S+) │\s+(\S+) │", table)
    ]
    assert rows == [(0.5, 5.5), (0.8, 8.8), (0.9, 9.9)]
    assert stepper.namespace["share"] == 0.9 and stepper.namespace["seed"] == 3
    assert "after 0.9" in shown
    assert list(stepper.session.tried["halving"]) == ["share = 0.5", "share = 0.8", "share = 0.9"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("share = much", "share must be a number, like 0.5"),
        ("size = 3", "This step has no parameter 'size'. It has: share"),
        ("", "share = 0.5"),
    ],
)
def test_a_change_that_cannot_be_made_leaves_the_step_as_it_was(
    trying: Lesson, typed: str, says: str
) -> None:
    stepper, shown = run_trying(trying, "\rcq", ["b", typed])
    assert says in " ".join(shown.split())
    assert stepper.namespace["share"] == 0.5 and shown.count("Is more left") == 1


def test_what_can_be_changed_is_named_as_the_step_has_it_not_as_a_later_one_left_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "09_trying.py"
    path.write_text(TRYING.replace('print("after", share)', 'share = "gone"'), encoding="utf-8")
    stepper, shown = run_trying(read_lesson(path), "\r\rbcq", ["b", ""])
    assert stepper.namespace["share"] == "gone" and "'gone'" not in shown
    assert "share = 0.5" in shown.splitlines()


def test_a_step_without_a_value_to_change_says_so_and_offers_no_key(trying: Lesson) -> None:
    _, shown = run_trying(trying, "\r\rcq", ["b"])
    assert "nothing to change" in shown
    hints = [line for line in shown.splitlines() if "Enter" in line and "next" in line]
    assert ["c change" in line for line in hints] == [True, True, False, False]


def test_the_first_value_and_the_last_ones_stand_together() -> None:
    with using(Session(screen())):
        for value in (1, 2, 3, 4, 5, 2, 1):
            kept = so_far("step", f"n = {value}", value)
    assert list(kept) == ["n = 1", "n = 4", "n = 5", "n = 2"]
