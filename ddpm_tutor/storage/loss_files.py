"""The losses of a training, as anybody's program writes them down: CSV, JSON, or lines of text.

Nothing of a file is run, and no more of it is read than fits a small memory.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from ddpm_tutor.errors import TutorError

ENDINGS = (".csv", ".tsv", ".txt", ".log", ".json", ".jsonl", ".ndjson")
MAX_BYTES = 30_000_000  # of a file
MAX_LINES = 500_000  # that are read of it
MAX_LINE = 10_000  # characters; a line of a log has far fewer
STEPS = ("step", "steps", "iter", "iters", "iteration", "iterations", "global_step", "batch", "it")
EPOCHS = ("epoch", "epochs")
HELD_OUT = ("val", "valid", "validation", "eval", "test")
LOSSES = ("loss", "losses", "mse", "objective", "value", "error")  # the surest first
NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?))"

COUNT = r"(\d{1,3}(?:,\d{3})+|\d+)"  # 12000 or 12,000
UNCOUNTED = 0.1  # of the lines with a loss in a log that counts the others

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Losses:
    """The losses of a training."""

    train: Points  # (step or epoch, loss); NaN and infinity are among the losses
    validation: Points
    unit: str  # what is counted: "step", "epoch", or "line" where the file does not say
    read_as: str  # how it was read, in words
    settings: dict[str, Any] = field(default_factory=dict)  # of a run of this package
    images: Points = field(default_factory=list)  # (step or epoch, images seen), if it is known


def read_losses(path: Path) -> Losses:
    """The losses in a file, or in the folder of a run.

    Raises:
        TutorError: there are none, or they cannot be read.
    """
    if path.is_dir():
        path = path / "log.jsonl"
        if path.is_file() and not path.stat().st_size:
            raise TutorError(f"{path} is empty: no epoch of this run is finished yet.")
    text = text_of(path)
    for reader in (of_json, of_json_lines, of_table, of_prose):
        found = reader(text)
        if found and (found.train or found.validation):
            return with_settings(found, path)
    raise TutorError(
        f"{path} holds no losses that can be found. "
        "Name a CSV with a column `loss`, a list in JSON, or a file with one number a line."
    )


def text_of(path: Path) -> str:
    """What a file says.

    Raises:
        TutorError: it is no file of text, or too large.
    """
    if not path.exists():
        raise TutorError(f"There is no file {path}.")
    if not path.is_file():  # to read a pipe would wait for ever
        raise TutorError(f"{path} is a pipe or a device. Name a file.")
    size = path.stat().st_size
    if size == 0:
        raise TutorError(f"{path} is an empty file.")
    if size > MAX_BYTES:
        raise TutorError(
            f"{path} has {size / 1e6:,.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read. "
            "Keep every hundredth line."
        )
    data = path.read_bytes()
    if b"\0" in data[:1000] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TutorError(f"{path} is no text. Name a CSV, a list in JSON, or a log.")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return data.decode(encoding, errors="replace")


def with_settings(found: Losses, path: Path) -> Losses:
    """The same with the settings of the run whose log it is, where they lie beside it."""
    beside = path.with_name("config.json")
    if path.name != "log.jsonl" or not beside.is_file() or beside.stat().st_size > MAX_LINE:
        return found
    try:
        settings = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError:
        return found
    if not isinstance(settings, dict):
        return found
    return Losses(found.train, found.validation, found.unit, found.read_as, settings, found.images)


# --- JSON


def of_json(text: str) -> Losses | None:
    """Losses in one value of JSON: a list of numbers, of pairs or of records, or named lists."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("log_history"), list):
        value = value["log_history"]  # of a trainer of transformers
    if isinstance(value, dict):
        lists = {k: v for k, v in flat(value).items() if isinstance(v, list) and v}
        records = longest_together(lists)
        return of_records(records, "named lists in JSON") if records else None
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(row, dict) for row in value):
        return of_records(value, "a list of records in JSON")
    rows = [row if isinstance(row, list) else [row] for row in value]
    if all(all(is_number(cell) for cell in row) for row in rows):
        return of_numbers([[float(cell) for cell in row] for row in rows], "a list in JSON")
    return None


