"""The documents say what is so: their commands, their examples, their list of files."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from test_rooms import FLOORS
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app, is_usage_error
from ddpm_tutor.course.lesson import read_lesson
from ddpm_tutor.course.lesson_lint import lesson_problems

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "STYLE.md", "assets/README.md"]


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def section(document: str, heading: str) -> str:
    """What stands under a heading, up to the next."""
    return re.split(r"(?m)^#+ ", text_of(document).split(f"# {heading}\n")[1])[0]


def examples(document: str) -> list[str]:
    """The blocks of Python in a document."""
    return re.findall(r"```python\n(.*?)```", text_of(document), re.DOTALL)


def indented(text: str) -> str:
    """The lines of code in a section."""
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


def commands() -> Iterator[tuple[str, str]]:
    """Each command that a document prints: where, and what stands behind `ddpm-tutor`."""
    for document in DOCUMENTS:
        text = text_of(document)
        for line in re.findall(r"^ {4}(?:.*&& )?ddpm-tutor\b(.*)$", text, re.MULTILINE):
            yield document, re.split(r" {3,}", line)[0]  # what it does stands further on
        for line in re.findall(r"`ddpm-tutor\b([^`]*)`", text):
            yield document, line.replace("\n", " ")


def list_of_options() -> Iterator[tuple[str, str]]:
    """The README's list of commands: each option below its command."""
    above = ""
    for line in indented(section("README.md", "Commands")).splitlines():
        words = re.split(r" {3,}", line.strip())[0]
        if not line.startswith(" "):
            above = words.removeprefix("ddpm-tutor")
        elif words.startswith("-"):
            for option in words.split(", "):
                yield "README.md", f"{above} {option}"
        elif re.fullmatch(r"(start|check|hint|solution|reset) \d", words):
            yield "README.md", f"exercise {words}"


def parse(words: list[str]) -> None:
    """Parses a command line as a user's is, to the last option and its value, and runs nothing."""
    command = typer.main.get_command(app)
    context = command.make_context("ddpm-tutor", words)
    while name := getattr(context, "_protected_args", None):
        command = command.commands[name[0]]  # a KeyError: there is no such command
        context = command.make_context(name[0], list(context.args), parent=context)
    assert not context.args, context.args


PRINTED = sorted({*commands(), *list_of_options()})


def test_the_documents_print_commands() -> None:
    assert len(PRINTED) > 50
    for known in ("gif --bug list", "exercise check 2 --watch", "lesson 3 --from 5"):
        assert ("README.md", f" {known}") in PRINTED or ("README.md", known) in PRINTED, known


@pytest.mark.parametrize(("document", "words"), PRINTED)
def test_every_command_that_is_printed_can_be_typed(document: str, words: str) -> None:
    if words.startswith(" COMMAND"):
        pytest.skip("any command")
    try:
        parse(shlex.split(words))
    except typer.Exit as done:  # --help and --version have said what they say
        assert done.exit_code == 0


def test_a_command_that_is_not_there_is_noticed() -> None:
    for words in ("gif --digt 7", "nonsense", "gif --digit x", "lesson", "exercise chek 2"):
        with pytest.raises(Exception) as refused:
            parse(shlex.split(words))
        assert is_usage_error(refused.value) or isinstance(refused.value, KeyError)


def test_the_example_of_the_library_draws_as_the_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = indented(section("README.md", "As a library"))
    exec(compile(code, "README.md", "exec"), {})
    done = CliRunner().invoke(
        app, ["sample", "--all-digits", "-n", "1", "--steps", "50", "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    mine, theirs = (
        np.asarray(Image.open(tmp_path / name)) for name in ("digits.png", "samples.png")
    )
    # noise is named by the number of the image, and 0 stands first in both
    assert np.abs(mine[:64, :64].astype(int) - theirs[:64, :64]).max() <= 2


def test_the_lesson_of_the_guide_is_in_order_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "06_my_subject.py"
    path.write_text(examples("CONTRIBUTING.md")[0], encoding="utf-8")
    assert lesson_problems(read_lesson(path)) == []
    done = CliRunner().invoke(app, ["lesson", path.name, "--no-pause", "--trust"])
    assert done.exit_code == 0 and "Lesson done." in done.output, done.output


def listed() -> list[str]:
    """The files and folders of the README's list, each with its whole path."""
    found, folders = [], dict[int, str]()
    for line in indented(section("README.md", "What is where")).splitlines():
        if name := line.split():
            depth = len(line) - len(line.lstrip())
            found.append("".join(f for d, f in folders.items() if d < depth) + name[0])
            folders = {d: f for d, f in folders.items() if d < depth} | {depth: name[0]}
            assert len(name) > 1, f"nothing is said of {name[0]}"
    return found


def test_the_list_of_files_is_that_of_the_files() -> None:
    package = ROOT / "ddpm_tutor"
    modules = [p for p in package.rglob("*.py") if p.parent.name not in ("exercises", "paper")]
    files = {str(p.relative_to(ROOT)) for p in modules if p.name != "__init__.py"}
    folders = {f"{p.parent.relative_to(ROOT)}/" for p in package.rglob("*.py")}
    assert len(listed()) == len(set(listed()))
    assert set(listed()) == files | folders | {"lessons/", "assets/", "tests/"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    text = text_of(document)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    links += re.findall(r'src="([^"]+)"', text)
    for link in links:
        assert (ROOT / document).parent.joinpath(link).exists(), link
    for name in re.findall(r"\b(?:tests|ddpm_tutor|science|cli|grading|storage)/\w+\.py\b", text):
        assert (ROOT / name).exists() or (ROOT / "ddpm_tutor" / name).exists() or "/15_" in name, (
            name
        )


def test_the_rooms_of_the_guide_are_those_of_the_test() -> None:
    table = [line for line in text_of("CONTRIBUTING.md").splitlines() if line.startswith("| `")]
    named = re.findall(r"`(\w+)(?:/|\.py)`", " ".join(line.split("|")[1] for line in table))
    floors = [room for floor in FLOORS for room in sorted(floor)]
    wanted = [room for room in floors if room not in ("__main__", "__init__")]
    assert [room for room in named if room in wanted] == wanted


@pytest.mark.parametrize("words", [["nonsense"], ["quick", "quick"]])
def test_the_check_knows_two_forms(words: list[str]) -> None:
    run = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", run]).returncode == 0
    done = subprocess.run(["bash", run, *words], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == "Usage: .ci/run [quick]\n"
