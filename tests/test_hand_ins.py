"""What a student hands in, and what a teacher makes of a hundred of them."""

import base64
import csv
import dataclasses
import io
import json
import os
import random
import signal
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import imageio.v3 as iio
import pytest
import school_class
from markdown_it import MarkdownIt
from PIL import Image
from school_class import ASKED, hand_in, write, write_class
from test_pages import browser  # noqa: F401  (a fixture)
from typer.testing import CliRunner

from ddpm_tutor import __version__
from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.evaluate import plain
from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.evaluation.scorecard import Card, Scores
from ddpm_tutor.evaluation.scores import Share
from ddpm_tutor.files import fingerprint_of
from ddpm_tutor.grading.strangers import Checker
from ddpm_tutor.hand_ins.blocks import page_of
from ddpm_tutor.hand_ins.collecting import as_told, assignment, offered
from ddpm_tutor.hand_ins.grade_table import safe
from ddpm_tutor.hand_ins.grading import Grade, Grader
from ddpm_tutor.hand_ins.hand_in import Asked, HandIn, NoHandIn, Picture, read_json
from ddpm_tutor.hand_ins.html import to_html
from ddpm_tutor.hand_ins.markdown import to_markdown, to_notebook
from ddpm_tutor.hand_ins.reading import read_hand_in
from ddpm_tutor.learner.progress import Answer, Bookmark, exercise_passed, progress_file
from ddpm_tutor.science.validation_loss import Estimate
from ddpm_tutor.storage.training_run import EpochReport, RunSettings

FORMS = (".html", ".ipynb", ".md", ".json")
DAY = "2026-11-20T10:00:00Z"
# what ends an element, a comment, a cell of a table, a fence, a formula of a spreadsheet
EVIL = (
    "</script><script>alert(1)</script>", "--> <img src=x onerror=alert(1)>",
    "<b>B</b> | *x* | `y`",
    "[a](javascript:alert(1)) ![i](http://x/y)", "```\n# heading\n~~~", "=1+1", "\x1b[31mred\u202e",
    "<!-- ddpm-tutor-hand-in\n{}\n-->", '" onmouseover="alert(1)', "&lt;i&gt;", "\ud800", "$x^2$",
)  # fmt: skip
TWO = [find_exercise("1"), find_exercise("2")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a progress of its own."""
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("COLUMNS", "150")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def tutor(*words: str, code: int = 0) -> str:
    """Runs a command in this process and checks its exit code; what it printed."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker() as checker:
        yield checker


@pytest.fixture
def grader(checker: Checker) -> Iterator[Grader]:
    """One that shares the process of the other tests."""
    grader = Grader(1, limit=60)
    grader.free.get()
    grader.free.put(checker)
    yield grader
    grader.close()


def evil_hand_in() -> HandIn:
    """One whose every text is made to be taken for something else."""
    texts = iter(EVIL * 20)
    made = hand_in(1, "solved", TWO)
    questions = [
        dataclasses.replace(q, text=next(texts), answers=(Answer(next(texts), True, DAY, True),))
        for q in made.questions
    ]
    exercises = [
        dataclasses.replace(w, title=text, says=text, code=f"{w.code}\n# {text}\n'''{text}'''\n")
        for w, text in zip(made.exercises, EVIL[:2], strict=True)
    ]
    return dataclasses.replace(
        made,
        name=EVIL[0],
        group=EVIL[2],
        made_with={EVIL[1]: EVIL[3]},
        questions=questions,
        exercises=exercises,
        pictures=[Picture(EVIL[8], EVIL[1], "iVBORw0KGgo=")],
        notes=list(EVIL),
    )


def without_surrogates(made: HandIn) -> HandIn:
    """As `report` makes it: its texts are cleaned first."""
    return read_json(made.to_json())


# its forms


@pytest.mark.parametrize("ending", FORMS)
def test_each_form_carries_the_whole_hand_in(tmp_path: Path, ending: str) -> None:
    made = without_surrogates(evil_hand_in())
    read = read_hand_in(write(tmp_path / f"a{ending}", made))
    assert read.points == read.stated == 42
    assert dataclasses.replace(read, stated=None) == dataclasses.replace(made, stated=None)
    assert read.exercises[0].code.endswith(f"# {EVIL[0]}\n'''{EVIL[0]}'''\n")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_page_has_no_serious_fault_for_screen_reader_or_keyboard(
    browser: Any,  # noqa: F811
    tmp_path: Path,
    scheme: Literal["light", "dark"],
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    png = base64.b64encode(picture.getvalue()).decode()
    made = dataclasses.replace(
        hand_in(1, "solved", TWO), pictures=[Picture("Drawn.", "Ten digits.", png)], notes=["None."]
    )
    path = write(tmp_path / "a.html", made)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})
    tab, said = context.new_page(), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(path.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    found = axe.Axe().run(tab).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(f["id"], [n["html"][:120] for n in f["nodes"]]) for f in serious] == []
    assert [line for line in said if not line.startswith(("data:", path.as_uri()))] == []
    context.close()


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\u00a0", " ")  # blanks at which no line ends


