"""A file is written whole or not at all."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import check_target, filling, make_folder, remove_leftovers, replacing

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
needs_root = pytest.mark.skipif(
    os.name == "nt" or os.getuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def target(tmp_path):
    """A file with something in it, alone in its folder."""
    file = tmp_path / "notes.txt"
    file.write_text("old")
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_becomes_the_file(target):
    with replacing(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert names(target.parent) == ["notes.txt"]


def test_until_the_end_a_reader_sees_the_old_file(target):
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_reader_in_the_middle_of_the_old_file_reads_it_to_the_end(target):
    with open(target) as reader:
        with replacing(target) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_as_it_was(target, error):
    with pytest.raises(error), replacing(target) as temporary:
        temporary.write_text("half of it")
        raise error
    assert target.read_text() == "old"
    assert names(target.parent) == ["notes.txt"]


def test_an_error_while_writing_is_told_to_the_learner(target):
    # an OSError with no number, as libraries raise them, has no strerror
    with pytest.raises(TutorError, match=r"Cannot write .*notes\.txt: the disk is full"):  # noqa: SIM117
        with replacing(target):
            raise OSError("the disk is full")
    assert target.read_text() == "old"
    assert names(target.parent) == ["notes.txt"]


def test_folders_on_the_way_are_made(tmp_path):
    with replacing(tmp_path / "a" / "b" / "notes.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a" / "b" / "notes.txt").read_text() == "new"


def test_the_temporary_file_keeps_the_ending(tmp_path):
    # numpy and imageio choose a format, or add an ending, by it
    with replacing(tmp_path / "grid.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path  # on the same disk, or the rename is not atomic


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "new.txt") as temporary:
            temporary.write_text("new")
        assert os.umask(umask) == umask  # and the process keeps its umask
    finally:
        os.umask(before)
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == mode


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path):
    with pytest.raises(TutorError, match="is a folder"), replacing(tmp_path):
        pass


def test_a_file_in_place_of_the_folder_is_an_error(target):
    with pytest.raises(TutorError, match="Cannot make the folder"), replacing(target / "inner.txt"):
        pass
    assert target.read_text() == "old"


def test_make_folder_makes_parents_and_minds_no_folder_that_is_there(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_make_folder_tells_when_a_file_is_in_the_way(target):
    with pytest.raises(TutorError, match="Cannot make the folder"):
        make_folder(target / "inner")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(TutorError, match="a pipe or a device"), replacing(target):
            pass
    assert not (tmp_path / "pipe").is_file()


def write(target, text="new"):
    with replacing(target) as temporary:
        temporary.write_text(text)


def unable(number=errno.EPERM):
    """What does not go on this disk."""

    def call(*words, **named):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("known", [True, False], ids=["old", "new"])
def test_a_disk_that_knows_no_modes_and_cannot_sync_will_do(tmp_path, monkeypatch, known):
    target = tmp_path / "notes.txt"
    if known:
        target.write_text("old")
    for name in ("chmod", "fsync"):
        monkeypatch.setattr(os, name, unable())
    write(check_target(target))
    assert target.read_text() == "new" and names(tmp_path) == ["notes.txt"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o664])
def test_a_file_keeps_its_mode(target, mode):
    target.chmod(mode)
    write(target)
    assert target.stat().st_mode & 0o777 == mode


@needs_root
def test_a_file_keeps_its_owner_and_its_group(target):
    os.chown(target, 12345, 23456)
    target.chmod(0o640)
    write(target)
    found = target.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o640)


@needs_root
def test_where_the_group_cannot_be_kept_no_other_group_reads_the_file(target, monkeypatch):
    os.chown(target, 12345, 23456)
    target.chmod(0o640)
    monkeypatch.setattr(os, "chown", unable())
    write(target)
    found = target.stat()
    assert (found.st_gid, found.st_mode & 0o777) == (os.getgid(), 0o600)


@pytest.mark.parametrize("there", [True, False], ids=["leads to a file", "leads nowhere"])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path, there):
    real = tmp_path / "disk" / "deep" / "real.txt"
    (tmp_path / "disk").mkdir()
    if there:
        real.parent.mkdir()
        real.write_text("old")
        real.chmod(0o600)
    (tmp_path / "disk" / "second").symlink_to("deep/real.txt")  # from where the link lies
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "disk" / "second")
    check_target(link)
    with replacing(link) as temporary:
        temporary.write_text("new")
        assert temporary.parent == real.parent
    assert link.is_symlink() and (tmp_path / "disk" / "second").is_symlink()
    assert real.read_text() == link.read_text() == "new"
    assert names(real.parent) == ["real.txt"] and names(tmp_path) == ["disk", "link.txt"]
    assert not there or os.name == "nt" or real.stat().st_mode & 0o777 == 0o600


def test_links_that_cannot_be_written_to_are_named_before_the_work(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "round")
    (tmp_path / "round").symlink_to(tmp_path / "circle")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name, says in (("circle", "round in a circle"), ("folder", "is a folder")):
        with pytest.raises(TutorError, match=says):
            check_target(tmp_path / name)
    (tmp_path / "later").symlink_to(tmp_path / "not yet")
    assert make_folder(tmp_path / "later").is_dir() and (tmp_path / "not yet").is_dir()


def test_leftovers_are_found_where_a_link_leads(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.pt").symlink_to(tmp_path / "disk" / "old [1].pt")
    for name in (".old [1]-abc12_xy.pt", "old [1].pt", ".old 1-abc12_xy.pt"):
        (tmp_path / "disk" / name).touch()
    remove_leftovers(tmp_path / "run", ["state.pt"])
    assert names(tmp_path / "disk") == [".old 1-abc12_xy.pt", "old [1].pt"]


LONG = ["a" * 246 + ".gif", "ü" * 125 + ".gif", "x" * 255, "a." + "b" * 250, "." + "c" * 250]


@pytest.mark.parametrize("name", LONG, ids=range(len(LONG)))
def test_a_long_name_is_a_name(tmp_path, name):
    for _ in range(2):
        write(check_target(tmp_path / name))
    assert names(tmp_path) == [name] and (tmp_path / name).read_text() == "new"

    with replacing(tmp_path / name) as temporary:
        pass
    temporary.touch()  # as after a kill
    remove_leftovers(tmp_path, [name])
    assert names(tmp_path) == [name]


def test_a_name_that_is_too_long_is_told_before_the_work(tmp_path):
    with pytest.raises(TutorError, match=r"Cannot write .*too long. Choose a shorter name"):
        check_target(tmp_path / ("a" * 252 + ".gif"))
    assert names(tmp_path) == []


def test_check_target_leaves_nothing_behind(target):
    check_target(target)
    check_target(target.with_name("other.gif"))
    assert names(target.parent) == ["notes.txt"] and target.read_text() == "old"


def test_check_target_tries(tmp_path, monkeypatch):
    # what a disk says of its permissions is not always so, and least of all to root
    monkeypatch.setattr(tempfile, "mkstemp", unable(errno.EROFS))
    with pytest.raises(TutorError, match=r"Cannot write .*Read-only"):
        check_target(tmp_path / "7.gif")


def test_a_write_protected_file_is_not_replaced(target, monkeypatch):
    target.chmod(0o444)
    if os.access(target, os.W_OK):  # root may
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != target)
    with pytest.raises(TutorError, match="write-protected"):
        check_target(target)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="Linux mounts files")
def test_a_file_that_is_mounted_is_refused_before_the_work(target):
    script = """
