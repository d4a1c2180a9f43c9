"""The grades of a class as a CSV file, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ddpm_tutor.hand_ins.grading import Grade
from ddpm_tutor.hand_ins.hand_in import TOTAL, clean, number_of

COLUMNS = (
    "file", "name", "group", "points", "of", "points_by_answers", "points_by_code",
    "exercises_passed", "exercises_not_passed", "made", "seconds", "problem", "remarks",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@")  # with which a spreadsheet begins to compute


def to_csv(grades: Sequence[Grade], folder: Path) -> str:
    """A row for each file, below a head.

    Args:
        folder: the files are named as seen from it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for grade in grades:
        writer.writerow([safe(cell) for cell in row_of(grade, folder)])
    return text.getvalue()


def row_of(grade: Grade, folder: Path) -> list[str]:
    """The cells of a file's row; one that could not be graded has no points, not even 0."""
    made = grade.hand_in
    counted = [""] * 6
    if made and not grade.problem:
        counted = [
            f"{grade.points:g}", f"{TOTAL:g}", f"{grade.by_answers:g}", f"{grade.by_code:g}",
            "; ".join(number_of(name) for name in grade.passed),
            "; ".join(failure(name, grade) for name in grade.verdicts if name not in grade.passed),
        ]  # fmt: skip
    return [
        name_of(grade.path, folder),
        made.name if made else "",
        made.group if made else "",
        *counted,
        made.made if made else "",
        f"{grade.seconds:.1f}",
        grade.problem,
        "; ".join(grade.remarks),
    ]


def name_of(path: Path, folder: Path) -> str:
    """A file as seen from the folder, whatever its name is made of."""
    return clean(path.relative_to(folder).as_posix())


def failure(name: str, grade: Grade) -> str:
    """Why an exercise has not passed."""
    return f"{number_of(name)}: {clean(grade.verdicts[name].says)}"


def safe(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) else cell