def test_no_text_of_a_student_is_markup_in_the_page() -> None:
    made = without_surrogates(evil_hand_in())
    pictures = [Picture(EVIL[8], EVIL[1], "iVBORw0KGgo=")]
    made = dataclasses.replace(made, pictures=pictures, notes=[t for t in EVIL if t.isprintable()])
    page = Elements(to_html(page_of(made), made.to_json(pictures=False)))
    plain = Elements(to_html(page_of(hand_in(1, "solved", TWO)), "{}"))
    assert set(page.tags) <= set(plain.tags) | {"figure", "img", "figcaption", "sub"}
    assert page.tags.count("script") == 1 and page.tags.count("img") == 1
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text and "onerror=alert(1)" in page.text


def test_no_text_of_a_student_is_markup_in_markdown_and_in_a_notebook() -> None:
    made = without_surrogates(evil_hand_in())
    data = made.to_json(pictures=False)
    cells = json.loads(to_notebook(page_of(made), data))["cells"]
    words = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    for text in (to_markdown(page_of(made), data), "\n\n".join(words)):
        shown = Elements(MarkdownIt("commonmark").enable("table").render(text))
        safe_ones = {"h1", "h2", "h3", "p", "strong", "em", "ul", "li", "pre", "code", "table"}
        assert set(shown.tags) <= safe_ones | {"thead", "tbody", "tr", "th", "td", "br", "img"}
        assert "img" not in shown.tags and "<script>alert(1)</script>" in shown.text
    table = next(cell for cell in words if cell.startswith("| part"))
    assert len(table.splitlines()) == len(made.questions) + 2


def test_the_notebook_is_one() -> None:
    nbformat = pytest.importorskip("nbformat")
    made = hand_in(1, "solved", TWO)
    notebook = nbformat.reads(to_notebook(page_of(made), made.to_json()), as_version=4)
    nbformat.validate(notebook)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert code == [written.code.rstrip("\n") for written in made.exercises]


# its points


def test_the_assignment_has_42_points() -> None:
    assert sum(asked.points for asked in assignment()) == 42
    assert len({asked.part for asked in assignment()}) == len(assignment()) == 36


@pytest.mark.parametrize(
    ("answers", "right_at"),
    [
        ([], None),
        ([(True, True)], 1),
        ([(False, True), (True, False)], None),  # the answer had been told
        ([(False, True), (True, False), (True, True)], 2),
    ],
)
def test_the_first_answer_of_a_sitting_counts(
    answers: list[tuple[bool, bool]], right_at: int | None
) -> None:
    given = tuple(Answer("b", right, DAY, first) for right, first in answers)
    asked = Asked("11.2 a", "How?", 1, 2, given, exercises=("ex1_one_step", "ex2_closed_form"))
    assert asked.right_at == right_at and asked.earned([]) is (right_at is not None)
    assert asked.earned(["ex1_one_step", "ex2_closed_form"])
    assert asked.earned(["ex1_one_step"]) is (right_at is not None)


