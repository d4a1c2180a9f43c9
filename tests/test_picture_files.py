"""Pictures and films on disk: what readers find there, and what the endings of names mean."""

import os
import struct
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import bundled
from ddpm_tutor.pictures.film_strips import MOMENT_MS, film_of
from ddpm_tutor.pictures.films import FRAMES, Frame, film, frame_times
from ddpm_tutor.pictures.grids import columns_of_whole, enlarged, grid
from ddpm_tutor.pictures.picture_files import (
    FILMS,
    FRAME_MS,
    HOLD_MS,
    PICTURES,
    Pixels,
    film_endings,
    picture_endings,
    with_ending,
    write_film,
    write_picture,
)
from ddpm_tutor.science.diffusion import q_sample
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.storage.digits import load_offline_digits
from ddpm_tutor.storage.film_strip import load_film_strip


def dissolving(count: int) -> list[Pixels]:
    """A film of real length: `count` digits of 0 to 9 dissolve."""
    torch.manual_seed(0)
    digits, schedule = load_offline_digits(), linear_schedule()
    x_0 = torch.stack([to_unit_range(digits.of_class(i)[0]) for i in range(count)])
    frames = []
    for t in frame_times(schedule, FRAMES):
        steps = torch.full((count,), t)
        frames.append(Frame(t, q_sample(schedule, x_0, steps, torch.randn_like(x_0)), x_0))
    return film(frames, "a title")


def bright(picture: Pixels, rows: slice) -> int:
    """How many pixels there are written on."""
    return int((picture[rows] > 100).sum())


def test_a_film_of_several_of_each_digit_keeps_those_of_one_digit_in_one_row() -> None:
    for n, group, columns in ((20, 2, 4), (10, 1, 5), (30, 3, 6), (50, 5, 10), (360, 36, 36)):
        assert columns_of_whole(n, group) == columns
    twenty = -torch.ones(20, 1, 32, 32)
    twenty[4:6] = 1  # the third pair: it begins the second row
    (picture,) = film([Frame(0, twenty, twenty)], group=2)
    left = picture[36:-36, 16 : 16 + 3 * (4 * 34 - 2)]  # at three times their size
    assert left[3 * 34 : 3 * 66, : 3 * 32].min() == left[3 * 34 : 3 * 66, 3 * 34 : 3 * 66].min()
    assert left[3 * 34 : 3 * 66, : 3 * 32].min() == 255


def test_a_film_of_several_digits_is_no_larger_than_needs_be() -> None:
    sides = {n: film([Frame(0, x := torch.zeros(n, 1, 32, 32), x)])[0].shape[0] - 72
             for n in (1, 4, 10)}  # fmt: skip
    assert sides == {1: 8 * 32, 4: 4 * 66, 10: 3 * 66}


def test_a_film_that_runs_both_ways_says_which_way_it_runs() -> None:
    frames = [Frame(t, torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)) for t in (5, 5)]
    there, back = film(frames, ways=["noise is added", "noise is taken out"])
    plain, _ = film(frames)
    below = slice(-36, None)
    assert bright(plain, below) < bright(there, below) < bright(back, below)
    assert np.array_equal(there[:-36], back[:-36])


@pytest.fixture(scope="module")
def films() -> dict[str, list[Pixels]]:
    """One digit, ten digits, and the film strip of a training: large frames and small."""
    return {"one": dissolving(1), "ten": dissolving(10), "strip": film_of(load_film_strip())}


