"""A file is written whole or not at all."""

import os
from pathlib import Path

import pytest

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import make_folder, replacing


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


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
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