def test_what_is_handed_in_shows_answers_attempts_and_code(folder: Path) -> None:
    sitting = Bookmark("02_closed_form")
    sitting.answered("11.2 b, the images", False, "a) <i>yes</i>")
    sitting.answered("11.2 b, the images", True, "b) no, another ε")
    Bookmark("02_closed_form").answered("11.2 b, the images", True, "b) no, another ε")
    sitting.answered("11.2 c, d", False, "")  # skipped, so not answered
    (folder / "exercises").mkdir()
    for exercise in TWO:
        path = folder / exercise.file
        path.write_text(exercise.solved())
        exercise_passed(exercise, exercise.solved())
    three = find_exercise("3")
    (folder / three.file).write_text(three.starter())
    shown = tutor("report", "--name", "Anna B.", "--group", "3", "--no-draw")
    assert "Points: 2 of 42. 1 of 36 parts answered." in shown
    assert "2 of 3 pass" in shown and "ex3_noisy_batch.py: There is still a gap" in shown
    page = Elements((folder / "hand_in_Anna_B.html").read_text(encoding="utf-8")).text
    for words in (
        "Anna B., group 3", "a) <i>yes</i> attempt 1, ", "ε after the answer was told, ",
        "ε attempt 2, ", "✗ (skipped) attempt 1", "by exercises 1 and 2, below",
        "1 check; passed at check 1", "anybody can",
    ):  # fmt: skip
        assert words in page, words
    made = read_hand_in(folder / "hand_in_Anna_B.html")
    assert made.stated == 2 and made.exercises[1].code == TWO[1].solved()


def test_a_report_says_what_of_ones_points_a_teacher_cannot_see(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPM_TUTOR_COURSE", "somewhere/my-course")
    for exercise in TWO:
        exercise_passed(exercise, exercise.solved())  # and the files are elsewhere
    shown = tutor("report", "--no-draw", "--format", "md")
    assert "Points: 0 of 42" in shown and "You have earned 11.2 a earlier" in shown
    assert "points of your course my-course are not in it" in shown
    assert "No name is in it" in shown and (folder / "hand_in.md").exists()


def test_pictures_are_drawn_with_ones_own_code(folder: Path) -> None:
    (folder / "exercises").mkdir()
    for exercise in (find_exercise("5"), find_exercise("8")):
        (folder / exercise.file).write_text(exercise.solved())
    shown = tutor("report", "--steps", "2", "--out", "a.html")
    assert "Yours: predict_x_0, p_step" in shown
    html = (folder / "a.html").read_text(encoding="utf-8")
    assert "Own code: p_step, predict_x_0; the rest is the package" in Elements(html).text
    png = base64.b64decode(html.partition("data:image/png;base64,")[2].partition('"')[0])
    picture = iio.imread(png)
    assert picture.shape[0] == 3 * 68 - 4 and picture.std() > 20  # t = 1000, 500 and 0


def test_a_training_and_the_scores_of_its_very_weights_are_shown(folder: Path) -> None:
    run, scores = folder / "runs" / "mnist", folder / "evaluation" / "scores.json"
    for place in (run, scores.parent):
        place.mkdir(parents=True)
    losses = [(0.05, 0.04), (0.03, 0.025)]
    reports = [
        EpochReport(n, 10 * n, 100, train, Estimate(held_out, 0.001), None, 60, 100, "a <b> CPU")
        for n, (train, held_out) in enumerate(losses, 1)
    ]
    config = json.loads(RunSettings(start_from="/home/ada/shipped").to_json())
    (run / "config.json").write_text(json.dumps({**config, "digits": "2,000 offline digits"}))
    (run / "log.jsonl").write_text("".join(f"{report.to_json()}\n" for report in reports))
    (run / "weights.safetensors").write_bytes(b"weights")
    scores_of = Scores(100, Share(97, 100), [], [], Estimate(3.21, 0.1), Share(9, 10), Share(8, 9))
    card, real = Card(scores_of, None, Estimate(0.021, 0.001)), Card(scores_of, None)
    cards = {"yours": plain(card), "real digits": plain(real)}
    saved = {"weights": fingerprint_of(run / "weights.safetensors"), "cards": cards, "n": 100}
    saved["steps"] = 50
    scores.write_text(json.dumps(saved))
    tutor("report", "--no-draw", "--out", "a.html")
    html = (folder / "a.html").read_text(encoding="utf-8")
    page = Elements(html)
    for words in ("a <b> CPU", "0.0300", "0.0250", "Fréchet distance3.21 ± 0.10", "after epoch 2"):
        assert words in page.text, words
    # as `evaluate` shows them: shares in percent, with their intervals
    for name, share in ("read as asked, %", Share(97, 100)), ("coverage, %", Share(9, 10)):
        assert f"{name}{share}{share}" in page.text
    assert "97.0 (91.5–99.0)" in page.text and "validation loss0.0210 ± 0.0010–" in page.text
    assert "digits 100, steps 50" in page.text and "nearest" not in page.text
    # what a teacher has to know of a training: its digits, and what it began with
    assert "first weightsshipped" in page.text and "digits2,000 offline digits" in page.text
    assert "/home/ada" not in html and "with labelsyes" in page.text
    for card in 'data-name="yours"', 'data-name="real digits"':  # on a telephone
        assert card in html
    assert page.tags.count("img") == 1
    (run / "weights.safetensors").write_bytes(b"others")
    tutor("report", "--no-draw", "--out", "a.html")
    assert "those of other weights" in (folder / "a.html").read_text(encoding="utf-8")
    saved |= {"weights": fingerprint_of(run / "weights.safetensors"), "cards": {}}
    scores.write_text(json.dumps(saved))
    tutor("report", "--no-draw", "--out", "a.html")
    assert "There are no scores in" in (folder / "a.html").read_text(encoding="utf-8")
    (run / "log.jsonl").write_text("{")
    assert "is its log damaged?" in tutor("report", "--no-draw", code=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "a.pdf"], "must end in .html, .ipynb, .md or .json"),
        (["--out", "a.md", "--format", "json"], "a name for md, not for json"),
        (["--run-dir", "none"], "There is no training in none"),
    ],
)
def test_a_report_that_cannot_be(folder: Path, words: list[str], says: str) -> None:
    assert says in tutor("report", *words, code=2) and not list(folder.iterdir())