def longest_together(lists: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Lists of one length as records; those of the length that the first list of losses has."""
    name = next((n for n in lists if "loss" in n.lower()), None)
    if name is None:
        return []
    same = {n: v for n, v in lists.items() if len(v) == len(lists[name])}
    return [dict(zip(same, row, strict=True)) for row in zip(*same.values(), strict=True)]


def of_json_lines(text: str) -> Losses | None:
    """Losses in one record of JSON a line, as this package and many others log."""
    records: list[dict[str, Any]] = []
    for line in lines_of(text):
        if not line.startswith("{"):
            if records:
                break  # a log that was cut off in the middle of a line
            return None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if isinstance(record, dict):
            records.append(record)
    return of_records(records, "one record a line") if records else None


def of_records(records: Sequence[dict[str, Any]], how: str) -> Losses | None:
    """Losses in records that name them."""
    records = [flat(record) for record in records]
    names = list(dict.fromkeys(name for record in records[:1000] for name in record))
    columns: dict[str, Points] = {name: [] for name in names}
    for row, record in enumerate(records):
        for name in names:
            value = as_number(record.get(name))
            if value is not None:
                columns[name].append((row, value))
    return of_columns({name: cells for name, cells in columns.items() if cells}, how)


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record with what its own records hold beside them: the loss of {"metrics": {"loss": 1}},
    and the "val loss" of {"val": {"loss": 1}}.
    """
    inner = {
        f"{outer} {name}" if outer.lower() in ("train", "training", *HELD_OUT) else name: value
        for outer, values in record.items()
        if isinstance(values, dict) and "mean" not in values
        for name, value in values.items()
    }
    return {**inner, **record}


# --- tables


def of_table(text: str) -> Losses | None:
    """Losses in columns, with names above them or without."""
    lines = [line for line in lines_of(text) if not line.startswith("#")]
    if not lines:
        return None
    delimiter = delimiter_of(lines[0])
    if delimiter in ("\t", ";"):
        lines = [re.sub(r"(\d),(\d)", r"\1.\2", line) for line in lines]  # 0,5 is 0.5 in Europe
    rows = list(csv.reader(lines, delimiter=delimiter)) if delimiter else [x.split() for x in lines]
    first = [cell.strip() for cell in rows[0]]
    if all(as_number(cell) is not None for cell in first if cell):
        numbers = [[as_number(cell.strip()) for cell in row] for row in rows]
        whole = [[v for v in row if v is not None] for row in numbers]
        if sum(len(a) != len(b) or not a for a, b in zip(whole, numbers, strict=True)) > 0.1 * len(
            rows
        ):
            return None
        how = "a column of numbers" if len(first) == 1 else f"{len(first)} columns without names"
        return of_numbers([row for row in whole if len(row) == len(first)], how)
    if delimiter is None and any(as_number(cell) is not None for cell in first):
        return None  # words with numbers between them are no names of columns
    columns: dict[str, Points] = {}
    for place, name in enumerate(first):
        cells = [
            (i, as_number(row[place].strip())) for i, row in enumerate(rows[1:]) if place < len(row)
        ]
        columns[name] = [(i, v) for i, v in cells if v is not None]
    return of_columns({n: c for n, c in columns.items() if c}, "a table")


def delimiter_of(line: str) -> str | None:
    """What stands between the cells of a line of a table; None where that is only blanks."""
    no_decimals = re.sub(r"(\d),(?=\d)", r"\1", line)  # 0,5;0,4
    best = max(",;\t", key=no_decimals.count)
    return best if best in no_decimals else "," if "," in line else None


def of_numbers(rows: list[list[float]], how: str) -> Losses | None:
    """Losses in rows of numbers without names: what only rises counts steps, or is the time."""
    if not rows or not rows[0]:
        return None
    columns = [list(column) for column in zip(*rows, strict=False)]
    counts = [column for column in columns[:-1] if is_count(column)]
    losses = [column for column in columns if column not in counts] or columns[-1:]
    steps = counts[-1] if counts else [float(i + 1) for i in range(len(rows))]
    train = list(zip(steps, losses[-1] if len(losses) == 1 else losses[0], strict=True))
    held_out = list(zip(steps, losses[1], strict=True)) if len(losses) == 2 else []
    return Losses(train, held_out, "step" if counts else "line", how)


def is_count(values: list[float]) -> bool:
    """Whether a column counts steps or tells the time: it never falls, and does rise."""
    return all(a <= b for a, b in pairwise(values)) and values[-1] > values[0]


def of_columns(columns: dict[str, Points], how: str) -> Losses | None:
    """Losses in named columns of (row, value)."""
    words = {name: re.split(r"[^a-z]+", name.lower()) for name in columns}
    usable = [
        name for name in columns
        if not name.endswith(("__MIN", "__MAX"))  # as Weights & Biases exports
    ]  # fmt: skip
    held_out = [name for name in usable if any(word in HELD_OUT for word in words[name])]
    losses = sorted(
        (n for n in usable if rank(words[n]) < len(LOSSES) or n.lower() == "validation"),
        key=lambda n: (rank(words[n]), "unlabelled" in n),
    )
    train = next((n for n in losses if n not in held_out), None)
    other = next((n for n in losses if n in held_out), None)
    if train is None and other is None:
        return None
    counts = next((n for kind in (STEPS, EPOCHS) for n in usable if n.lower() in kind), None)
    # our own log counts both, and an epoch is a line there
    epochs = next((n for n in usable if n.lower() in EPOCHS), None)
    if epochs and is_rising([v for _, v in columns[epochs]]):
        counts = epochs
    unit = "line" if counts is None else "epoch" if counts.lower() in EPOCHS else "step"
    place = dict(columns[counts]) if counts else {}

    def points(name: str | None) -> Points:
        cells = columns[name] if name else []
        return [(place.get(row, row + 1), value) for row, value in cells]

    named = " and ".join(f"`{name}`" for name in (train, other) if name)
    images = "images_seen" if "images_seen" in columns else None
    return Losses(points(train), points(other), unit, f"{how}: {named}", {}, points(images))


def rank(words: list[str]) -> int:
    """How surely a name is that of a loss: less is surer; as many as there are words is no loss."""
    return next((i for i, word in enumerate(LOSSES) if word in words), len(LOSSES))


def is_rising(values: list[float]) -> bool:
    """Whether each value is above the one before."""
    return all(a < b for a, b in pairwise(values))


# --- words


def of_prose(text: str) -> Losses | None:
    """Losses in lines such as "step 100: loss 0.0321, val loss 0.04", or as `train` prints them."""
    train: list[tuple[dict[str, float], float]] = []  # what each line counts, and a loss
    held_out: list[tuple[dict[str, float], float]] = []
    for number, line in enumerate(lines_of(text), 1):
        low = line.lower()
        counts = {"line": float(number)}
        for unit, names in (("step", STEPS), ("epoch", EPOCHS)):
            if counted := re.search(rf"\b(?:{'|'.join(names)})\b[\s:=#\[(]*{COUNT}", low):
                counts[unit] = float(counted[1].replace(",", ""))
        found = list(re.finditer(rf"(\w{{0,40}})[ _/-]?loss\w*[\s:=]*{NUMBER}", low))
        if len(counts) > 1 and not found and "train" in low:
            found = list(re.finditer(rf"\b(train|{'|'.join(HELD_OUT)})[\s:=]+{NUMBER}", low))
        for match in found:
            points = held_out if match[1].strip("_") in HELD_OUT else train
            points.append((counts, float(match[2])))
    if not train and not held_out:
        return None
    unit = next(unit for unit in ("step", "epoch", "line") if is_counted(unit, train, held_out))
    mine, other = (
        [(counts[unit], loss) for counts, loss in each if unit in counts]
        for each in (train, held_out)
    )
    return Losses(mine, other, unit, "lines of text")


def is_counted(unit: str, *lists: list[tuple[dict[str, float], float]]) -> bool:
    """Whether lines count this, all but a few at the end or between, such as "best loss 0.03"; and
    it rises from line to line: not so steps that begin again in each epoch, and epochs of many
    lines.
    """
    for points in lists:
        counted = {counts["line"]: counts[unit] for counts, _ in points if unit in counts}
        uncounted = sum(unit not in counts for counts, _ in points)
        if uncounted > max(1, UNCOUNTED * len(points)) or not is_rising([*counted.values()]):
            return False
        if points and not counted:
            return False
    return True


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text that say something, as many as are read, none of them endless."""
    said: Iterable[str] = (line.strip()[:MAX_LINE] for line in text.splitlines())
    yield from islice(filter(None, said), MAX_LINES)


def is_number(value: Any) -> bool:
    """Whether it is a number, and not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(value: Any) -> float | None:
    """The number that a cell holds, None where it holds none; of a mean with its error the mean."""
    if isinstance(value, dict):
        value = value.get("mean")
    if is_number(value):
        return float(value)
    if not isinstance(value, str) or not re.fullmatch(NUMBER, value.strip().lower()):
        return None
    return float(value)
