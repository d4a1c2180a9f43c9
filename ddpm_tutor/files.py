"""Where the package's files are, and how files are written so that none is ever half there."""

import contextlib
import errno
import functools
import glob
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ddpm_tutor.errors import TutorError

RANDOM = "[a-z0-9_]" * 8  # what tempfile puts into a name
STEM_BYTES, SUFFIX_BYTES = 60, 20  # of a target that its temporary is named after
# what disks answer that do not know modes, or owners, or how to sync
UNSUPPORTED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
MAKESHIFT = "ddpm-tutor-home-"  # and the user's number: a folder for those who have no home
AT_HOME = {"data": ".local/share/ddpm-tutor", "cache": ".cache/ddpm-tutor"}


def bundled(name: str) -> Path:
    """The folder `lessons` or `assets`: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def came_along(path: Path) -> bool:
    """Whether a lesson or exercise file is one that came with the package."""
    home = path.resolve().parent
    return any(home == bundled(name).resolve() for name in ("lessons", "exercises"))


def user_folder(kind: str) -> Path:
    """Where this user's "data" or "cache" is kept.

    Where there is no home to write to, it is a temporary folder.
    """
    import platformdirs

    where = {"data": platformdirs.user_data_path, "cache": platformdirs.user_cache_path}[kind]
    with contextlib.suppress(RuntimeError):  # no home
        folder = where("ddpm-tutor")
        # versions of platformdirs that raise nothing leave the ~ in its place
        if folder.is_absolute() and (os.path.isdir(folder) or can_be_made(folder)):
            return folder
    return makeshift_home() / AT_HOME[kind]


def can_be_made(folder: Path) -> bool:
    """Whether this user may make `folder`."""
    there = next(parent for parent in folder.parents if os.path.lexists(parent))
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)


@functools.cache
def makeshift_home() -> Path:
    """A temporary folder of this user's own, the same each time where that is safe."""
    user = getattr(os, "getuid", int)()  # Windows has no such numbers
    try:
        folder = Path(tempfile.gettempdir(), f"{MAKESHIFT}{user}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        # anybody can make a folder or a link of this name, and let us write through it
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022:
            return folder
        return Path(tempfile.mkdtemp(prefix=MAKESHIFT))
    except OSError:  # nothing can be written anywhere; who tries will say so
        return Path.cwd() / f".{MAKESHIFT}{user}"


def is_makeshift(path: Path) -> bool:
    """Whether it is in `makeshift_home`."""
    return any(part.lstrip(".").startswith(MAKESHIFT) for part in path.parts)


def expanded(path: str) -> str:
    """What was typed, with a `~` or `~name` at its start as a shell expands it."""
    return os.path.expanduser(path)


def pointed_at(path: Path) -> Path:
    """The file that `path` stands for: where a link leads, whether or not a file is there yet."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def fingerprint_of(path: Path) -> str:
    """A short name for just what the file holds.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def set_aside(path: Path, ending: str) -> Path:
    """Renames the file at `path` to the first free one of NAME.1ENDING, NAME.2ENDING, ...

    Where `path` is a link, that is the file that it leads to.

    Returns:
        what it is called now.

    Raises:
        OSError: it cannot be renamed.
    """
    number, place = 1, pointed_at(path)
    while (kept := place.with_name(f"{place.stem}.{number}{ending}")).exists():
        number += 1
    place.rename(kept)
    return kept


def check_target(target: Path) -> Path:
    """`target`, when a file can be written there: better to know before long work than after.

    Raises:
        TutorError: it cannot be replaced, or its folder cannot be made or written to.
    """
    try:
        os.unlink(new_temporary(checked_place(target)))
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def checked_place(target: Path) -> Path:
    """The file to write for `target`, through links; its folder is made.

    Raises:
        TutorError: it cannot be replaced, saying why.
        OSError: as said by the system.
    """
    place = pointed_at(target)
    make_folder(place.parent)
    try:
        found = place.stat()
    except FileNotFoundError:
        return place
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise TutorError(f"{target} is a link that leads round in a circle.") from error
    if stat.S_ISDIR(found.st_mode):
        raise TutorError(f"{target} is a folder. Name a file instead.")
    if not stat.S_ISREG(found.st_mode):  # a file would take the place of /dev/null itself
        raise TutorError(f"{target} is a pipe or a device. Name a file instead.")
    if not os.access(place, os.W_OK):
        raise TutorError(f"{target} is write-protected. Name another file, or allow writing to it.")
    if is_mounted(place):
        raise TutorError(
            f"{target} is mounted on its own, so no new file can take its place. "
            "Name another file, or mount its folder."
        )
    return place


def is_mounted(file: Path) -> bool:
    """Whether a file is mounted in its folder, as containers do; known on Linux only."""
    if not hasattr(os, "O_PATH"):
        return False
    mounts = []
    for path in (file, file.parent):
        handle = os.open(path, os.O_PATH)  # needs no right to read it
        try:
            facts = Path(f"/proc/self/fdinfo/{handle}").read_text()
        except OSError:
            return False
        finally:
            os.close(handle)
        mounts.append(re.findall(r"^mnt_id:\s*(\d+)", facts, re.MULTILINE))
    return mounts[0] != mounts[1]


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; what was written there becomes `target` at the end.

    The rename is atomic, so a reader sees the old file or the new one, never half of one. After
    an error the temporary file is removed and `target` is as it was. Where `target` is a link, the
    file that it leads to is replaced. A file that was there keeps its mode and owner.

    Raises:
        TutorError: it cannot be replaced, or its folder cannot be made or written to.
    """
    temporary = None
    try:
        place = checked_place(target)
        temporary = new_temporary(place)
        yield temporary
        # Windows syncs no file that was opened to read
        with open(temporary, "r+b") as written, where_possible():
            os.fsync(written.fileno())
        set_mode(temporary, place)
        os.replace(temporary, place)
        sync_folder(place.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def cannot_write(target: Path, error: OSError) -> TutorError:
    """What to say where the system would not have it."""
    too_long = error.errno == errno.ENAMETOOLONG
    what_to_do = "Choose a shorter name." if too_long else "Choose another place or make room."
    return TutorError(f"Cannot write {target}: {error.strerror or error}. {what_to_do}")


def name_parts(target: Path) -> tuple[str, str]:
    """What the name of a temporary for `target` begins and ends with.

    The ending is the target's, as some writers go by it. The name is short enough for any file
    system, however long that of the target is.
    """
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= SUFFIX_BYTES else ""
    stem = os.fsencode(target.stem)[:STEM_BYTES].decode(errors="ignore")  # no half letter
    return f".{stem}-", suffix


def new_temporary(place: Path) -> Path:
    """A new, empty, private file beside `place`."""
    prefix, suffix = name_parts(place)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=place.parent)
    os.close(handle)
    return Path(name)


def set_mode(temporary: Path, place: Path) -> None:
    """Gives a file the mode and owner of the one that it will replace, or those of any new file.

    A disk that keeps no modes, or lets nobody change them, has its own way.
    """
    try:
        old = place.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        mode = 0o666 & ~umask
    else:
        mode = old.st_mode & 0o777
        new = temporary.stat()
        if new.st_gid != old.st_gid:
            with where_possible():
                os.chown(temporary, -1, old.st_gid)
            if temporary.stat().st_gid != old.st_gid:
                mode &= ~0o070  # what one group may do is not for another
        if new.st_uid != old.st_uid:
            with where_possible():
                os.chown(temporary, old.st_uid, -1)
    with where_possible():
        temporary.chmod(mode)


@contextmanager
def where_possible() -> Iterator[None]:
    """Goes on where a disk is unable to do something, and to do without it harms nobody."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Makes sure that a rename in `folder` outlives a power cut, where folders can be synced."""
    if os.name == "posix":
        with where_possible():  # one may also write in a folder and not list it
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Removes what `replacing` left of these files of `folder` when it was killed."""
    for name in names:
        place = pointed_at(folder / name)
        prefix, suffix = map(glob.escape, name_parts(place))
        for leftover in place.parent.glob(f"{prefix}{RANDOM}{suffix}"):
            leftover.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Makes the folder `path` and its parents.

    Raises:
        TutorError: it cannot be made, or a file stands in its place.
    """
    try:
        pointed_at(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TutorError(
            f"Cannot make the folder {path}: {error.strerror}. Choose another place."
        ) from error
    return path


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Makes a folder for what the block writes; takes it away again if nothing was written.

    Raises:
        TutorError: it cannot be made, or a file stands in its place.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty, or gone
            for path in made:
                path.rmdir()