# a stranger's code

GUARDED = [
    ("import os\nos.fork()", "start another program"),
    ("import subprocess, sys\nsubprocess.run([sys.executable])", "start another program"),
    ("import os\nos.kill(os.getppid(), 9)", "end a process"),
    ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "use the network"),
    ("open('/tmp/ddpm-tutor-is-not-there', 'w')", "change files"),
    ("import os\nos.remove('ex2_closed_form.py')", "change files"),
    ("from pathlib import Path\nPath('x').mkdir()", "change files"),
    ("from ddpm_tutor.course.exercise import find_exercise\nfind_exercise('2')", "Cannot read"),
    ("import ddpm_tutor.files as f\nopen(f.bundled('exercises') / '02_closed_form.py')", "answers"),
    ("while True: print('x' * 100_000)", "File too large"),
    ("from ddpm_tutor.learner.progress import *\nchange_progress(print)\nraise OSError('mine')",
     "OSError: mine"),
]  # fmt: skip


@pytest.mark.parametrize(("above", "says"), GUARDED)
def test_what_code_may_not_do_is_an_error_in_it(
    checker: Checker, tmp_path: Path, above: str, says: str
) -> None:
    path = tmp_path / "ex2_closed_form.py"
    path.write_text(f"{above}\n{TWO[1].solved()}")
    verdict = checker.check(TWO[1], path).verdict
    assert verdict.kind == "error" and says in verdict.says and verdict.line, verdict
    assert path.exists()


IMPORTED = [
    "from ddpm_tutor import q_sample",
    "import ddpm_tutor\nq_sample = ddpm_tutor.q_sample",
    "import functools, ddpm_tutor\nq_sample = functools.partial(ddpm_tutor.q_sample)",
    "from ddpm_tutor import q_sample as right\nq_sample = lambda *given: right(*given)",
]


@pytest.mark.parametrize("code", IMPORTED)
def test_an_answer_that_is_the_package_s_own_function_is_refused(
    checker: Checker, tmp_path: Path, code: str
) -> None:
    path = tmp_path / "ex2_closed_form.py"
    path.write_text(code)
    verdict = checker.check(TWO[1], path).verdict
    assert verdict.kind == "wrong" and "own q_sample does the work" in verdict.says


