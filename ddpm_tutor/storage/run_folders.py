"""The folder of a training run: what may be begun there. Looking needs no torch."""

from pathlib import Path

from ddpm_tutor.errors import TutorError

WEIGHTS = "weights.safetensors"  # in the folder of a run
STATE = "state.pt"
LOG = "log.jsonl"


class RunExists(TutorError):
    """A run would be started where there is one."""


class FolderTaken(TutorError):
    """The folder of a run cannot be used for another."""


class NothingToResume(TutorError):
    """There is no run in the folder."""


def check_run_folder(folder: Path, resume: bool) -> None:
    """Looks whether a run may be started in `folder`, or gone on with.

    A run that was stopped in its first epoch, before the log has a line, is not found out here.

    Raises:
        TutorError: it may not.
    """
    state, log = folder / STATE, folder / LOG
    if resume:
        if not state.is_file():
            raise NothingToResume(f"No run to resume in {folder}.")
    elif not state.exists():
        if (folder / WEIGHTS).exists():
            raise FolderTaken(f"{folder} already holds {WEIGHTS}.")
        if folder.exists() and not folder.is_dir():
            raise FolderTaken(f"Cannot make the folder {folder}: a file has its name.")
    elif log.is_file() and log.stat().st_size:
        raise RunExists(f"{folder} already holds a run.")
