"""What is shown: statistics, pictures of characters, grids, GIFs."""

import io
import itertools
import math
import re
from collections.abc import Iterator

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from ddpm_tutor.classroom.session import Session, show, show_curves, using
from ddpm_tutor.pictures.figures import figure
from ddpm_tutor.pictures.films import frame_times, frames_of, noising
from ddpm_tutor.pictures.grids import grid
from ddpm_tutor.science.sampling import SamplingOptions, draw, sample
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.screen.curves import Curves
from ddpm_tutor.screen.images import (
    GLYPHS,
    SHADES,
    TERMINAL_GREYS,
    Images,
    _mixed,
    render_images,
    resized,
)
from ddpm_tutor.screen.values import (
    DataTable,
    column_of,
    number,
    render,
    sparkline,
    tensor_panel,
)


def shown(value: object, width: int = 80, color: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="truecolor" if color else None,
    )
    console.print(value if not callable(value) else value(console))
    return console.file.getvalue()


def test_a_panel_tells_the_tensors_statistics() -> None:
    text = shown(tensor_panel(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]] * 2), "mine"))
    assert "mine" in text and "2×5   float32   cpu" in text
    assert "mean  2   std 1.491" in text and "min   0   max 4" in text


def test_values_that_are_not_finite_are_pointed_out() -> None:
    text = shown(tensor_panel(torch.tensor([float("nan")] * 9)))
    assert "not all values are finite" in text


@pytest.mark.parametrize(
    "tensor", [torch.empty(0), torch.tensor(3), torch.tensor([True, False]), torch.zeros(3, 4, 5)]
)
def test_any_tensor_can_be_shown(tensor: torch.Tensor) -> None:
    assert "shape" in shown(tensor_panel(tensor))


def test_every_bin_that_is_not_empty_shows() -> None:
    assert sparkline([0, 1, 1000]) == " ▁█"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (0.0001, "1.00e-04"), (12345.6, "12,346"), (0, "0"), (1e9, "1.00e+09")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_without_colour_an_image_is_shades_of_characters() -> None:
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 4:] = 255
    lines = shown(lambda console: render_images(image, console)).splitlines()
    assert lines == [SHADES[0] * 4 + SHADES[-1] * 4] * 4


def test_with_colour_an_image_is_half_blocks_of_its_greys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    image = torch.zeros(1, 1, 8, 8)  # 0 in [-1, 1] is grey 128
    text = shown(lambda console: render_images(image, console), color=True)
    assert text.count("▀") == 32 and "38;2;128;128;128" in text and "48;2;128;128;128" in text


def ramp(color_system: str, encoding: str = "utf-8") -> tuple[str, set[tuple[str, str]]]:
    """An image of every grey, 2 rows high, as one line of text; its characters with their style."""
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=file, width=256, force_terminal=True, color_system=color_system)
    image = torch.arange(256, dtype=torch.uint8).expand(2, 256)
    (line,) = render_images(image[None], console).renderables
    looks = {(glyph, str(s.style)) for s in line.spans for glyph in line.plain[s.start : s.end]}
    return line.plain, looks