def test_a_check_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "ex2_closed_form.py"
    path.write_text(TWO[1].solved())
    with Checker() as checker:
        checker.server = checker.start()
        os.kill(checker.server.pid, signal.SIGKILL)
        assert checker.check(TWO[1], path).verdict.passed


def test_what_stands_beside_is_imported_and_time_runs_out(tmp_path: Path, checker: Checker) -> None:
    path = tmp_path / "ex2_closed_form.py"
    (tmp_path / "ex1_one_step.py").write_text("import ddpm_tutor\nmine = 1\n")
    path.write_text(f"from ex1_one_step import mine\n{TWO[1].solved()}")
    assert checker.check(TWO[1], path).verdict.passed
    path.write_text("def q_sample(schedule, x_0, t, eps):\n    while True: pass\n")
    check = checker.check(TWO[1], path, 0.5)
    assert check.verdict.kind == "stopped" and check.verdict.line == 2 and check.processor < 5


# grading


def graded(grader: Grader, tmp_path: Path, made: HandIn) -> Grade:
    grade = grader.grade(write(tmp_path / "a.json", made))
    assert not grade.problem
    return grade


def test_points_are_counted_anew(grader: Grader, tmp_path: Path) -> None:
    made = hand_in(0, "solved", TWO)
    made = dataclasses.replace(made, questions=[])
    assert graded(grader, tmp_path, made).points == 1
    bare = [dataclasses.replace(q, answers=()) for q in ASKED]
    forged = [dataclasses.replace(q, points=1000, earned_before=True) for q in bare]
    grade = graded(grader, tmp_path, dataclasses.replace(made, questions=forged))
    assert grade.points == 1 and "earned, without an answer or code" in grade.remarks[0]
    assert "states 1000 points, not 1" in grade.remarks[1]
    seen = [dataclasses.replace(w, solution_seen=True) for w in made.exercises]
    assert graded(grader, tmp_path, dataclasses.replace(made, exercises=seen)).points == 0
    wrong = dataclasses.replace(made.exercises[0], code=school_class.mistaken(TWO[0]))
    grade = graded(grader, tmp_path, dataclasses.replace(made, exercises=[wrong]))
    assert grade.points == 0 and "another verdict than it states: exercise 1" in grade.remarks
    answer = Answer("b", True, DAY, True)
    answered = [dataclasses.replace(q, answers=(answer,)) for q in bare]
    grade = graded(grader, tmp_path, dataclasses.replace(made, questions=answered))
    assert grade.points == grade.by_answers == 42 and "10 answers within 0 s" in grade.remarks


def test_an_answer_that_chose_a_wrong_option_is_wrong(grader: Grader, tmp_path: Path) -> None:
    assert len(grader.offered) > 25  # questions whose files say which option is right
    letters = {part: offers.options for part, offers in grader.offered.items()}
    assert all(lines[0].startswith("a) ") for lines in letters.values())
    part = ASKED[0].part
    offers = grader.offered[part]
    wrong = offers.options[offers.right - 1]
    for text, points, remark in (
        (offers.options[offers.right], 1, ""),
        (wrong, 0, f"stated as right, and wrong: {part}"),
        ("x", 1, f"stated as right, and no option of the question: {part}"),
    ):
        asked = dataclasses.replace(ASKED[0], answers=(Answer(text, True, DAY, True),))
        made = hand_in(0, "solved", [])
        made = dataclasses.replace(made, questions=[asked], made_with={"ddpm-tutor": __version__})
        grade = graded(grader, tmp_path, made)
        assert grade.points == points
        assert [r for r in grade.remarks if "stated" in r] == ([remark] if remark else [])
    other = dataclasses.replace(made, made_with={"ddpm-tutor": "99.1"})
    remarks = graded(grader, tmp_path, other).remarks
    assert remarks[-1] == f"made with ddpm-tutor 99.1; this is {__version__}"
    assert not [remark for remark in remarks if "no option" in remark]


