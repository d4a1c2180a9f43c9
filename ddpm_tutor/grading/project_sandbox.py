"""The trial of somebody's project, in a process of its own, guarded and within limits.

The process is `python -m ddpm_tutor.grading.project_sandbox PATH FOLDER`. What it finds comes back
in a file, piece by piece: where the code stops or never ends, what was found before is still told.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.grading.project_files import Source, preload, read_project
from ddpm_tutor.grading.project_verdict import Examined
from ddpm_tutor.grading.sandbox import (
    COMPUTED,
    MAX_START_SECONDS,
    READY,
    VERDICT,
    WAITING,
    end_with,
)

SO_FAR = "so_far.jsonl"  # what was found, a line more after each piece
START_SECONDS = 30  # of computing, that loading torch may have taken
MAX_SECONDS = 60.0  # of computing: a loop of 1000 steps takes a second or two


def examine_file(path: Path, mapped: Mapping[str, str]) -> tuple[Examined, Source]:
    """Tries what is in a file.

    Raises:
        UsageError: `mapped` names what the file does not.
        TutorError: it cannot be read, or no trial could start.
    """
    source = read_project(path)
    said = source.all_names()
    if unknown := [name for name in mapped.values() if name.split(".")[-1] not in said]:
        raise UsageError(
            f"There is no {unknown[0]} in {path}: --map takes a name that stands there."
        )
    with tempfile.TemporaryDirectory(prefix="ddpm-tutor-") as name:
        folder = Path(name)
        order = {"text": source.text, "cells": source.cells, "mapped": dict(mapped)}
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        environment = os.environ | {
            "PYTHONUTF8": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg",
            "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, os.path.abspath(path), name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        try:
            code: int | None = child.wait(MAX_START_SECONDS + WAITING * MAX_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            child.kill()
            child.wait()
        return examined_in(folder, code), source


def examined_in(folder: Path, code: int | None) -> Examined:
    """What the process has left; with why there is no more, where its end was another's.

    Raises:
        TutorError: it never started.
    """
    found, ended = Examined("", [], stopped="Nothing was tried"), False
    for name in (VERDICT, SO_FAR):
        try:
            *_, last = (folder / name).read_text(encoding="utf-8").strip().splitlines()
            found, ended = Examined.from_json(last), name == VERDICT
            break
        except (OSError, ValueError):
            continue
    if not (folder / READY).exists():
        raise TutorError(
            "The trial could not start: Python or torch did not load.\nTry: ddpm-tutor info"
        )
    if ended:
        return found
    if code is None or -code == COMPUTED:
        why = f"it took longer than {MAX_SECONDS:g} s of computing. Does a loop end?"
    elif code < 0:
        why = f"Python was ended by the system (signal {-code}); too much memory, perhaps."
    else:
        why = "your code ended Python itself."
    return replace(found, stopped=f"{found.stopped.rstrip('.')}: {why}")


def uncompiled(function: Any = None, **options: Any) -> Any:
    """In the place of `torch.compile`: what it is given, as it is."""
    return (lambda inner: inner) if function is None else function


def main(path: str, folder: str) -> None:
    """The process: tries the file and leaves what it finds in `folder`."""
    import torch

    from ddpm_tutor.grading.guard import guard
    from ddpm_tutor.grading.project import examine, load_exercises
    from ddpm_tutor.grading.strangers import limit_more
    from ddpm_tutor.grading.trials import in_a_line

    order = json.loads((Path(folder) / "order.json").read_text(encoding="utf-8"))
    source = Source(order["text"], tuple((a, b) for a, b in order["cells"]))
    torch.set_num_threads(1)
    # a compiler wants to write files, and takes its time
    torch.compile = uncompiled  # type: ignore[assignment]
    load_exercises()  # once guarded, nothing reads them
    preload(source, Path(path))
    os.chdir(Path(path).parent)
    limit_more(MAX_SECONDS + START_SECONDS)
    # a file that is open already: once guarded, none can be opened to be written
    so_far = os.open(Path(folder) / SO_FAR, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    found = [Examined("", [])]

    def noted(examined: Examined) -> None:
        found.append(examined)
        os.write(so_far, examined.to_json().encode() + b"\n")

    def tried() -> Examined:
        lift = guard()
        try:
            return examine(source, Path(path), order["mapped"], noted)
        except Exception as error:  # theirs are caught where they are called: this one is ours
            why = f"Not all was tried, by a mistake of ddpm-tutor's own ({in_a_line(error)})"
            return replace(found[-1], stopped=why)
        finally:
            lift()

    end_with(tried, folder, MAX_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