@pytest.fixture
def in_color(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Colours, in which rich forgets the codes of a terminal with more or fewer of them."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for remembered in (caches := (Style.parse, Style._add)):
        remembered.cache_clear()
    yield
    for remembered in caches:
        remembered.cache_clear()


def test_a_terminal_of_16_colours_mixes_its_four_greys(in_color) -> None:
    characters, looks = ramp("standard")
    assert set(characters) >= set("░▒▓") and len(looks) >= 12


def test_16_colours_get_brighter_with_the_picture_and_keep_edges(in_color) -> None:
    def brightness(upper: int, lower: int) -> tuple[float, float]:
        glyph, style = _mixed(upper, lower)
        front, back = (TERMINAL_GREYS[name] for name in style.split(" on "))
        above, below = (share * front + (1 - share) * back for share in GLYPHS[glyph])
        return above, below

    means = [sum(brightness(grey, grey)) / 2 for grey in range(256)]
    assert means == sorted(means)
    assert max(abs(mean - grey) for grey, mean in enumerate(means)) <= 20
    assert brightness(255, 0) == (250, 0) and brightness(0, 255) == (0, 250)
    # some consoles have no bright backgrounds
    assert _mixed(0, 255)[1] == "bright_white on black" == _mixed(255, 255)[1]


@pytest.mark.parametrize(("color_system", "greys"), [("256", 26), ("truecolor", 256)])
def test_more_colours_give_their_own_greys(in_color, color_system: str, greys: int) -> None:
    console = Console(file=io.StringIO(), width=256, force_terminal=True, color_system=color_system)
    console.print(render_images(torch.arange(256, dtype=torch.uint8).expand(1, 2, 256), console))
    assert len(set(re.findall(r"38;[\d;]+;48", console.file.getvalue()))) == greys


def test_where_blocks_cannot_be_written_pictures_are_letters(in_color) -> None:
    characters, looks = ramp("truecolor", "ascii")
    assert set(characters) == set(SHADES) and not {style for _, style in looks} - {""}


@pytest.mark.parametrize(("width", "columns"), [(80, 4), (120, 4), (200, 4), (40, 2)])
def test_pictures_of_a_grid_break_as_its_rows_do_where_there_is_room(
    width: int, columns: int
) -> None:
    names = [f"t{n}" for n in range(12)]
    in_rows = Images(torch.zeros(12, 1, 32, 32), "", names, columns=4)
    rows = [
        row for line in shown(in_rows, width).splitlines() if (row := re.findall(r"t\d+", line))
    ]
    assert rows == [names[n : n + columns] for n in range(0, 12, columns)]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_pictures_never_exceed_the_width(width: int) -> None:
    names = [f"t = {t}" for t in range(10)]
    text = shown(lambda console: render_images(torch.rand(10, 1, 32, 32), console, names), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert all(name in text for name in names)


def test_a_tilde_above_a_letter_takes_no_room_in_a_caption() -> None:
    names = ["10 (x_299 - μ̃)", "μ̃", "x_299", "x_300", "x_0"]  # the first is 14 columns wide
    text = shown(lambda console: render_images(torch.rand(5, 1, 32, 32), console, names))
    captions = text.splitlines()[-1]
    assert captions.split("  ")[0] == names[0]
    assert cell_len(captions) == 5 * 14 + 4


def test_an_image_stands_beside_its_panel() -> None:
    text = shown(lambda console: render(torch.rand(1, 1, 32, 32), console, "x_0"))
    assert "shape 1×1×32×32" in text and len(text.splitlines()) == 16


def test_a_grid_holds_each_image_in_its_place() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 4, 4) * 10
    sheet = grid(images, columns=3)
    assert sheet.shape == (4 + 2 + 4, 4 * 3 + 2 * 2)
    assert sheet[0, 0] == 0 and sheet[0, 6] == 10 and sheet[9, 13] == 50


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (10, (2, 5)), (9, (3, 3)), (7, (3, 3))])
def test_grids_are_about_square(count: int, shape: tuple[int, int]) -> None:
    sheet = grid(torch.zeros(count, 1, 8, 8))
    assert sheet.shape == (shape[0] * 10 - 2, shape[1] * 10 - 2)


def test_frames_are_spread_over_the_change_not_over_t() -> None:
    schedule = linear_schedule()
    times = frame_times(schedule, 60)
    assert times[0] == 0 and times[-1] == 1000 and len(times) <= 62
    # 36 % of the steps, t from 640 on, have a hundredth of the signal left: they get fewer frames
    assert sum(t > 640 for t in times) < 0.25 * len(times)


def test_a_film_of_few_steps_has_them_all_and_of_many_the_chosen() -> None:
    torch.manual_seed(0)
    model, schedule = UNet(4), linear_schedule()
    x_T = torch.randn(1, 1, 32, 32)
    few = list(frames_of(sample(model, schedule, x_T, SamplingOptions(steps=5)), schedule))
    assert [frame.t for frame in few] == [1000, 800, 600, 400, 200, 0]
    many = list(
        frames_of(
            draw(model, schedule, None, SamplingOptions(steps=250), seed=0, indices=[0]),
            schedule,
            20,
        )
    )
    assert many[0].t == 1000 and many[-1].t == 0 and 15 <= len(many) <= 22