def test_what_a_question_offers_is_read_from_its_lesson() -> None:
    known = offered()["11.9 c"]
    assert known.options[known.right].startswith("c) because then x_t has about one size")
    assert known.says(Answer(known.options[0], True, DAY, True)) is False


def test_one_students_code_has_so_much_time_in_all(checker: Checker, tmp_path: Path) -> None:
    made = hand_in(0, "solved", [find_exercise(str(n)) for n in range(1, 7)])
    loops = [dataclasses.replace(w, code="while True: pass\n") for w in made.exercises[:5]]
    made = dataclasses.replace(made, exercises=[*loops, made.exercises[5]])
    with Grader(1, limit=1) as grader:
        grader.free.get()
        grader.free.put(checker)
        grade = graded(grader, tmp_path, made)
    assert {verdict.kind for verdict in grade.verdicts.values()} == {"stopped"}
    says = [verdict.says for verdict in grade.verdicts.values()]
    assert "It took longer than 0.25 s" in says[0] and "took all the time" in says[5]


def test_equal_code_and_equal_names_are_remarked_and_no_more(
    grader: Grader, tmp_path: Path
) -> None:
    long = "def q_sample(schedule, x_0, t, eps):\n    # mine\n" + "\n".join(
        ["    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype)[:, None, None, None]",
         "    return alpha_bar.sqrt() * x_0 + (1.0 - alpha_bar).sqrt() * eps"]
    )  # fmt: skip
    paths = []
    for number, code in enumerate([long, f"# above\n{long}\n", TWO[1].solved()]):
        made = hand_in(number, "solved", TWO[1:])
        written = dataclasses.replace(made.exercises[0], code=code)
        name = "Anna" if number else "anna"
        made = dataclasses.replace(made, name=name, exercises=[written])
        (tmp_path / f"{number}").mkdir()  # a folder for each student, as platforms of courses have
        paths.append(write(tmp_path / f"{number}" / "hand_in.json", made))
    grades = grader.grades(paths)
    assert "code word for word as in 1/hand_in.json (2)" in grades[0].remarks
    assert "code word for word as in 0/hand_in.json (2)" in grades[1].remarks
    assert "the package's own solution, word for word: 2" in grades[2].remarks
    assert all("the same name as in" in " ".join(grade.remarks) for grade in grades)
    assert all(grade.passed for grade in grades)


def test_code_that_reaches_for_the_check_is_to_be_looked_at(grader: Grader, tmp_path: Path) -> None:
    made = hand_in(0, "solved", TWO[1:])
    code = f"import sys\nsys.modules.get('x')\n{TWO[1].solved()}"
    made = dataclasses.replace(made, exercises=[dataclasses.replace(made.exercises[0], code=code)])
    grade = graded(grader, tmp_path, made)
    assert "look at exercise 2: it names sys.modules" in grade.remarks


BROKEN = {
    "bad.json": b"{bad", "latin.html": b"\xff\xfe\x00", "empty.md": b" \n",
    "deep.json": b"[" * 10**5,
    "list.json": b"[]", "other.ipynb": b'{"metadata": []}', "page.html": b"<html>",
    "zero.md": b"\0",
    "version.json": b'{"ddpm_tutor_hand_in": 99}', "number.json": b"1" * 10**5,
}  # fmt: skip


