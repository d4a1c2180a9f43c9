"""Pictures of a learner's own: read as MNIST's are, and changed by `edit` and `gif --image`."""

import io
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from torch import Tensor
from typer.testing import CliRunner, Result

from ddpm_tutor.cli import own_picture
from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.edit import Keep, known_part
from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.classifier import load_classifier, read_digits
from ddpm_tutor.pictures import picture_reading
from ddpm_tutor.pictures.own_digit import connected, like_mnist, read_own_digit
from ddpm_tutor.screen import drawing_pad
from ddpm_tutor.storage.digits import load_offline_digits

SEVEN = [(90, 90), (210, 90), (130, 250)]


def ink(width: int = 24, size: tuple[int, int] = (300, 340)) -> Image.Image:
    """A seven, 255 on 0."""
    picture = Image.new("L", size)
    ImageDraw.Draw(picture).line(SEVEN, fill=255, width=width)
    return picture


def read(image: Tensor) -> int:
    return int(read_digits(load_classifier().model, image).classes[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, of a user without MNIST and without a network."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def tutor(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done


def photo() -> Image.Image:
    """A pen on paper, lit from the left, with the grain of a camera and dirt on the sheet."""
    page = np.asarray(ink(width=7, size=(900, 1200)), np.float32) / 255
    y, x = np.mgrid[0:1:1200j, 0:1:900j]
    light = 215 - 100 * x - 40 * y**2
    page[1000:1006, 700:706] = 1
    grain = np.random.default_rng(0).normal(0, 6, page.shape)
    return Image.fromarray(np.clip(light * (1 - 0.7 * page) + grain, 0, 255).astype(np.uint8))


def half_in_shadow() -> Image.Image:
    """A thin pen on a page, and the shadow of a hand beside it, with a sharp edge."""
    page = np.asarray(ink(width=7, size=(500, 340)), np.float32) / 255
    light = np.where(np.arange(500) > 330, 110, 225)
    return Image.fromarray((light * (1 - 0.7 * page)).astype(np.uint8))


def red_on_green() -> Image.Image:
    """Two colours that are one shade of grey."""
    red, green = (Image.new("RGB", ink().size, colour) for colour in ((230, 90, 90), (90, 150, 90)))
    return Image.composite(red, green, ink())


def with_alpha(shade: int) -> Image.Image:
    picture = Image.new("RGBA", ink().size, (shade, shade, shade, 0))
    picture.putalpha(ink())
    return picture


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(ink()).astype(np.uint16) * 200)


def palette() -> Image.Image:
    return Image.eval(ink(), lambda v: 255 - v).convert("P")


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "white on black.png": ink,
    "black on white.png": lambda: Image.eval(ink(), lambda v: 255 - v),
    "thin.png": lambda: ink(width=3),
    "marker.jpg": lambda: Image.eval(ink(width=40), lambda v: 255 - v),
    "faint.png": lambda: Image.eval(ink(), lambda v: 220 - v // 8),
    "black, alpha.png": lambda: with_alpha(0),
    "white, alpha.png": lambda: with_alpha(255),
    "colour.webp": lambda: Image.merge("RGB", [ink().point(lambda v: v // 2), ink(), ink()]),
    "one bit.png": lambda: ink().convert("1"),
    "16 bits.png": sixteen_bits,
    "palette.gif": palette,
    "photo.jpg": photo,
    "shadow.png": half_in_shadow,
    "red on green.png": red_on_green,
    "tiny.png": lambda: ink().resize((14, 16)),
    "cut close.png": lambda: ink().crop((80, 78, 225, 262)),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_a_seven_of_any_kind_is_a_seven_like_mnists(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    PICTURES[name]().save(path)
    digit = read_own_digit(path)
    assert digit.image.shape == (1, 1, 32, 32) and digit.image.dtype == torch.uint8
    assert read(digit.image) == 7
    inner = digit.image[0, 0, 2:-2, 2:-2].float()
    assert digit.image.sum() == inner.sum() and inner.max() == 255
    rows, columns = (np.flatnonzero(inner.sum(axis) > 0) for axis in (1, 0))
    sides = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert max(sides) == 20, "scaled into 20x20"
    for axis in (0, 1):  # MNIST's digits have theirs at 14, within half a pixel
        centre = float(inner.sum(1 - axis) @ torch.arange(28.0) / inner.sum())
        assert abs(centre - 14) <= 0.51
    assert 12 < inner.mean() < 60  # MNIST's have 33 on average


def test_what_was_done_is_said(tmp_path: Path) -> None:
    photo().save(tmp_path / "photo.jpg")
    done = read_own_digit(tmp_path / "photo.jpg").done
    for words in ("inverted", "evened out", "thickened", "from 900x1200", "20x20", "centre"):
        assert words in done
    ink().save(tmp_path / "white.png")
    done = read_own_digit(tmp_path / "white.png").done
    assert "kept so" in done and "evened" not in done and "thickened" not in done


def test_two_digits_side_by_side_are_doubted(folder: Path) -> None:
    both = Image.new("L", (600, 340))
    for left in (0, 240):
        both.paste(ink().crop((60, 0, 300, 340)), (left, 0))
    both.save("two.png")
    ink().save("one.png")
    assert not read_own_digit(Path("one.png")).doubt
    done = tutor("edit", "two.png", "--t", "1000", "-n", "1", "--steps", "4")
    assert "more than one digit" in done.output
    first, last = [line.split("│")[2].strip() for line in done.output.splitlines()
                   if line.startswith("│")]  # fmt: skip
    nearer = f"0 of 1 still read as a {first}. A smaller --t keeps more of it; --digit {first}"
    assert (nearer in " ".join(done.output.split())) == (first != last)


def test_digits_of_the_data_come_back_as_they_are() -> None:
    digits = load_offline_digits().train_images[:40]
    assert not any(like_mnist(d[0].float().numpy()).doubt for d in digits)
    back = torch.cat([like_mnist(d[0, 2:-2, 2:-2].float().numpy()).image for d in digits])
    inverted = torch.cat([like_mnist(255 - d[0, 2:-2, 2:-2].float().numpy()).image for d in digits])
    assert torch.equal(back, inverted)
    model = load_classifier().model
    same = read_digits(model, back).classes == read_digits(model, digits).classes
    assert same.float().mean() >= 0.95
    assert (back.float() - digits.float()).abs().mean() < 5  # of 255


def test_a_photo_is_turned_as_the_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photo().rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    assert read(read_own_digit(tmp_path / "turned.jpg").image) == 7


def test_pieces_are_those_that_hang_together() -> None:
    random = np.random.default_rng(0)
    for share in (0.2, 0.4, 0.6):
        mask = random.random((13, 17)) < share
        labels, left, pieces = connected(mask), {*zip(*np.nonzero(mask), strict=True)}, 0
        while left:
            todo, pieces = [left.pop()], pieces + 1
            number = labels[todo[0]]
            while todo:
                y, x = todo.pop()
                assert labels[y, x] == number
                near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                left -= near
                todo += near
        assert len(np.unique(labels[mask])) == pieces


def frames(path: Path) -> None:
    ink().save(path, save_all=True, append_images=[Image.eval(ink(), lambda v: 255 - v)])


def noise(path: Path) -> None:
    grain = np.random.default_rng(0).normal(128, 30, (200, 200)).clip(0, 255).astype(np.uint8)
    Image.fromarray(grain).save(path)


def half_a_file(path: Path) -> None:
    photo().save(path)
    path.write_bytes(path.read_bytes()[:5000])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "none.png": (lambda path: None, "There is no picture"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "text.png": (lambda path: path.write_text("hello"), "no picture that can be read"),
    "empty.png": (lambda path: path.touch(), "is an empty file"),
    "white.png": (lambda path: Image.new("L", (90, 90), 255).save(path), "one colour all over"),
    "clear.png": (lambda path: Image.new("RGBA", (90, 90)).save(path), "one colour all over"),
    "dot.png": (lambda path: Image.new("L", (1, 1)).save(path), "one colour all over"),
    "noise.png": (noise, "no strokes that stand out"),
    "walk.gif": (frames, "holds 2 pictures"),
    "half.jpg": (half_a_file, "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_clear_line(folder: Path, name: str) -> None:
    make, says = BAD[name]
    make(folder / name)
    before = sorted(folder.iterdir())
    for words in (["edit", name], ["gif", "--image", name]):
        done = tutor(*words, code=1)
        assert says in done.stderr and name in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_a_huge_picture_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ink().save(tmp_path / "huge.png")
    monkeypatch.setattr(picture_reading, "MAX_PIXELS", 1000)
    monkeypatch.setattr(picture_reading, "grey", lambda picture: pytest.fail("its pixels are read"))
    with pytest.raises(TutorError, match="300 x 340 pixels"):
        read_own_digit(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit
    with pytest.raises(TutorError, match="too many pixels"):
        read_own_digit(tmp_path / "huge.png")


def drawn(frame: np.ndarray) -> np.ndarray:
    """The 32x32 picture on the left of a film's frame."""
    return frame[36 : 36 + 256 : 8, 16 : 16 + 256 : 8, 0]


def test_edit_leads_back_to_the_digit_from_a_small_t(folder: Path) -> None:
    Image.eval(ink(), lambda v: 255 - v).save("my.png")
    done = tutor("edit", "my.png", "--t", "200", "-n", "1", "--steps", "60")
    assert "A smaller --t" not in done.output, "it is still a 7"
    assert "inverted" in done.output and "my_edited.png" in done.output
    assert done.output.count("100 %") + done.output.count("99 %") == 2  # before and after
    film = imageio.imread("my_edited.gif")
    first, last = (torch.from_numpy(drawn(film[i]).copy())[None, None] for i in (0, -1))
    assert torch.equal(first, read_own_digit(Path("my.png")).image)
    assert read(first) == read(last) == 7 and not torch.equal(first, last)
    with Image.open("my_edited.png") as sheet:
        assert sheet.width > 2 * sheet.height


def test_edit_looks_for_both_pictures_before_it_begins(folder: Path) -> None:
    ink().save("my.png")
    done = tutor("edit", "my.png", "--with", "none.png", code=1)
    assert "There is no picture none.png" in done.stderr and not done.stdout


def test_edit_changes_the_label(folder: Path) -> None:
    done = tutor("edit", "7", "--t", "900", "--digit", "3", "-n", "1", "--steps", "30")
    rows = [line.split("│") for line in done.output.splitlines() if line.startswith("│")]
    assert [row[2].strip() for row in rows] == ["7", "3"]
    assert (folder / "digit_7_as_3.png").is_file() and (folder / "digit_7_as_3.gif").is_file()


def test_edit_keeps_the_part_that_it_is_told_to(folder: Path) -> None:
    ink().save("my.png")
    tutor("edit", "my.png", "--keep", "top", "-n", "1", "--steps", "8", "--resamples", "2",
          "--out", "half")  # fmt: skip
    last = drawn(imageio.imread("half.gif")[-1])
    mine = read_own_digit(Path("my.png")).image[0, 0].numpy()
    assert np.array_equal(last[:16], mine[:16]) and not np.array_equal(last[16:], mine[16:])


def test_edit_mixes_two(folder: Path) -> None:
    ink().save("my.png")
    done = tutor("edit", "my.png", "--with", "1", "-n", "3", "--t", "50", "--steps", "100")
    rows = [line.split("│") for line in done.output.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["yours", "a 1", "λ = 0.00", "λ = 0.50", "λ = 1.00"]
    to_mine, to_other = ([float(row[i]) for row in rows[2:]] for i in (4, 5))
    assert to_mine == sorted(to_mine) and to_other == sorted(to_other, reverse=True)
    assert to_mine[0] < 0.15 and to_other[-1] < 0.15
    assert (folder / "my_with_1.gif").is_file()


def test_the_parts_to_keep_are_what_they_are_called() -> None:
    half = {Keep.top: (0, 0), Keep.bottom: (31, 31), Keep.left: (31, 0), Keep.right: (0, 31)}
    for keep, corner in half.items():
        known = known_part(keep)[0, 0]
        assert known.sum() == 512 and known[corner]
    box, frame = known_part(Keep.box), known_part(Keep.frame)
    assert torch.equal(box, ~frame) and box[0, 0, 16, 16] and not box[0, 0, 0].any()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["my.png", "--keep", "top", "--with", "7"], "one of --keep and --with"),
        (["my.png", "--keep", "top", "--t", "500"], "leave --t out"),
        (["my.png", "--resamples", "4"], "goes with --keep"),
        (["my.png", "--with", "7", "--digit", "3"], "has no label"),
        (["my.png", "--with", "7", "-n", "1"], "from 2 on"),
        (["my.png", "--t", "1001"], "--t is from 1 to 1000"),
        (["my.png", "--out", "my.png"], "would be written over"),
        (["my.png", "--with", "other.gif", "--out", "other"], "would be written over"),
        (["my.png", "--out", "my.bmp"], "must end in .png"),
        (["7", "--draw"], "my_7.png"),
        (["my.png", "--draw"], "takes a terminal"),
    ],
)
def test_edit_refuses_what_does_not_go_together(folder: Path, words: list[str], says: str) -> None:
    ink().save("my.png")
    palette().save("other.gif")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert says in tutor("edit", *words, code=2).stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_gif_dissolves_a_picture_and_draws_it_anew(folder: Path) -> None:
    ink().save("my.png")
    done = tutor("gif", "--image", "my.png", "--steps", "50")
    assert "Read as a 7" in done.output and "my_roundtrip.gif" in done.output
    film = imageio.imread("my_roundtrip.gif")
    mine = read_own_digit(Path("my.png")).image
    assert np.array_equal(drawn(film[0]), mine[0, 0].numpy())
    assert read(torch.from_numpy(drawn(film[-1]).copy())[None, None]) == 7
    refused = tutor("gif", "--image", "my.png", "--direction", "denoise", code=2)
    assert "roundtrip" in refused.stderr
    ink().save("one.gif")
    refused = tutor("gif", "--image", "one.gif", "--out", "one.gif", code=2)
    assert "written over" in refused.stderr


def test_what_is_drawn_is_saved_and_an_earlier_picture_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(own_picture, "is_terminal", lambda stream: True)
    monkeypatch.setattr(own_picture, "in_notebook", lambda: False)
    drawings = iter([np.asarray(ink()), None, np.asarray(ink(width=40))])
    monkeypatch.setattr(drawing_pad, "draw_on_pad", lambda console: next(drawings))
    path = Path("my.png")
    own_picture.draw_picture(console, path)
    first = path.read_bytes()
    assert read(read_own_digit(path).image) == 7
    with pytest.raises(TutorError, match="Nothing was drawn"):
        own_picture.draw_picture(console, path)
    assert path.read_bytes() == first
    own_picture.draw_picture(console, path)
    assert Path("my.1.png").read_bytes() == first != path.read_bytes()
    with pytest.raises(TutorError, match=r"must end in \.png"):
        own_picture.draw_picture(console, Path("my.jpg"))
