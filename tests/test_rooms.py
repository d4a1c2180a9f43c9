"""The rooms of the package: what each may import, and what it may speak of."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ddpm_tutor"
# from the top of the house down: an import leads to a lower floor, or stays in its room
FLOORS = [
    {"__main__"}, {"cli"}, {"__init__"}, {"api"}, {"classroom"}, {"hand_ins"}, {"pages"},
    {"grading"}, {"learner"}, {"course"}, {"screen"}, {"pictures"}, {"evaluation"}, {"storage"},
    {"science"}, {"commands"}, {"files"}, {"errors"}, {"words"},
]  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# stand on top: they import the library, and the tools of one room
CONTENT = {
    "lessons": "classroom.tools",
    "ddpm_tutor/paper": "classroom.tools",
    "ddpm_tutor/review": "classroom.tools",
    "ddpm_tutor/exercises": "grading.tools",
}
CONTENT_FOLDERS = [Path(folder).name for folder in CONTENT]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent.name not in CONTENT_FOLDERS]


def imports(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, anywhere in it, as `room.module`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole.startswith("ddpm_tutor."):
                    yield (node.module if node.module != "ddpm_tutor" else whole)[11:]
        elif isinstance(node, ast.Import):
            yield from (a.name[11:] for a in node.names if a.name.startswith("ddpm_tutor."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_leads_up(path: Path) -> None:
    mine = room_of(path)
    rooms = {name.split(".")[0] for name in imports(path)} - {"__version__"}
    assert [r for r in rooms if FLOOR[r] < FLOOR[mine]] == []
    assert [r for r in rooms if r != mine and FLOOR[r] == FLOOR[mine]] == []


@pytest.mark.parametrize(("folder", "tools"), CONTENT.items())
def test_content_imports_the_library_and_one_module_of_tools(folder: str, tools: str) -> None:
    public = set(ast.literal_eval(public_names()))
    for path in sorted((PACKAGE.parent / folder).glob("*.py")):
        assert {name for name in imports(path)} <= public | {tools}, path.name


def public_names() -> str:
    """The list `__all__` of the library, as text: reading it needs no torch."""
    tree = ast.parse((PACKAGE / "api.py").read_text(encoding="utf-8"))
    return next(ast.unparse(n.value) for n in tree.body if isinstance(n, ast.Assign))


@pytest.mark.parametrize("room", ["science", "evaluation", "storage", "pictures"])
def test_the_library_words_no_flag_and_knows_no_terminal(room: str) -> None:
    for path in sorted((PACKAGE / room).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert FLAG.findall(text) == [], path.name
        assert not re.search(r"\b(typer|rich|sys\.std(in|out|err))\b", text), path.name


def test_what_is_read_from_content_needs_no_torch() -> None:
    for room in ("course", "learner"):
        for path in (PACKAGE / room).glob("*.py"):
            assert "torch" not in path.read_text(encoding="utf-8").split("import torch"), path.name
            assert not any(name.startswith("science") for name in imports(path)), path.name