def gif_frames(path: Path) -> list[tuple[bool, int]]:
    """By the bytes of a GIF: has each frame a palette of its own, and its delay in ms."""
    data, frames, delay = path.read_bytes(), [], 0
    assert data[:6] == b"GIF89a" and data[10] & 0x80  # there is a palette for all

    def palette(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    def after_blocks(at: int) -> int:
        while data[at]:
            at += 1 + data[at]
        return at + 1

    at = 13 + palette(data[10])
    while data[at] != 0x3B:
        if data[at] == 0x21:  # an extension; 0xF9 is what stands before a frame
            if data[at + 1] == 0xF9:
                delay = 10 * struct.unpack_from("<H", data, at + 4)[0]
            at = after_blocks(at + 2)
        else:
            assert data[at] == 0x2C
            flags = data[at + 9]
            frames.append((bool(flags & 0x80), delay))
            at = after_blocks(at + 10 + palette(flags) + 1)
    return frames


def read_by_pillow(path: Path) -> tuple[np.ndarray, list[float]]:
    """The frames, (N, H, W, 3), and for how many ms each is seen."""
    frames, delays = [], []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            delays.append(image.info["duration"])  # of a WebP known only when it is decoded
    return np.stack(frames), delays


@pytest.mark.parametrize("name", ["one", "ten", "strip"])
def test_all_frames_of_a_gif_share_one_palette(tmp_path: Path, films, name: str) -> None:
    write_film(tmp_path / "a.gif", films[name], hold=[3, -1])
    frames = gif_frames(tmp_path / "a.gif")
    assert len(frames) == len(films[name]) >= 70
    assert not any(own for own, _ in frames)
    assert [i for i, (_, delay) in enumerate(frames) if delay == HOLD_MS] == [3, len(frames) - 1]


@pytest.mark.parametrize("name", ["film_strip.gif", "readme/digit_7.gif"])
def test_so_do_those_of_the_gifs_that_we_show(name: str) -> None:
    if not (bundled("assets") / name).exists():
        pytest.skip("not in the installed package")
    frames = gif_frames(bundled("assets") / name)
    assert len(frames) > 70 and not any(own for own, _ in frames)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The image decoding")  # torchvision means to give them up
@pytest.mark.parametrize("name", ["one", "ten", "strip"])
def test_three_readers_see_the_same_gif(tmp_path: Path, films, name: str) -> None:
    path = tmp_path / "a.gif"
    write_film(path, films[name], hold=[3, -1], frame_ms=MOMENT_MS)
    pillow, delays = read_by_pillow(path)
    assert (pillow[..., 0] == np.stack(films[name])).all()
    assert (pillow.max(axis=3) - pillow.min(axis=3)).max() <= 1  # greys, but for a shade
    assert delays == [delay for _, delay in gif_frames(path)]
    assert sum(delays) == 2 * HOLD_MS + (len(delays) - 2) * MOMENT_MS
    assert (imageio.imread(path) == pillow).all()
    giflib = pytest.importorskip("torchvision.io")
    if not hasattr(giflib, "decode_gif"):
        pytest.skip("this torchvision reads no GIFs any more")
    frames = giflib.decode_gif(giflib.read_file(str(path)))
    assert (frames.permute(0, 2, 3, 1).numpy() == pillow).all()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [*FILMS, ".PNG"])
def test_a_film_in_any_format_has_the_same_frames(tmp_path: Path, films, ending: str) -> None:
    if ending.lower() not in film_endings():
        pytest.skip("this build of Pillow cannot write it")
    path = tmp_path / f"a{ending}"
    write_film(path, films["one"], hold=[3, -1])
    with Image.open(path) as image:
        assert image.format == FILMS[ending.lower()].name
        image.seek(1)
        assert image.info.get("loop", 0) == 0  # an AVIF has none to read: it loops unless told not
    frames, delays = read_by_pillow(path)
    assert (frames[..., 0] == np.stack(films["one"])).all()
    expected = [FRAME_MS] * len(films["one"])
    expected[3] = expected[-1] = HOLD_MS
    assert delays == expected
    alike = np.stack([frame[..., :3] for frame in imageio.imiter(path, mode="RGB")])
    assert (alike == frames).all()


@pytest.mark.parametrize("ending", FILMS)
def test_equal_frames_in_a_row_are_seen_as_long(tmp_path: Path, ending: str) -> None:
    if ending not in film_endings():
        pytest.skip("this build of Pillow cannot write it")
    black, white = np.zeros((40, 60), np.uint8), np.full((40, 60), 255, np.uint8)
    write_film(tmp_path / f"a{ending}", [black, white, white, black, black])
    frames, delays = read_by_pillow(tmp_path / f"a{ending}")
    assert len(frames) == (5 if ending == ".avif" else 3)  # Pillow joins them in all but AVIFs
    assert sum(delays) == 4 * FRAME_MS + HOLD_MS
    assert frames[0].max() == 0 and frames[-1].max() == 0 and frames[1].min() == 255


@pytest.mark.parametrize("ending", FILMS)
def test_a_film_of_one_frame(tmp_path: Path, films, ending: str) -> None:
    if ending not in film_endings():
        pytest.skip("this build of Pillow cannot write it")
    write_film(tmp_path / f"a{ending}", films["one"][:1])
    with Image.open(tmp_path / f"a{ending}") as image:
        assert (np.asarray(image.convert("RGB"))[..., 0] == films["one"][0]).all()


def test_a_gif_s_pixels_are_sharp(tmp_path: Path) -> None:
    digit = torch.full((1, 1, 32, 32), -1.0)
    digit[..., 10:20, 15] = 1.0
    write_film(tmp_path / "a.gif", film([Frame(1, digit, digit), Frame(0, digit, -digit)]))
    first = imageio.imread(tmp_path / "a.gif")[0][..., 0]
    inside = first[36 : 36 + 256, 16 : 16 + 256]  # below the caption, beside the margin
    assert set(np.unique(inside)) == {0, 255}
    assert (inside == 255).sum() == 10 * 8 * 8


