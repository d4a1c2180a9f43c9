"""Where the package's files are, and how files are written so that none is ever half there."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ddpm_tutor.errors import TutorError

RANDOM = "[a-z0-9_]" * 8  # what tempfile puts into a name


def bundled(name: str) -> Path:
    """The folder `lessons` or `assets`: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def check_target(target: Path) -> Path:
    """`target`, when a file can be written there: better to know before long work than after.

    Raises:
        TutorError: it is a folder, a pipe or a device, or its folder cannot be made or written to.
    """
    if target.is_dir():
        raise TutorError(f"{target} is a folder. Name a file instead.")
    if target.exists() and not target.is_file():  # a file would take the place of /dev/null itself
        raise TutorError(f"{target} is a pipe or a device. Name a file instead.")
    if not os.access(make_folder(target.parent), os.W_OK):
        raise TutorError(f"Cannot write to the folder {target.parent}. Choose another place.")
    return target


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; what was written there becomes `target` at the end.

    The rename is atomic, so a reader sees the old file or the new one, never half of one. After
    an error the temporary file is removed and `target` is as it was.

    Raises:
        TutorError: the folder cannot be made or written to.
    """
    temporary = None
    try:
        check_target(target)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # a temporary file is private; what we write is as public as any other new file
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with open(temporary, "r+b") as written:  # Windows syncs none that was opened to read
            os.fsync(written.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise TutorError(
            f"Cannot write {target}: {error.strerror or error}. Choose another place or make room."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes sure that a rename in `folder` outlives a power cut, where folders can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
                raise
        finally:
            os.close(handle)


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Removes what `replacing` left in `folder` of the files so named when it was killed."""
    for name in names:
        path = Path(name)
        for leftover in folder.glob(f".{path.stem}-{RANDOM}{path.suffix}"):
            leftover.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Makes the folder `path` and its parents.

    Raises:
        TutorError: it cannot be made, or a file stands in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TutorError(
            f"Cannot make the folder {path}: {error.strerror}. Choose another place."
        ) from error
    return path