def test_a_class_is_graded_whatever_is_in_the_folder(folder: Path) -> None:
    class_folder = folder / "class"
    write_class(class_folder, len(school_class.KINDS), TWO)
    made = hand_in(99, "solved", TWO)
    forged = "from ddpm_tutor.learner.progress import Bookmark\nBookmark('x').finished()\n"
    formula = [dataclasses.replace(w, code=forged + w.code) for w in made.exercises]
    (class_folder / "Ünal").mkdir()
    made = dataclasses.replace(made, name="=HYPERLINK(1)", exercises=formula)
    write(class_folder / "Ünal" / "b.json", made)
    for name, data in BROKEN.items():
        (class_folder / name).write_bytes(data)
    with open(class_folder / "huge.json", "wb") as file:
        file.truncate(200_000_000)
    if hasattr(os, "mkfifo"):
        os.mkfifo(class_folder / "pipe.json")
    (class_folder / "notes.pdf").write_bytes(b"%PDF")
    Bookmark("02_closed_form").at_step(3)
    before = progress_file().read_bytes()

    shown = tutor("grade", "class", "--jobs", "2", "--limit", "4", "--out", "class/g.csv")

    assert progress_file().read_bytes() == before
    assert "prove" in shown and "Left out" in shown and "notes.pdf" in shown
    # what to look at stands below the table, as wide as the screen: in a column it would be torn
    table, below = shown.split("To look at\n")
    assert len(table.splitlines()) < 2 * (len(school_class.KINDS) + len(BROKEN)) + 10
    assert "Ünal/b.json\n  look at exercise 1: it names ddpm_tutor.learner" in below
    with open(class_folder / "g.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(school_class.KINDS) + 1 + len(BROKEN) + 1 + hasattr(os, "mkfifo")
    assert rows["Ünal/b.json"]["name"] == "'=HYPERLINK(1)"
    for name in [*BROKEN, "huge.json"]:
        assert rows[name]["problem"] and not rows[name]["points"], rows[name]
    says = {row["file"].split(".")[0][4:]: row for row in rows.values() if row["points"]}
    assert says["solved"]["exercises_passed"] == "1; 2"
    for kind, words in {
        "begun": "still a gap", "borrowed": "own q_sample", "loops": "2: It took longer than",
        "forks": "start another program", "no_Python": "not Python yet", "prints": "too large",
        "deletes": "change files", "hoards": "2: ",
    }.items():  # fmt: skip
        assert words in says[kind]["exercises_not_passed"], says[kind]


def test_a_folder_without_hand_ins(folder: Path) -> None:
    assert "no folder" in tutor("grade", "nowhere", code=2)
    (folder / "empty").mkdir()
    assert "There is no hand-in in empty" in tutor("grade", "empty", code=2)


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", " =1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert safe(cell) == f"'{cell}" and safe("a=1") == "a=1"


# whatever a file holds, it is a hand-in or it is refused in a sentence


def mangled(data: bytes, chance: random.Random) -> bytes:
    """With some bytes changed, left out, or put in."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        at, length = chance.randrange(len(found)), chance.choice([0, 1, 1, 20, 5000])
        found[at : at + length] = chance.randbytes(chance.choice([0, 1, 3]))
        found = found or bytearray(b" ")
    return bytes(found)


def retyped(value: object, chance: random.Random) -> object:
    """JSON with one value, anywhere in it, of another kind."""
    if isinstance(value, dict | list) and value and chance.random() < 0.9:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value[key] = retyped(value[key], chance)
        return value
    return chance.choice(
        [None, True, -1, 1e400, 10**30, "", "x" * 10**4, "\ud800", [], {}, [[]], [{}], {"a": 1}]
    )


@pytest.mark.parametrize("ending", FORMS)
def test_a_broken_file_is_read_or_refused(tmp_path: Path, ending: str) -> None:
    chance = random.Random(ending)
    path = write(tmp_path / f"a{ending}", hand_in(1, "solved", TWO))
    data, as_json = path.read_bytes(), hand_in(1, "solved", TWO).to_json()
    refused = 0
    for _ in range(int(os.environ.get("DDPM_TUTOR_FUZZ", 100))):
        path.write_bytes(mangled(data, chance))
        refused += is_refused(path)
    for _ in range(int(os.environ.get("DDPM_TUTOR_FUZZ", 100))):
        changed = retyped(json.loads(as_json), chance)
        (tmp_path / "b.json").write_text(json.dumps(changed))
        refused += is_refused(tmp_path / "b.json")
    assert refused > 20


def is_refused(path: Path) -> bool:
    try:
        made = read_hand_in(path)
    except NoHandIn as error:
        assert str(error)
        return True
    assert made.points <= 42e9 and made.name.isprintable()
    for written in made.exercises:
        written.code.encode()
    return False


def test_a_hand_in_says_no_more_of_a_folder_than_its_name() -> None:
    assert as_told(Path("runs/mnist")) == str(Path("runs/mnist"))
    assert as_told(Path.home() / "runs" / "mnist") == "mnist"
