"""Notebooks: what stands in them, what does not, and what their cells show in a real kernel."""

import ast
import json
import re
import sys
import traceback
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from published import check_private
from test_lessons import nobody  # noqa: F401  (a fixture)
from typer.testing import CliRunner

from ddpm_tutor.classroom import notebook as cells
from ddpm_tutor.classroom import session as sessions
from ddpm_tutor.classroom.questions import ask_choice
from ddpm_tutor.classroom.session import Session
from ddpm_tutor.cli.app import app
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import Lesson, all_lessons, hidden_pieces, pieces, shown_source
from ddpm_tutor.course.notebook import (
    changed,
    markdown,
    notebook_of,
    typeset,
    version_of,
    without_keys,
)
from ddpm_tutor.course.questions import constant, keyword, questions
from ddpm_tutor.errors import TutorError
from ddpm_tutor.learner.progress import load_progress

SMALL = """\
# %% [markdown]
# # Lesson 9 · A small one
#
# **Goal:** a goal.

# %% tags=["parameters"]
seed = 0  # another
where = "auto"

# %% [markdown]
# ## Two steps
#
# A formula:
#
#     x_t = √ᾱ_t x_0          (4)
#
# Press `s` to read it. With `--set seed=3` it is `seed` 3, and `where` is `--set where=here`.

# %%
import torch

from ddpm_tutor.classroom.tools import ask_choice, ask_number, save_film, say, show
print("before")
x_0 = torch.linspace(-1, 1, 1024).view(1, 1, 32, 32)
ask_number("How many?", seed + 41.5, tolerance=0.1, why="As many as there are.")
say("That it was.")
assert seed == 0
show(x_0, "x_0")

# %%
ask_choice("Which?", [("this", "No, not this."), ("that", "Yes. Just that.")], answer=1)
"""


MORE = """
# %%
from ddpm_tutor.classroom.tools import figure, save_moments, show_curves, show_runs, show_table
from ddpm_tutor.pictures.films import Frame
show_runs({"up": [Frame(0, x_0, x_0)], "down": [Frame(0, -x_0, -x_0)]})
show_table("A table", ["t", "x_t"], [(1, 0.5)])
show_curves("Curves", {"one": [(0, 1), (1, 2)]})
save_moments([x_0, -x_0], ["one", "two"], "film")
with figure() as (picture, (axis,)):
    axis.plot([0, 1])
show(picture, "a figure")
from ddpm_tutor import load_digits
print(load_digits().source)
x_0
"""


@pytest.fixture
def small(tmp_path: Path) -> Lesson:
    from ddpm_tutor.course.lesson import read_lesson

    path = tmp_path / "09_small.py"
    path.write_text(SMALL, encoding="utf-8")
    return read_lesson(path)


def outputs_after(notebook: dict[str, Any], name: str) -> str:
    """What the cells below this one have put out, as HTML."""
    cells = notebook["cells"]
    first = next(n for n, cell in enumerate(cells) if cell["id"] == name) + 1
    outputs = [out for cell in cells[first:-1] for out in cell.get("outputs", [])]
    return "".join("".join(out["data"]["text/html"]) for out in outputs)


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def written(lesson: Lesson) -> dict[str, Any]:
    return notebook_of(lesson, str(lesson.number), {})


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.path.stem)
def test_a_notebook_is_valid_and_holds_all_but_the_answers(lesson: Lesson) -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = written(lesson)
    nbformat.validate(nbformat.from_dict(notebook))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    text = "\n".join(source(cell) for cell in notebook["cells"])
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # the answers: replies, reasons, what is said afterwards
    for question in questions(lesson):
        assert question.text not in text
        for words in secrets(question.call):
            assert words not in text, words
    assert sum(bool(secrets(q.call)) for q in questions(lesson)) >= len(questions(lesson)) - 1
    assert "say(" not in text and not re.search(r"^ask_", text, re.MULTILINE)
    # every step and every line of shown code is there, in order
    assert sum(cell["cell_type"] == "markdown" for cell in notebook["cells"]) == len(lesson.steps)
    lines = [line for cell in code for line in source(cell).splitlines()]
    shown = [line for step in lesson.steps for cell in step.code
             for line in shown_source(cell).splitlines() if line.strip()]  # fmt: skip
    rest = iter(lines)
    assert all(line in rest for line in shown)
    asked = re.findall(r"^(?:ask|tell)\((\d+)\)$", text, re.MULTILINE)
    assert asked == [str(n) for n in range(1, len(hidden_pieces(lesson)) + 1)]
    tagged = [cell for cell in code if cell["metadata"].get("tags") == ["parameters"]]
    assert len(tagged) == 1 and "seed = " in source(tagged[0])
    # no key of the terminal
    assert not re.search(r"[Pp]ress `|the key `|--set \w+=", text)