def test_noising_ends_in_noise_and_starts_from_the_digit() -> None:
    torch.manual_seed(0)
    x_0 = torch.full((2, 1, 32, 32), -1.0)
    frames = list(noising(UNet(4), linear_schedule(), x_0, None, seed=0, indices=[0, 1], frames=5))
    assert frames[0].t == 0 and torch.equal(frames[0].x_t, x_0)
    assert frames[-1].t == 1000 and abs(frames[-1].x_t.std().item() - 1) < 0.05


def test_a_column_of_a_table_has_one_number_of_decimals():
    assert column_of([-1.0, -0.985, -0.008264]) == ["-1.0000", "-0.9850", "-0.0083"]
    assert column_of([0.0, 0.1869, 2.416]) == ["0.000", "0.187", "2.416"]
    assert column_of([17.3, 20.41]) == ["17.30", "20.41"]
    assert column_of([1234.5, 999.0]) == ["1,234", "999"]
    assert column_of(["a", 3, None]) == ["a", "3", "None"]


def test_a_column_of_very_different_numbers_keeps_their_digits():
    assert column_of([9999.0, 4.04e-05]) == ["9,999", "4.04e-05"]
    assert column_of([float("nan"), 0.5]) == ["nan", "0.500"]


def test_a_name_that_begins_with_a_number_stands_left_as_words_do() -> None:
    table = DataTable(
        "", ["steps", "off"], [("10, DDIM", "+5.0 (-2.9 to 9.1)"), ("50, β", "1,234")]
    )
    assert [numeric for _, _, numeric in table.by_column()] == [False, False]
    plain = DataTable("", ["n", "share"], [(10, "12 % of 80"), (2000, "-3 ± 1")])
    assert [numeric for _, _, numeric in plain.by_column()] == [True, True]


def test_numbers_stand_right_and_words_left():
    text = shown(DataTable("", ["t", "way", "mean"], [(5, "steps", 0.5), (300, "jump", -1.25)]))
    rows = [line for line in text.splitlines() if "steps" in line or "jump" in line]
    assert rows == ["│   5 │ steps │  0.500 │", "│ 300 │ jump  │ -1.250 │"]


def test_rows_of_pictures_are_of_like_length():
    pictures = torch.zeros(10, 1, 32, 32)
    text = shown(lambda console: render_images(pictures, console, ["|"] * 10), width=120)
    assert [line.count("|") for line in text.splitlines() if "|" in line] == [5, 5]


@pytest.mark.parametrize(
    ("count", "width", "height", "columns", "side"),
    [
        (1, 80, 40, 1, 32),
        (2, 80, 40, 2, 32),
        (3, 80, 40, 3, 26),
        (4, 80, 40, 4, 18),
        (10, 80, 40, 5, 14),
        (10, 120, 50, 5, 22),
        (10, 120, 24, 5, 14),  # two rows of larger ones would fill the screen
        (40, 120, 50, 8, 14),
    ],
)
def test_pictures_use_the_room_that_there_is(
    in_color, count: int, width: int, height: int, columns: int, side: int
) -> None:
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
    )
    images = torch.full((count, 1, 32, 32), 255, dtype=torch.uint8)
    lines = [line.plain for line in render_images(images, console).renderables]
    assert lines[0] == " ".join(["▀" * side] * columns)
    assert len([line for line in lines if line]) == count // columns * side // 2


def test_smaller_pictures_are_means_of_what_they_cover() -> None:
    image = torch.zeros(1, 32, 32, dtype=torch.uint8)
    image[0, 2:4, 2:4] = torch.tensor([[100, 200], [60, 40]], dtype=torch.uint8)
    image[0, :2] = 255  # the border that padding added is not seen
    assert resized(image, 14)[0, 0, :2].tolist() == [100, 0]
    assert torch.equal(resized(image, 28)[0], image[0, 2:-2, 2:-2])
    # of three pixels for every two, the middle one is shared between them
    assert resized(torch.tensor([[[90, 30, 0]] * 3], dtype=torch.uint8), 2)[0, 0].tolist() == [
        70,
        10,
    ]
    grey = torch.full((2, 32, 32), 77, dtype=torch.uint8)
    for side in range(14, 32):
        assert (resized(grey, side) == 77).all() and resized(grey, side).shape == (2, side, side)


