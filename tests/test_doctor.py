"""`doctor`: drawn digits measured and compared, losses judged, symptoms that lead somewhere."""

import io
import json
import math
import os
import pickle
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_documents import parse
from torch import Tensor
from typer.testing import CliRunner, Result

from ddpm_tutor.cli import doctor_losses, doctor_symptoms
from ddpm_tutor.cli.app import app
from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.diagnosis import RIGHT, diagnose, load_pictures, load_table
from ddpm_tutor.evaluation.loss_curves import judge
from ddpm_tutor.evaluation.symptoms import noise_of, same_pictures, step_of_noise
from ddpm_tutor.grading.causes import OTHERS, TAUGHT, UNSEEN, find_cause, lesson_command
from ddpm_tutor.grading.complaints import COMPLAINTS
from ddpm_tutor.grading.known_mistakes import bugs
from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.sheets import read_digits_of
from ddpm_tutor.science.diffusion import q_sample
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.pixels import to_uint8, to_unit_range
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.storage.digits import load_offline_digits
from ddpm_tutor.storage.loss_files import read_losses


@pytest.fixture(scope="module")
def real() -> Tensor:
    """64 right digits, (64, 1, 32, 32) uint8, none of which the table was made of."""
    return load_offline_digits().validation_images[5:69]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, on a screen of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def tutor(*words: str, code: int | None = None) -> Result:
    """Without a code of its own, it is 1 where something is wrong, and says so."""
    done = CliRunner().invoke(app, ["doctor", *words])
    wanted = int("✗" in done.stdout) if code is None else code
    assert done.exit_code == wanted, done.output
    return done


def noisy(x_0: Tensor, sigma: float, seed: int = 1) -> Tensor:
    return x_0 + sigma * normal(x_0.shape, stream(seed, "doctor"), "cpu")


# --- measures


@pytest.mark.parametrize("t", [5, 10, 30, 100, 200, 300])
def test_the_step_of_the_noise_is_found_within_a_tenth(
    real: Tensor, schedule: Schedule, t: int
) -> None:
    x_0 = to_unit_range(real)
    eps = normal(x_0.shape, stream(0, "doctor", t), "cpu")
    x_t = q_sample(schedule, x_0, torch.full((64,), t), eps)
    added = noisy(x_0, math.sqrt(1 - float(schedule.alpha_bar[t])))
    for drawn in (x_t, added):
        found = step_of_noise(schedule, float(noise_of(to_uint8(drawn)).median()))
        assert abs(found - t) <= max(1, 0.1 * t)


def test_what_is_no_noise_is_not_taken_for_it(real: Tensor) -> None:
    assert float(noise_of(real).median()) < 0.005
    x_0 = to_unit_range(real)
    rising = torch.linspace(0, 0.4, 32).expand_as(x_0)  # a veil from left to right
    assert float(noise_of(to_uint8(x_0 * 0.7 + rising)).median()) < 0.02


def test_pictures_that_are_the_same_are_counted(real: Tensor) -> None:
    assert same_pictures(real) == 0
    assert same_pictures(torch.cat([real[:5], real[:3]])) == 3


# --- sheets


def make_grid(images: Tensor, gap: int, border: int, shade: int = 0) -> np.ndarray[Any, Any]:
    """As torchvision's `make_grid` lays out eight in a row."""
    side, rows = images.shape[-1], len(images) // 8
    size = [n * (side + gap) - gap + 2 * border for n in (rows, 8)]
    sheet = np.full(size, shade, np.uint8)
    for i, image in enumerate(images[:, 0].numpy()):
        top, left = (border + place * (side + gap) for place in divmod(i, 8))
        sheet[top : top + side, left : left + side] = image
    return sheet


@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize(
    ("gap", "border", "shade", "factor"),
    [(2, 2, 0, 1), (0, 0, 0, 3), (0, 0, 0, 1), (1, 0, 255, 2), (5, 5, 128, 1)],
)
def test_a_sheet_is_cut_into_its_digits(
    real: Tensor, folder: Path, side: int, gap: int, border: int, shade: int, factor: int
) -> None:
    images = real if side == 32 else real[..., 2:-2, 2:-2]
    sheet = enlarged(make_grid(images, gap, border, shade), factor)
    Image.fromarray(sheet).convert("RGB").save("sheet.png")
    found = read_digits_of(Path("sheet.png"))
    assert torch.equal(found.images[..., 2:-2, 2:-2], real[..., 2:-2, 2:-2])
    assert f"{side}x{side} pixels" in found.read_as