def secrets(call: ast.Call) -> list[str]:
    """What a question's call holds that gives its answer away: the replies, or the reason."""
    lists = [node for node in ast.walk(call) if isinstance(node, ast.List)]
    replies = [pair.elts[1] for node in lists for pair in node.elts if isinstance(pair, ast.Tuple)]
    given = [*replies, *filter(None, [keyword(call, "why")])]
    nodes = [part for reply in given for part in ast.walk(reply) if isinstance(part, ast.expr)]
    return [text for node in nodes if isinstance(text := constant(node), str) and len(text) > 12]


def test_a_cell_is_cut_at_its_questions(small: Lesson) -> None:
    (_, parameters), (_, cell) = ((s, s.code[0]) for s in small.steps)
    assert [piece.kind for piece in pieces(cell)] == ["code", "hidden", "code"]
    assert [piece.source.split("(")[0] for piece in pieces(cell)[1:]] == ["ask_number", "show"]
    for piece in pieces(cell):  # an error names the line of the file
        line = small.path.read_text().splitlines()[piece.line - 1]
        assert line == piece.source.splitlines()[0]
    assert changed(parameters, {"seed": 7, "where": "hé"}) == "seed = 7  # another\nwhere = 'hé'"


def test_prose_is_markdown_with_typeset_formulas_and_without_keys(small: Lesson) -> None:
    prose = markdown(small.steps[1])
    assert "$$\nx_{t} = \\sqrt{\\bar{\\alpha}_{t}} x_{0} \\qquad (4)\n$$\n\nWith" in prose
    assert 'With `seed = 3` it is `seed` 3, and `where` is `where = "here"`.' in prose
    assert typeset("2σ_t², conv2_x") == r"2$\sigma_{t}^{2}$, conv2_x"
    assert typeset("x_1000, ᾱ_500 and exact_eps, `x_0_hat`") == (
        r"$x_{1000}$, $\bar{\alpha}_{500}$ and exact_eps, `x_0_hat`"
    )
    assert typeset("- From -1 to t - 1.\n- `--set a=-1`, --set, x-axis") == (
        "- From −1 to t − 1.\n- `--set a=-1`, --set, x-axis"
    )
    assert without_keys("One. (Press `s` to read it.) Two.") == "One. Two."
    told = without_keys("All. From there, the key `s` shows it. More.", "So. ")
    assert told == "All. So. More."
    tried = "How? Then press `c` to change it. Try `a = 0.5`, and say first what comes."
    assert without_keys(tried) == "How? Try `a = 0.5`, and say first what comes."
    assert without_keys(tried, change="Change it. ") == (
        "How? Change it. Try `a = 0.5`, and say first what comes."
    )
    cell = Cell("code", 'tags=["change"]', "a = 1", 1)
    change = replace(small.steps[1], prose="Other values?", code=(cell,))
    assert markdown(change) == (
        "Other values?\n\nTo try other values, change the next cell, and run the step again."
    )
    assert typeset("Code:\n\n    def hook(x):\n        return x\n\n`x_0`") == (
        "Code:\n\n```text\ndef hook(x):\n    return x\n```\n\n$x_{0}$"
    )