FALLING = [(t, math.exp(-t / 200)) for t in range(1001)]


def framed(text: str) -> list[str]:
    """The lines of a curve's frame, without the labels before it."""
    return [line.split("│", 1)[1] for line in text.splitlines() if "│" in line]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_curve_goes_through_its_frame_from_end_to_end(width: int) -> None:
    text = shown(Curves("loss", [("", FALLING)]), width)
    lines = framed(text)
    assert max(map(len, text.splitlines())) <= width
    assert lines[0][0] > "⠀" and lines[-1][-1] > "⠀" and lines[-1][0] == " "
    assert text.startswith("loss\n") and text.splitlines()[-1].split() == ["0", "t", "1000"]
    # nowhere does it go up again: in each line it ends where the next one begins, or before
    starts = [len(line) - len(line.lstrip()) for line in lines]
    assert starts == sorted(starts) and all(
        abs(len(line) - start) <= 1 for line, start in zip(lines, starts[1:], strict=False)
    )


def test_a_logarithmic_curve_of_powers_is_a_straight_line() -> None:
    curve = [(t, 10.0**-t) for t in range(9)]
    text = shown(Curves("", [("", curve)], log=True))
    starts = [len(line) - len(line.lstrip()) for line in framed(text)]
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert max(steps) - min(steps) <= 2 and "1e-08" in text
    powers = [(10.0**t, 10.0**-t) for t in range(9)]
    assert framed(shown(Curves("", [("", powers)], log=True, log_x=True))) == framed(text)


def test_curves_without_colour_have_marks_and_with_it_colours(in_color) -> None:
    two = Curves("", [("falling", FALLING), ("rising", [(t, 1 - y) for t, y in FALLING])])
    plain, colored = shown(two), shown(two, color=True)
    assert "* falling   o rising" in plain
    assert framed(plain)[0][0] == "*" and framed(plain)[-1][0] == "o"
    assert "\x1b[36m⠳⣄" in colored and "⠉⠉\x1b[0m\n" in colored and "\x1b[33m── rising" in colored


def test_where_braille_cannot_be_written_curves_are_marks() -> None:
    file = io.TextIOWrapper(io.BytesIO(), "ascii")
    Console(file=file, width=60).print(Curves("", [("loss", FALLING)]))
    file.flush()
    text = file.buffer.getvalue().decode("ascii")
    assert "|*" in text and "+---" in text and "* loss" in text


@pytest.mark.parametrize(
    "points", [[], [(1, 2)], [(1, 2), (5, 2)], [(0, 0), (1, -1)], [(0, math.nan), (1, math.inf)]]
)
def test_any_curve_can_be_shown(points: list[tuple[float, float]]) -> None:
    for log in (False, True):
        assert len(framed(shown(Curves("", [("a", points)], log=log)))) == 10


def test_the_curves_of_a_figure_are_shown_beside_the_file_it_is_saved_in(tmp_path) -> None:
    with figure(columns=2) as (drawn, (left, right)):
        left.plot(*zip(*FALLING, strict=True), label="loss")
        left.set(title="Falling", xlabel="steps")
        left.axhline(-100, color="grey")  # no curve: the lowest label stays that of the loss
        right.semilogy([0, 4], [1, 1e-4])
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with using(Session(console, out=tmp_path)):
        show(drawn, "two")
        show_curves("Mine", {"loss": FALLING}, "steps")
    text = console.file.getvalue()
    assert (tmp_path / "two.png").stat().st_size > 1000
    for word in ("Falling", "steps", "── loss", "0.0001", "0.00674", "Mine"):
        assert word in text
    assert "-100" not in text


def test_how_far_a_number_is_off_has_two_digits() -> None:
    from ddpm_tutor.screen.values import roughly

    shown = {0.004495: "0.0045", 1.2654: "1.3", 2.0: "2", 1234.5: "1,200", 175.0: "175"}
    shown |= {3.3e-5: "3.30e-05"}
    assert {value: roughly(value) for value in shown} == shown