def test_other_sheets_are_cut(real: Tensor, folder: Path) -> None:
    Image.fromarray(enlarged(grid(real[:10]), 2)).save("ours.png")
    assert torch.equal(read_digits_of(Path("ours.png")).images, real[:10])
    Image.fromarray(enlarged(make_grid(real, 2, 2), 4)).save("sheet.jpg", quality=85)
    found = read_digits_of(Path("sheet.jpg")).images
    assert len(found) == 64 and float((found.float() - real.float()).abs().mean()) < 4
    paper = Image.new("L", (640, 480), 255)  # as matplotlib lays out subplots
    for i in range(6):
        digit = Image.fromarray(real[i, 0].numpy()).resize((123, 123), Image.Resampling.BILINEAR)
        paper.paste(digit, (60 + 190 * (i % 3), 80 + 200 * (i // 3)))
    paper.save("figure.png")
    assert len(read_digits_of(Path("figure.png")).images) == 6
    Image.fromarray(real[0, 0, 2:-2, 2:-2].numpy()).save("one.png")
    assert read_digits_of(Path("one.png")).read_as == "one digit of 28x28 pixels"


@pytest.mark.parametrize(
    "arrange",
    [
        lambda x: x.numpy(),
        lambda x: to_unit_range(x).numpy(),
        lambda x: (x / 255).numpy()[:, 0],
        lambda x: (x / 255).expand(-1, 3, -1, -1).numpy(),
        lambda x: to_unit_range(x).permute(0, 2, 3, 1).numpy().astype(np.float16),
        lambda x: x.flatten(1).double().numpy(),
    ],
)
def test_arrays_of_any_usual_range_are_read(
    real: Tensor, folder: Path, arrange: Callable[[Tensor], Any]
) -> None:
    array = arrange(real)
    np.savez("drawn.npz", labels=np.arange(64), images=array)
    torch.save({"samples": torch.from_numpy(array.astype(np.float32))}, "drawn.pt")
    for name in ("drawn.npz", "drawn.pt"):
        found = read_digits_of(Path(name)).images
        assert int((found.int() - real.int()).abs().max()) <= 1


def test_pictures_of_nan_are_not_called_right(real: Tensor, folder: Path) -> None:
    array = to_unit_range(real[:20]).numpy()
    array[3:7, :, 5] = np.nan
    np.savez("drawn.npz", images=array, labels=np.arange(20) % 10)
    found = read_digits_of(Path("drawn.npz"))
    assert (found.broken, len(found.images)) == (4, 16)
    assert found.labels is not None and found.labels.tolist()[:5] == [0, 1, 2, 7, 8]
    said = " ".join(tutor("drawn.npz").output.split())
    assert "✗ NaN or infinity in 4 pictures" in said
    np.savez("drawn.npz", images=3.7 * to_unit_range(real[:20]).numpy())
    assert "beyond the range" in read_digits_of(Path("drawn.npz")).notes[0]


def test_an_array_of_several_moments_is_refused(real: Tensor, folder: Path) -> None:
    np.save("steps.npy", real[:8].reshape(4, 2, 1, 32, 32).numpy())
    with pytest.raises(TutorError, match="holds no digits"):
        read_digits_of(Path("steps.npy"))


def subplots(images: Tensor, **given: Any) -> None:
    """Saves sixteen digits as a figure, as most people do."""
    from matplotlib.figure import Figure

    figure = Figure((6, 6))
    for digit, axes in zip(images, figure.subplots(4, 4).flat, strict=True):
        axes.imshow(digit[0, 2:-2, 2:-2].numpy(), **given)
        axes.set_title("label 7")
    figure.suptitle("Samples after 10 epochs")
    figure.savefig("figure.png")


def one_axes(images: Tensor, **given: Any) -> None:
    """Saves a sheet of sixteen digits as a figure."""
    from matplotlib.figure import Figure

    figure = Figure((5, 5))
    axes = figure.subplots()
    axes.imshow(make_grid(images[..., 2:-2, 2:-2], 2, 2), **given)
    axes.set_title("Samples")
    figure.savefig("figure.png")


@pytest.mark.parametrize("draw", [subplots, one_axes])
@pytest.mark.parametrize("colours", ["gray", "viridis"])
def test_a_figure_with_titles_axes_and_colours_is_cut(
    real: Tensor, folder: Path, draw: Callable[..., None], colours: str
) -> None:
    draw(real[:16], cmap=colours)
    found = read_digits_of(Path("figure.png"))
    assert len(found.images) == 16 and ("viridis" in found.read_as) is (colours == "viridis")
    assert "vmin" in found.notes[0]
    assert float((found.images.float() - real[:16].float()).abs().mean()) < 10
    assert diagnose(found.images).looks_right


def test_a_sheet_of_another_size_is_cut(real: Tensor, folder: Path) -> None:
    sheet = Image.fromarray(make_grid(real[:16, :, 2:-2, 2:-2], 2, 2))
    sheet.resize((503, 127), Image.Resampling.BILINEAR).save("smooth.png")
    found = read_digits_of(Path("smooth.png")).images
    assert len(found) == 16 and diagnose(found).looks_right
    digit = Image.fromarray(real[0, 0, 2:-2, 2:-2].numpy())
    digit.resize((140, 140), Image.Resampling.BICUBIC).save("one.gif")  # as large as 5 x 5 tiles
    assert len(read_digits_of(Path("one.gif")).images) == 1


def test_a_folder_of_pictures_is_read(real: Tensor, folder: Path) -> None:
    for i in range(3):
        Image.fromarray(real[i, 0].numpy()).save(f"{i}.png")
    Path("notes.txt").write_text("none")
    Path("9.png").write_bytes(b"\x89PNG")
    found = read_digits_of(folder)
    assert torch.equal(found.images, real[:3]) and "1 could not be read" in found.notes[0]
    for _ in range(2):  # the second time what was written the first time lies there, too
        assert "3 digits of 3 pictures" in " ".join(tutor(".").output.split())
    assert Path("doctor.png").exists()


class Code:
    """What would leave a trace where it ran."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def broken(kind: str) -> Path:
    """A file, or a folder, that holds no digits."""
    path = Path(kind)
    match path.stem:
        case "folder":
            path.mkdir()
        case "truncated":
            whole = io.BytesIO()
            Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(
                whole, "PNG"
            )
            path.write_bytes(whole.getvalue()[:900])
        case "hdf5":
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        case "code":
            torch.save(Code(), path)
        case "pickled":
            path.write_bytes(pickle.dumps(Code()))
        case "objects":
            np.save(path, np.array([Code()], object), allow_pickle=True)
        case "empty":
            path.touch()
        case "huge":
            with path.open("wb") as file:
                file.truncate(1_000_000_000)
        case "bomb":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
                parts.writestr("images.npy", bytes(101_000_000))
        case "weights":
            torch.save({"layer": torch.zeros(3, 5)}, path)
        case "nan":
            np.save(path, np.full((4, 28, 28), np.nan))
        case "oblong":
            Image.new("L", (300, 97)).save(path)
        case "wide":
            Image.new("L", (8000, 20)).save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("folder", "holds no pictures"),
        ("truncated.png", "cannot be read"),
        ("hdf5.h5", "HDF5"),
        ("code.pt", "more than tensors"),
        ("pickled.pth", "more than tensors"),
        ("objects.npy", "Python objects"),
        ("empty.png", "empty file"),
        ("huge.npz", "1,000 MB"),
        ("huge.png", "1,000 MB"),
        ("bomb.npz", "101 MB"),
        ("weights.pt", "no digits of 28x28"),
        ("nan.npy", "none of its numbers is finite"),
        ("oblong.png", "300x97 pixels"),
        ("wide.png", "8,000 pixels a side"),
        ("nowhere.png", "no file"),
        ("huge.csv", "1,000 MB"),
        ("empty.csv", "empty file"),
    ],
)
def test_what_cannot_be_read_gets_a_line_and_is_not_run(folder: Path, kind: str, says: str) -> None:
    done = tutor(str(broken(kind)), code=1)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not Path("ran").exists() and not Path("doctor.png").exists()


# --- the likeliest mistake


def as_bytes(x: Tensor) -> Tensor:
    """As `astype(uint8)` wraps what is beyond the range."""
    return ((x + 1) * 127.5).round().to(torch.int32).remainder(256).to(torch.uint8)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("inverted", lambda x_0: to_uint8(-x_0)),
        ("range_grey", lambda x_0: to_uint8((x_0 + 1) / 2)),
        ("root_alpha_bar", lambda x_0: to_uint8(0 * x_0 - 1)),
        ("fresh_noise", lambda x_0: to_uint8(noisy(x_0, 150.0))),
        ("no_fading_back", lambda x_0: to_uint8(noisy(0.97 * x_0, 0.004))),
        ("wrapped", lambda x_0: as_bytes(noisy(x_0, 0.004))),
        (RIGHT, lambda x_0: to_uint8(noisy(x_0, 0.005))),
    ],
)
def test_a_fault_that_was_made_is_named(
    real: Tensor, name: str, fault: Callable[[Tensor], Tensor]
) -> None:
    found = diagnose(fault(to_unit_range(real[:16])))
    assert name in found.likeliest.group.causes, found.suspects[:3]
    assert 0.4 < found.likeliest.probability <= 1
    assert sum(suspect.probability for suspect in found.suspects) == pytest.approx(1)


@pytest.mark.parametrize(
    "fault",
    [
        lambda x_0: torch.linspace(0, 255, 32).expand_as(x_0).to(torch.uint8),
        lambda x_0: to_uint8(x_0 / 2 - 0.5),  # half as bright
    ],
)
def test_what_no_mistake_draws_is_not_named(
    real: Tensor, folder: Path, fault: Callable[[Tensor], Tensor]
) -> None:
    np.save("drawn.npy", fault(to_unit_range(real[:16])).numpy())
    said = " ".join(tutor("drawn.npy").output.split())
    assert "like no mistake that is known here" in said and "Furthest from right ones" in said


def test_one_picture_again_and_again_is_not_right(real: Tensor, folder: Path) -> None:
    images = torch.cat([real[:1].expand(14, -1, -1, -1), real[1:3]])
    np.save("drawn.npy", images.numpy())
    said = " ".join(tutor("drawn.npy").output.split())
    assert "13 of 16 pictures are the same" in said and "one x_T used for all?" in said


@pytest.mark.parametrize("count", [1, 4, 16, 64])
def test_right_digits_look_right(real: Tensor, count: int) -> None:
    assert diagnose(real[:count]).looks_right


def test_every_mistake_that_draws_is_in_one_group() -> None:
    table, pictures = load_table(), load_pictures()
    names = [cause for group in table.groups for cause in group.causes]
    assert len(names) == len(set(names))
    assert {bug.name for bug in bugs()} | set(OTHERS) <= set(names)
    assert list(pictures) == [group.name for group in table.groups]
    right, of = (sum(table.measured["right"][n][i] for n in ("4", "16")) for i in (0, 1))
    assert right / of > 0.75  # on drawings that it was not made of
    _, _, right, of = table.measured["sure"][0]  # where it said 90 % and more
    assert right / of > 0.9
    wrong, sets = table.measured["false_alarms"]["drawn"]["16"]
    assert wrong / sets < 0.05


def test_the_doctor_shows_the_mistake_beside_what_was_drawn(real: Tensor, folder: Path) -> None:
    Image.fromarray(make_grid(to_uint8((to_unit_range(real) + 1) / 2), 2, 2)).save("drawn.png")
    said = " ".join(tutor("drawn.png").output.split())
    assert "8 x 8 tiles of 32x32 pixels, gaps of 2" in said
    assert "Likeliest" in said and "taken for [-1, 1]" in said
    assert lesson_command(1, "From -1 to +1") in said
    with Image.open("doctor.png") as picture:
        assert picture.size[0] > 300
    Path("drawn.png").rename("doctor.png")
    assert "would be written over" in tutor("doctor.png", code=2).stderr


def test_the_doctor_says_what_looks_right(real: Tensor, folder: Path) -> None:
    np.savez("drawn.npz", images=real[:16])
    said = tutor("drawn.npz", "--out", "beside.png").output
    assert "Looks right" in said and "Saved: beside.png" in said


@pytest.mark.parametrize(
    ("shade", "said"),
    [(0, "every pixel is black. NaN"), (255, "every pixel is white"), (128, "every pixel is grey")],
)
def test_an_empty_picture_is_called_so_and_no_mistake_is_sure(shade: int, said: str) -> None:
    found = diagnose(torch.full((16, 1, 32, 32), shade, dtype=torch.uint8))
    assert said in found.verdict and "%" not in found.verdict and not found.looks_right
    # what the known mistake draws that runs away
    assert found.is_named == (shade == 0)
    assert found.is_named == ("all_off_by_one" in found.likeliest.group.causes)
    assert not any("Read as" in note for note in found.notes)


def test_pictures_of_one_shade_each_are_not_called_grey(real: Tensor) -> None:
    found = diagnose(torch.cat([torch.zeros_like(real[:8]), torch.full_like(real[:8], 255)]))
    assert "Nothing is drawn: each picture has one shade." in found.verdict
    assert not found.is_no_digit and not any("the same" in note for note in found.notes)


@pytest.mark.parametrize("fault", [0.0, math.nan])
def test_one_picture_that_is_lost_is_enough_for_an_exit_code_of_1(
    real: Tensor, folder: Path, fault: float
) -> None:
    images = real[:16] / 255
    images[3] = fault
    np.savez("drawn.npz", images=images)
    said = tutor("drawn.npz", code=1).stdout
    assert "✗" in said and "✓ Looks right" in said


def test_empty_pictures_among_others_are_counted_and_left_out(real: Tensor, folder: Path) -> None:
    images = real[:16].clone()
    images[[1, 3, 4, 7, 9, 10]] = 0
    found = diagnose(images, torch.arange(16) % 10)
    assert found.empty == 6 and len(found.found) == 10 and found.same == 0
    np.savez("drawn.npz", images=images)
    said = " ".join(tutor("drawn.npz").output.split())
    assert "✗ 6 of 16 pictures are empty. NaN are saved as black" in said


def test_what_looks_right_but_has_noise_or_comes_again_is_not_called_all_right(
    real: Tensor,
) -> None:
    fine = diagnose(real[:16])
    assert fine.looks_right and fine.but == ""
    noise = torch.randn(real[:16].shape, generator=torch.Generator().manual_seed(0))
    noisy = diagnose(to_uint8(to_unit_range(real[:16]) + 0.04 * noise))
    assert any("Is t = 1 the last step" in note for note in noisy.notes)
    assert "noise" in noisy.but
    again = diagnose(torch.cat([real[:12], real[:4]]))
    assert again.looks_right and "the same" in again.verdict


# --- labels


def test_labels_for_another_number_of_digits_are_not_left_out_silently(
    real: Tensor, folder: Path
) -> None:
    np.savez("few.npz", images=real[:16], labels=np.arange(5))
    sheet = read_digits_of(Path("few.npz"))
    assert sheet.labels is None
    assert sheet.notes == ("`labels` has 5 labels for 16 digits: left out.",)


def test_what_is_no_digit_at_all_is_asked_about(folder: Path) -> None:
    rows = torch.linspace(60, 200, 320)[:, None].expand(320, 320)  # a sky
    noise = torch.randn(320, 320, generator=torch.Generator().manual_seed(0))
    Image.fromarray((rows + 8 * noise).numpy().astype(np.uint8)).save("photo.png")
    assert "Are these drawn digits" in tutor("photo.png").output


@pytest.fixture(scope="module")
def asked() -> tuple[Tensor, Tensor]:
    """32 right digits and what was asked for, (32, 1, 32, 32) uint8 and (32,)."""
    digits = load_offline_digits()
    return digits.validation_images[:32], digits.validation_labels[:32]


@pytest.mark.parametrize(
    ("rename", "rule", "blamed"),
    [
        (lambda y: y, "", ""),
        (lambda y: (y + 1) % 10, "1 lower than its label, and 0 gives 9", "label_names"),
        (lambda y: (y + 7) % 10, "3 higher than its label", "label_names"),
        (lambda y: torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])[y], "two tables", "label_names"),
        (lambda y: y[torch.randperm(32, generator=stream(0, "a"))], "by chance", "label_order"),
    ],
)
def test_labels_beside_the_images_say_whether_digits_are_those_asked_for(
    asked: tuple[Tensor, Tensor],
    folder: Path,
    rename: Callable[[Tensor], Tensor],
    rule: str,
    blamed: str,
) -> None:
    images, labels = asked
    np.savez("drawn.npz", images=images.numpy(), labels=rename(labels).numpy())
    said = " ".join(tutor("drawn.npz").output.split())
    if not rule:
        assert "Looks right" in said and "guidance_swapped" not in said
    else:
        assert "not those asked for" in said and rule in said and f"{blamed}:" in said
        assert "ddpm-tutor lesson 5 --from" in said


def test_digits_that_keep_away_from_their_labels_are_named(
    asked: tuple[Tensor, Tensor], folder: Path
) -> None:
    images, labels = asked
    offsets = torch.arange(32) % 9 + 1  # another digit than asked for, each time
    np.savez("drawn.npz", images=images.numpy(), labels=((labels + offsets) % 10).numpy())
    said = " ".join(tutor("drawn.npz").output.split())
    assert "0 of 32 are read as asked" in said and "the label is kept away from" in said
    assert "--bug away_from_the_label" in said


@pytest.mark.parametrize(
    ("write", "known"),
    [
        (lambda x, y: np.savez("a.npz", images=x, labels=y), True),
        (lambda x, y: np.savez("a.npz", y=y[:, None], x=x), True),
        (lambda x, y: np.savez("a.npz", x=x, target=np.eye(10)[y]), True),
        (lambda x, y: torch.save({"x": torch.tensor(x), "labels": torch.tensor(y)}, "a.pt"), True),
        (lambda x, y: torch.save((torch.tensor(x), torch.tensor(y)), "a.pt"), True),
        (lambda x, y: np.savez("a.npz", images=x, labels=y[:9]), False),
        (lambda x, y: np.savez("a.npz", images=x, labels=np.arange(32)), False),
        (lambda x, y: np.savez("a.npz", images=x, labels=0 * y - 1), False),
        (lambda x, y: np.savez("a.npz", digits=x), False),
    ],
)
def test_labels_are_found_however_they_are_saved(
    asked: tuple[Tensor, Tensor], folder: Path, write: Callable[[Any, Any], None], known: bool
) -> None:
    images, labels = asked
    write(images.numpy(), labels.numpy())
    found = read_digits_of(next(folder.iterdir()))
    assert torch.equal(found.images, images)
    if known:
        assert found.labels is not None and torch.equal(found.labels, labels)
    else:
        assert found.labels is None


def test_few_or_unsure_digits_are_not_said_to_be_wrong() -> None:
    from ddpm_tutor.evaluation.as_asked import asked_for

    labels, sure = torch.tensor([1, 2, 3, -1]), torch.zeros(4)
    assert not asked_for(labels, labels, sure).is_missed
    assert not asked_for(labels[:2], labels[1:3], sure[:2]).is_missed  # two may be misread
    assert len(asked_for(labels, labels + 1, sure + 0.5)) == 0


# --- losses

ASSETS = Path(__file__).parents[1] / "assets"
CURVES = json.loads((ASSETS / "loss_curves.json").read_text(encoding="utf-8"))["curves"]
SAID = {
    "right": "slow", "right_again": "slow", "target_x_0": "high", "target_x_t": "leak",
    "no_zero_grad": "swings", "one_t": "swings", "squared_mean": "leak", "summed": "summed",
    "fresh_noise": "nothing", "clean_input": "nothing", "no_step": "unmoved", "t_large": "leak",
    "always_T": "leak", "lr_0.1": "nothing", "lr_1": "diverged", "lr_1e-06": "unmoved",
    "bytes": "high",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), SAID.items())
def test_a_training_with_a_mistake_is_seen_through(name: str, kind: str) -> None:
    losses = CURVES[name]
    found = judge(list(enumerate(losses, 1)), [], "step")
    assert found[-1].kind == kind if kind == "slow" else found[0].kind == kind
    if kind != "slow" and "lr" not in name:
        assert name.replace("always_T", "t_large") in found[0].causes


@pytest.mark.parametrize("name", ["target_x_t", "t_large", "always_T"])
def test_a_t_that_is_always_large_is_told_by_how_little_the_loss_jumps(name: str) -> None:
    says = judge(list(enumerate(CURVES[name], 1)), [], "step")[0].says
    assert ("hardly jumps" in says) is (name != "target_x_t") and "Print t.min()" in says


@pytest.mark.parametrize("name", ["absolute", "root", "t_small", "right", "right_again", "one_t"])
def test_what_a_curve_does_not_tell_is_said(name: str) -> None:
    found = judge(list(enumerate(CURVES[name], 1)), [], "step")
    assert ("does not tell which" in found[-1].says) is (name in ("absolute", "root", "t_small"))


def test_a_root_and_an_absolute_error_are_told_by_their_levels() -> None:
    from ddpm_tutor.storage.checkpoints import load_checkpoint

    log = [(entry["epoch"], entry["train_loss"]) for entry in load_checkpoint().log[:40]]
    assert judge(log, [], "epoch")[-1].kind == "trained"
    rooted = judge([(epoch, loss**0.5) for epoch, loss in log], [], "epoch")[0]
    assert rooted.is_fault and rooted.causes[0] == "root"
    # a network whose last layer is zero: the mean of |eps|
    eps = torch.randn(200, 4096, generator=torch.Generator().manual_seed(0))
    first = float(eps[0].abs().mean())
    falls = [(i, loss * first) for i, loss in falling(3000, 0.045)]
    found = judge([(1, first), *falls[1:]], [], "step")
    assert found[0].causes == ("absolute",) and "ends at 0.036" in found[-1].says


def test_a_loss_that_is_flat_from_the_start_has_come_down_to_nothing() -> None:
    jump = [0.01 * math.sin(7 * step) for step in range(2000)]
    found = judge([(step, 0.1 + each) for step, each in enumerate(jump, 1)], [], "step")
    assert found[0].is_fault and "stays at 0.1" in found[0].says and "target_x_0" in found[0].causes
    assert not any("below 0.1" in each.says for each in found)


def test_a_loss_may_begin_at_nothing() -> None:
    nothing, later = [0.0] * 200, [0.0] + [0.5] * 200
    assert judge(list(enumerate(nothing, 1)), [], "step")[0].kind == "leak"
    assert "ends at 0.5" in judge(list(enumerate(later, 1)), [], "step")[-1].says


def test_no_mean_of_squares_is_below_zero() -> None:
    found = judge([(step, -loss) for step, loss in falling(2000, 0.03)], [], "step")[0]
    assert found.is_fault and "never below 0" in found.says


def test_the_mean_of_a_first_epoch_may_be_small() -> None:
    train = [(epoch, 0.05 - 0.0023 * epoch) for epoch in range(1, 21)]
    found = judge(train, [(epoch, 0.05 + 0.002 * epoch) for epoch, _ in train], "epoch")
    assert {each.kind for each in found} == {"leak", "apart"}
    assert not any("squared_mean" in each.causes for each in found)


def falling(steps: int, end: float) -> list[tuple[float, float]]:
    """A training as it should be: 1 at first, then a power of the step, down to `end`."""
    noise = torch.randn(steps, generator=torch.Generator().manual_seed(0)).tolist()
    power = math.log(1 / end) / math.log(steps / 10)
    return [
        (i, max(end, (5 / max(5, i)) ** power) * math.exp(0.1 * z)) for i, z in enumerate(noise, 1)
    ]


@pytest.mark.parametrize(
    ("train", "validation", "kind"),
    [
        (falling(3000, 0.02), [], "trained"),
        ([(i, 784 * loss) for i, loss in falling(3000, 0.03)], [], "summed"),
        ([(i, 1024 * 128 * loss) for i, loss in falling(3000, 0.03)], [], "summed"),
        ([*falling(1500, 0.05), (1501, math.nan)], [], "nan"),
        ([(1, math.nan), (2, math.nan)], [], "nan"),
        ([(i, 1.0 + 0.01 * (i % 3)) for i in range(1, 300)], [], "unmoved"),
        (falling(3000, 0.004), [], "leak"),
        (falling(3000, 0.0107), [], "leak"),  # as pictures in [0, 1] give
        (falling(3000, 0.02), [(3000, 0.05)], "apart"),
        ([(1, 1.0), (2, 0.5)], [], "short"),
        ([(1, math.inf), (2, 1.0)], [], "nan"),
    ],
)
def test_a_curve_is_judged(train: Any, validation: Any, kind: str) -> None:
    found = judge(train, validation, "step")
    assert kind in (found[0].kind, found[-1].kind), found


FILES = {
    "named.csv": "step,loss\n1,1.0\n2,nan\n3,0.5\n",
    "plain.txt": "1.0\nnan\n0.5\n",
    "pairs.csv": "1,1.0\n2,NaN\n3,0.5\n",
    "board.csv": "Wall time,Step,Value\n1.5,1,1.0\n1.6,2,nan\n1.7,3,0.5\n",
    "wandb.csv": '"Step","r - loss","r - loss__MIN"\n"1","1.0","7"\n"2","NaN","7"\n"3","0.5","7"\n',
    "tabs.tsv": "iteration\ttrain_loss\tlr\n1\t1.0\t3\n2\tnan\t3\n3\t.5\t3\n",
    "list.json": "[1.0, NaN, 0.5]",
    "board.json": "[[9.1, 1, 1.0], [9.2, 2, NaN], [9.3, 3, 0.5]]",
    "lists.json": '{"loss": [1.0, NaN, 0.5], "note": "x"}',
    "nested.json": '{"metrics": {"loss": [1.0, NaN, 0.5]}, "val": {"loss": [3, 2, 1]}}',
    "history.json": json.dumps({"log_history": [{"step": s, "loss": v} for s, v in
                                                ((1, 1.0), (2, float("nan")), (3, 0.5))]}),
    "lines.jsonl": '{"step": 1, "loss": 1.0}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": 0.5}\n',
    "nested.jsonl": '{"step": 1, "metrics": {"train_loss": 1.0}}\n{"step": 2, "metrics": '
                    '{"train_loss": NaN}}\n{"step": 3, "metrics": {"train_loss": 0.5}}\n',
    "europe.csv": "step;loss\n1;1,0\n2;nan\n3;0,5\n",
    "both.log": "epoch 1, step 1: loss 1.0\nepoch 1, step 2: loss nan\nepoch 2, step 3: loss .5\n",
    "again.log": "epoch 1 1/3 loss=1.0\nepoch 1 2/3 loss=nan\nepoch 1 3/3 loss=0.5\n",
    "comma_tab.csv": "step,\tloss\n1,\t1.0\n2,\tnan\n3,\t0.5\n",
    "semicolon_in_name.csv": "step,loss (a;b)\n1,1.0\n2,nan\n3,0.5\n",
    "best.log": "step 1: loss 1.0\nstep 2: loss nan\nstep 3: loss 0.5\nbest loss 0.5",
    "words.log": "begin\nstep 1/9 loss: 1.0\nstep 2/9 loss: nan\nstep 3/9 loss: 0.5, 3 s\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_losses_are_read_however_they_are_written(folder: Path, name: str) -> None:
    Path(name).write_text(FILES[name], encoding="utf-8")
    train = read_losses(Path(name)).train
    assert [step for step, _ in train] == [1, 2, 3]
    assert str([loss for _, loss in train]) == "[1.0, nan, 0.5]"


def test_validation_is_told_from_training(folder: Path) -> None:
    Path("a.csv").write_text("epoch,train_loss,val_loss\n1,0.1,0.2\n2,0.05,0.1\n")
    Path("b.log").write_text("epoch 1: loss 0.1, val_loss 0.2\nepoch 2: loss 0.05 val loss 0.1\n")
    for name in ("a.csv", "b.log"):
        found = read_losses(Path(name))
        assert found.unit == "epoch"
        assert (found.train, found.validation) == ([(1, 0.1), (2, 0.05)], [(1, 0.2), (2, 0.1)])


@pytest.mark.parametrize("text", ["hello\nworld\n", "a,b\n1,2\n", "{}", "[]", '[{"a": 1}]', "\0\1"])
def test_what_holds_no_losses_is_refused(folder: Path, text: str) -> None:
    Path("a.csv").write_text(text)
    with pytest.raises(TutorError, match=r"no losses|no text"):
        read_losses(Path("a.csv"))


def test_losses_named_by_the_record_around_them_are_told_apart(folder: Path) -> None:
    rows = [{"step": i, "train": {"loss": 1 / i}, "val": {"loss": 2 / i}} for i in range(1, 4)]
    Path("a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    found = read_losses(Path("a.jsonl"))
    assert found.train == [(i, 1 / i) for i in range(1, 4)]
    assert found.validation == [(i, 2 / i) for i in range(1, 4)]


def test_thousands_of_steps_may_have_commas(folder: Path) -> None:
    Path("a.log").write_text("step 900: loss 0.5\nstep 1,000: loss 0.4\nstep 12,000: loss 0.3\n")
    assert read_losses(Path("a.log")).train == [(900, 0.5), (1000, 0.4), (12000, 0.3)]


def test_a_run_stopped_in_its_first_epoch_is_called_so(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "log.jsonl").touch()
    with pytest.raises(TutorError, match="no epoch of this run is finished yet"):
        read_losses(folder / "run")


def test_the_log_of_a_run_is_drawn_beside_the_shipped_one(folder: Path) -> None:
    from ddpm_tutor.storage.checkpoints import load_checkpoint
    from ddpm_tutor.storage.training_run import RunSettings

    run = folder / "run"
    run.mkdir()
    lines = [json.dumps(entry) for entry in load_checkpoint().log[:12]]
    (run / "log.jsonl").write_text("\n".join(lines) + "\n" + lines[0][:30])  # cut off as by a kill
    (run / "config.json").write_text(RunSettings().to_json())
    said = " ".join(tutor(str(run)).output.split())
    assert "12 losses" in said and "that of the shipped weights" in said
    assert "0.03 at epoch 2" in said and "Your learning rate: 0.0001, constant" in said


def test_a_loss_of_one_leads_to_the_exercise(folder: Path) -> None:
    rows = [f"{i},{loss}" for i, loss in enumerate(CURVES["fresh_noise"], 1)]
    Path("loss.csv").write_text("step,loss\n" + "\n".join(rows))
    said = " ".join(tutor("loss.csv").output.split())
    assert "learned to say zero" in said and "fresh_noise" in said
    assert "ddpm-tutor exercise start 6" in said
    Path("loss.csv").write_text("step,loss\n1,1.0\n2,50.0\n3,nan\n")
    said = " ".join(tutor("loss.csv").output.split())
    assert "no number from step 3 on; it had risen from 1 to 50" in said
    assert lesson_command(3, "Two losses") in said


# --- symptoms


def test_without_a_terminal_all_symptoms_are_printed_with_what_they_lead_to() -> None:
    said = " ".join(tutor().output.split())
    for complaint in COMPLAINTS:
        assert complaint.title in said
    assert said.count("ddpm-tutor exercise start") >= 6 and "ddpm-tutor gif --digit 7" in said


def test_a_key_chooses_a_symptom(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_tutor.screen.console import Console

    monkeypatch.setattr(doctor_symptoms, "is_terminal", lambda stream: True)
    keys = iter(["x", "3"])
    monkeypatch.setattr(doctor_symptoms, "read_key", lambda: next(keys))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=40, color_system="256")
    doctor_symptoms.ask_for_symptom(console)
    said = out.getvalue()
    assert "Pure noise" in said and "no_step" in said and "▀" in said


def test_every_lead_can_be_typed() -> None:
    causes = {name for complaint in COMPLAINTS for name in complaint.causes}
    causes |= {cause for group in load_table().groups for cause in group.causes}
    typed = {words for name in causes for words in find_cause(name).leads().values()}
    assert any("--bug sign" in words for words in typed)
    # each --bug has its name from the list of them: one of them is parsed
    for words in {words.split(" --bug")[0] for words in typed}:
        parse(shlex.split(words)[1:])
    for number, title in [
        doctor_losses.TAUGHT,
        *TAUGHT.values(),
        *(c.step for c in (OTHERS | UNSEEN).values() if c.step),
    ]:
        assert "--from" in lesson_command(number, title), title