def test_the_command_writes_one_notebook_or_all_and_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DDPM_TUTOR_DATA", str(tmp_path))
    done = CliRunner().invoke(app, ["notebook", "2", "--seed", "7", "--set", "digit=3"])
    assert done.exit_code == 0, done.output
    path = tmp_path / "lesson_2.ipynb"
    text = path.read_text(encoding="utf-8")
    assert re.search(r'"digit = 3 ', text) and "seed = 7 " in text and "Lesson 2 · " in text
    assert "data=" not in text.split("begin(")[1][:80]
    assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"
    path.write_text("mine")
    again = CliRunner().invoke(app, ["notebook", "2"])
    assert again.exit_code == 1 and "is there already, and stays as it is" in again.output
    every = CliRunner().invoke(app, ["notebook", "--all", "--out", "."])
    assert every.exit_code == 1 and "lesson_2.ipynb is there already" in every.output
    names = {f"lesson_{lesson.number}.ipynb" for lesson in all_lessons()}
    assert {p.name for p in tmp_path.glob("*.ipynb")} == names
    assert path.read_text() == "mine"
    words = ["notebook", "2", "--out", str(tmp_path / "other"), "--data", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert f"data='{tmp_path}')" in (tmp_path / "other.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Say which lesson, or --all"),
        (["2", "--all"], "Say which lesson, or --all"),
        (["--all", "--set", "digit=3"], "leave out --all"),
        (["2", "--set", "nothing=3"], "has no parameter 'nothing'"),
        (["2", "--out", "lesson.html"], "must end in .ipynb"),
        (["99"], "No lesson 99"),
    ],
)
def test_wrong_usage_is_said(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["notebook", *words])
    assert done.exit_code == 2 and says in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_client_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["notebook", "2", "--run"])
    assert done.exit_code == 1 and "pip install nbclient ipykernel" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def sitting(
    small: Lesson,
    nobody: dict[str, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """The notebook of the small lesson, open, outside of any kernel."""
    session = Session()
    monkeypatch.setattr(sessions, "_current", None)
    monkeypatch.setattr(cells, "_opened", None)
    cells.begin(str(small.path), version_of(small))
    session = sessions.current()
    session.ask = lambda prompt: "41,5"
    return session


def test_an_answer_in_a_cell_counts_in_the_progress(
    sitting: Session, small: Lesson, capsys: pytest.CaptureFixture[str]
) -> None:
    variables: dict[str, Any] = {"ask": cells.ask}
    with pytest.raises(TutorError, match="Run the cells above first: 'ask_number'"):
        exec("ask(1)", variables)
    for piece in pieces(small.steps[1].code[0])[:1] + pieces(small.steps[0].code[0]):
        exec(piece.source, variables)
    exec("ask(1)", variables)
    shown = capsys.readouterr().out
    assert "✓ It is 41.5. As many as there are." in shown and "That it was." in shown
    kept = load_progress().lesson(small.key)
    assert kept.answers["How many?"] and kept.step == 2
    cells.finish()


def test_answers_in_a_plain_file_that_is_open_as_a_notebook_count_as_well(
    monkeypatch: pytest.MonkeyPatch,
    nobody: dict[str, str],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """jupytext hands the file to a kernel, which is not told where it came from."""
    from ddpm_tutor.classroom import kernel

    answers = kernel.AnswersOfAFile()
    lesson = all_lessons()[1]
    asked = next(each for each in questions(lesson) if each.part)
    monkeypatch.setattr(kernel, "kernel", lambda: SimpleNamespace(_allow_stdin=True))
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setattr("builtins.input", lambda prompt: "b")
    monkeypatch.setattr(kernel, "put", lambda html, text: None)
    session = sessions.new_session()
    assert isinstance(session, kernel.NotebookSession)
    with sessions.using(session):
        options = [("one", "No, not one."), ("two", "Yes.")]
        ask_choice("A question of nobody?", options, answer=1)
        assert load_progress().lessons == {}
        ask_choice("Which?", options, answer=1, part=asked.part, points=asked.points)
        ask_choice("One more of nobody?", options, answer=1)
    assert load_progress().lesson(lesson.key).answers == {asked.part: True}
    assert answers.take("A question of nobody?", True, "b") is True


@pytest.mark.parametrize("error", [TutorError("no"), KeyboardInterrupt()])
def test_a_traceback_does_not_show_the_lines_of_a_question(
    sitting: Session, small: Lesson, error: BaseException
) -> None:
    """The front ends print the lines around each of its frames, and there is the answer."""

    def stop(prompt: str) -> str:
        raise error

    sitting.ask = stop
    variables: dict[str, Any] = {"ask": cells.ask, "ask_choice": ask_choice}
    with pytest.raises(type(error)) as stopped:
        exec("ask(2)", variables)
    seen = {frame.filename for frame in traceback.extract_tb(stopped.value.__traceback__)}
    assert str(small.path) not in seen and stopped.value.__suppress_context__


def test_a_notebook_of_another_version_is_refused(small: Lesson) -> None:
    with pytest.raises(TutorError, match="written from another version"):
        cells.begin(str(small.path), "nonsense")


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A notebook's session, in whose cells somebody types; what its cells have shown so far."""
    from ddpm_tutor.classroom import kernel

    cells_show: list[str] = []
    monkeypatch.setattr(kernel, "kernel", lambda: SimpleNamespace(_allow_stdin=True))
    monkeypatch.setattr(kernel, "put", lambda html, text: cells_show.append(html + text))
    monkeypatch.setattr(sessions, "_current", kernel.NotebookSession(tmp_path))
    return cells_show


def test_a_question_shows_its_replies_after_the_answer_alone(
    typing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def answered(prompt: str) -> str:
        seen.append("".join(typing))
        return ["q", "a", "a"][len(seen) - 1]

    monkeypatch.setattr("builtins.input", answered)
    ask_choice("Which x_0?", [("this", "Not this."), ("that", "Yes. It was.")], answer=1)
    assert "Which <i>x</i><sub>0</sub>?" in seen[0]
    assert "a) this" in seen[0] and "b) that" in seen[0]
    assert "Not this." not in seen[1] and "It was." not in seen[1]
    assert "Please type a or b" in seen[1]  # q leads nowhere in a notebook
    shown = "".join(typing).removeprefix(seen[1])
    assert "✗" in shown and "Not this." in shown and "It is b) that" in shown
    ask_choice("Once more?", [("this", "Never."), ("that", "Yes. It was.")], answer=0)
    assert "<details>" in typing[-1] and "Yes. It was." in typing[-1] and "Never" not in typing[-1]


def test_a_loop_shows_a_bar_in_its_cell(typing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_tutor.classroom import kernel

    drawn: list[str] = []
    handle = SimpleNamespace(update=lambda bundle, raw: drawn.append(bundle["text/html"]))

    def put(html: str, text: str) -> Any:
        drawn.append(html)
        return handle

    monkeypatch.setattr(kernel, "put", put)
    monkeypatch.setattr(kernel, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(kernel, "SECONDS_A_FRAME", 0.0)
    for item in sessions.track(range(3), 3, "Counting"):
        sessions.note(f"loss {item}")
    assert len(drawn) == 4
    assert 'value="2" max="3"' in drawn[1] and "2 of 3" in drawn[1] and "loss 1" in drawn[1]
    assert "Counting: 3 of 3" in drawn[3] and "<progress" not in drawn[3]


@pytest.mark.slow
def test_a_notebook_runs_in_a_kernel_and_shows_pictures_and_tables_but_no_answer(
    small: Lesson,
    tmp_path: Path,
    nobody: dict[str, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for needed in ("nbclient", "ipykernel"):
        if find_spec(needed) is None:
            pytest.skip(f"no {needed} here")
    monkeypatch.chdir(tmp_path)
    small.path.write_text(SMALL + MORE, encoding="utf-8")
    done = CliRunner().invoke(app, ["notebook", small.path.name, "--run", "--trust"])
    assert done.exit_code == 0, done.output
    notebook = json.loads((tmp_path / "09_small.ipynb").read_text(encoding="utf-8"))
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.from_dict(notebook))
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    assert not [out for out in outputs if out["output_type"] == "error"]
    shown = "".join("".join(o["data"].get("text/html", "")) for o in outputs if "data" in o)
    # a digit, a figure, a film, a table, curves; a tensor as the value of a cell
    assert shown.count("data:image/png;base64,") == 3
    assert shown.count("data:image/gif;base64,") == 2 and "<canvas" not in shown  # it has no script
    assert "<table aria-label" in shown and '<svg class="plot"' in shown
    assert (tmp_path / "outputs" / "film.gif").stat().st_size > 100
    assert "How many?" in shown and "Which?" in shown and "a) this" in shown
    assert shown.count("Run this cell where you can type") == 2
    behind = outputs_after(notebook, "ask-2")
    assert behind.count("<details><summary>What came out") == 1
    assert "A table" in behind  # and all else in that cell
    text = json.dumps(notebook)
    check_private(text, tmp_path)
    for secret in ("As many as there are", "That it was", "Not this", "Just that", "41.5"):
        assert secret not in text
    assert load_progress().lessons == {}


def test_a_notebook_names_places_as_they_are_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddpm_tutor.cli.notebook import from_home, seen_from

    monkeypatch.setenv("HOME", str(tmp_path / "anna"))
    assert from_home(tmp_path / "anna" / "mnist") == Path("~/mnist")
    assert from_home(tmp_path / "ben") == (tmp_path / "ben").resolve()
    lesson = tmp_path / "course" / "lessons" / "01_mine.py"
    assert seen_from(tmp_path / "course", lesson) == str(Path("lessons/01_mine.py"))