import sys
from pathlib import Path
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import check_target
try:
    check_target(Path(sys.argv[1]))
except TutorError as error:
    print(error)
"""
    outside = target.with_name("outside.txt")
    outside.write_text("outside")
    words = ["unshare", "-Urm", "sh", "-c", 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"', "-"]
    done = subprocess.run(
        [*words, outside, target, sys.executable, script], capture_output=True, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    assert "is mounted on its own" in done.stdout
    assert outside.read_text() == "outside" and target.read_text() == "old"
    assert check_target(target) == target  # out here nothing is mounted


def test_a_file_in_use_stays_as_it_is(target, monkeypatch):
    monkeypatch.setattr(os, "replace", unable(errno.EBUSY))
    with pytest.raises(TutorError, match=r"Cannot write .*notes\.txt: .*busy"):
        write(target)
    assert target.read_text() == "old" and names(target.parent) == ["notes.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_folder_that_nothing_came_into_is_taken_away_and_no_other(tmp_path, error):
    for folder in tmp_path / "a" / "b", tmp_path:
        with pytest.raises(error), filling(folder):
            assert folder.is_dir()
            raise error
    assert names(tmp_path) == []
    with pytest.raises(error), filling(tmp_path / "a" / "b"):
        (tmp_path / "a" / "notes.txt").write_text("kept")
        raise error
    assert names(tmp_path / "a") == ["notes.txt"]