@pytest.mark.parametrize("ending", [*PICTURES, ".JPG"])
def test_a_picture_is_what_its_ending_says(tmp_path: Path, ending: str) -> None:
    if ending.lower() not in picture_endings():
        pytest.skip("this build of Pillow cannot write it")
    sheet = enlarged(grid(load_offline_digits().train_images[:10, None]), 2)
    write_picture(tmp_path / f"a{ending}", sheet)
    with Image.open(tmp_path / f"a{ending}") as image:
        assert image.format == PICTURES[ending.lower()].name
        off = np.abs(np.asarray(image.convert("L")).astype(int) - sheet)
    assert off.mean() < 1 if image.format == "JPEG" else off.max() == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for files")
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_a_film_that_does_not_fit_leaves_the_old_one(tmp_path: Path, films, ending: str) -> None:
    import resource

    path = tmp_path / f"a{ending}"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(TutorError, match=r"Cannot write .* File too large"):
            write_film(path, films["one"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("a.gif", "a.gif"), ("a.PNG", "a.PNG"), ("a", "a.gif"), ("b.c/a", "b.c/a.gif")],
)
def test_a_name_without_an_ending_gets_one(given: str, meant: str) -> None:
    assert with_ending(Path(given), [".gif", ".png"]) == Path(meant)


def test_another_ending_is_refused_in_one_line_that_says_what_can_be() -> None:
    with pytest.raises(UsageError, match=r"^Cannot write a\.mp4: .* \.gif, \.png or \.webp\.$"):
        with_ending(Path("a.mp4"), [".gif", ".png", ".webp"])
    with pytest.raises(UsageError, match=r"^Cannot write a\.txt: its name must end in \.npz\.$"):
        with_ending(Path("a.txt"), [".npz"])


def test_what_pillow_lacks_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    for formats in (Image.SAVE, Image.SAVE_ALL):
        monkeypatch.delitem(formats, "WEBP", raising=False)
        monkeypatch.delitem(formats, "AVIF", raising=False)
    assert film_endings() == [".gif", ".png", ".apng"]
    assert ".webp" not in picture_endings() and ".jpg" in picture_endings()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, of a user with nothing else."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("COLUMNS", "120")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


SEVEN = ["--digit", "7", "--steps", "3", "--guidance", "1"]


@pytest.mark.parametrize(
    ("out", "written", "says"),
    [
        ([], "digit_7.gif", "GIF saved: digit_7.gif"),
        (["--out", "seven"], "seven.gif", "GIF saved: seven.gif"),
        (["--out", "a/seven.png"], "a/seven.png", "PNG saved: a/seven.png"),
        (["--out", "seven.webp"], "seven.webp", "WEBP saved: seven.webp"),
    ],
)
def test_gif_writes_what_the_ending_says(folder: Path, out: list[str], written, says) -> None:
    if Path(written).suffix not in film_endings():
        pytest.skip("this build of Pillow cannot write it")
    done = CliRunner().invoke(app, ["gif", *SEVEN, *out])
    assert done.exit_code == 0 and says in done.output
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / written]
    with Image.open(folder / written) as image:
        assert image.format == FILMS[Path(written).suffix].name
    frames, delays = read_by_pillow(folder / written)
    assert len(frames) == 4 and delays == [FRAME_MS] * 3 + [HOLD_MS]


def test_sample_writes_what_the_endings_say(folder: Path) -> None:
    words = ["sample", "--digit", "7", "-n", "1", "--steps", "1", "--out", "a.jpg", "--npz", "b"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "Saved: a.jpg" in done.output and "Saved: b.npz" in done.output
    with Image.open(folder / "a.jpg") as image:
        assert image.format == "JPEG"
    assert np.load(folder / "b.npz")["images"].shape == (1, 32, 32)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["gif", *SEVEN, "--out", "a.mp4"], 2, "its name must end in .gif, .png, .apng"),
        (["gif", *SEVEN, "--out", "a.jpg"], 2, "its name must end in .gif, .png, .apng"),
        (["gif", *SEVEN, "--out", "v0.5"], 2, "its name must end in .gif, .png, .apng"),
        (["gif", *SEVEN, "--out", "."], 1, "is a folder"),
        (["gif", *SEVEN, "--out", "/dev/null"], 1, "is a pipe or a device"),
        (["sample", *SEVEN, "--out", "a.mp4"], 2, "its name must end in .png, .jpg"),
        (["sample", *SEVEN, "--npz", "a.txt"], 2, "Cannot write a.txt: its name must end in .npz."),
        (["sample", *SEVEN, "--npz", "a.npy"], 2, "Cannot write a.npy: its name must end in .npz."),
    ],
)
def test_other_endings_are_refused_before_the_model_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    def too_late(*given: object) -> None:
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(f"ddpm_tutor.cli.{words[0]}.open_checkpoint", too_late)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code and says in done.output.replace("\n", " ")
    assert not list(folder.iterdir())
