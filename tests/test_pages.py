"""Pages: one HTML file each, which keeps its answers to itself until it is asked, and works."""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import shallow
import torch
from published import check_private
from typer.testing import CliRunner

from ddpm_tutor.cli import page as page_command
from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.page import Subject
from ddpm_tutor.course.lesson import all_lessons, read_lesson
from ddpm_tutor.course.paper import all_entries
from ddpm_tutor.pages.live import noise, place_of, ten_digits
from ddpm_tutor.pages.page import shell
from ddpm_tutor.pages.pieces import columns_of, to_html
from ddpm_tutor.pages.pixels import in_words
from ddpm_tutor.pages.plots import plot
from ddpm_tutor.pages.site import named
from ddpm_tutor.pages.words import code, prose, spaced, unmarked, words
from ddpm_tutor.pictures.grids import as_uint8
from ddpm_tutor.science.diffusion import q_sample
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.screen.curves import Curves
from ddpm_tutor.screen.images import Images
from ddpm_tutor.screen.prose import Code
from ddpm_tutor.screen.shown import Question, Said
from ddpm_tutor.screen.values import DataTable, Value
from ddpm_tutor.storage.digits import load_offline_digits

LESSON = """\
# %% [markdown]
# # Lesson 9 · All that can be shown
#
# **Goal:** a goal. It has *emphasis*, and <angle> brackets & more.
#
#     x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε          (4)

# %% tags=["parameters"]
seed = 0

# %%
import torch
from ddpm_tutor import linear_schedule, load_digits, normal, q_sample, stream, to_unit_range
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, figure, save_film, save_grid, say, show, show_curves, show_images,
    show_runs, show_table,
)
from ddpm_tutor.pictures.films import Frame
digits, schedule = load_digits(), linear_schedule()
x_0 = to_unit_range(digits.of_class(7)[:1])
t = torch.arange(0, 1000, 200)
eps = normal((5, 1, 32, 32), stream(seed, "a"), "cpu")
x_t = q_sample(schedule, x_0.expand(5, -1, -1, -1), t, eps)

# %% [markdown]
# ## Pictures

# %% tags=["change"]
share = 0.5

# %%
print("printed <b> & [bold]")
print(digits.source)
show(x_0, "x_0, as it is")
show_images(x_t, "x_t", [f"t = {n}" for n in t.tolist()])

# %% [markdown]
# ## Ask

# %%
say("said before")
ask_choice(
    "Which of the two, with x_{t-1}?",
    [("this <one>", "No, REPLY-A."), ("that", "Yes. REPLY-B."), ("none", "No, REPLY-C.")],
    answer=1, part="11.2 a", points=2,
)
say("said after the choice")
ask_number("How many?", 2.5, tolerance=0.1, why="WHY.")
say("said after the number")
show_curves("A curve", {"up": enumerate([1.0, 10.0, 100.0])}, "n", log=True)

# %% [markdown]
# ## Films

# %%
frames = [Frame(int(n), x_t[i:i + 1], x_0) for i, n in enumerate(t)][::-1]
_ = save_film(frames, "lesson 9 denoising")
show_runs({"right": frames, "wrong": [Frame(f.t, -f.x_t, f.x_0_hat) for f in frames]})
_ = save_grid(x_t, "lesson 9 grid", 5)
show_table("Numbers", ["t", "x_t"], [(1, 0.5), (2, 0.25)])
with figure() as (picture, (axis,)):
    axis.plot([1, 2], [3, 4])
    axis.set(xlabel="n", ylabel="value")
show(picture, "lines")
"""
FETCHED = re.compile(
    r"""(src|href|srcset|data)\s*=\s*["']?\s*(https?:)?//|url\(\s*["']?(?!data:)|@import|fetch\("""
)
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Reader(HTMLParser):
    """Reads a page: which tags are left open, and the text that is not in a hidden part."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []  # tag, whether it hides what is in it
        self.wrong: list[str] = []
        self.text = ""
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag not in VOID:
            hides = "hidden" in found or tag in ("template", "script", "style")
            self.open.append((tag, hides))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1][0] != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(hides for _, hides in self.open):
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def check_form(html: str) -> Reader:
    """That a page is well formed, and fetches nothing."""
    reader = read(html)
    assert reader.wrong == [] and reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    without_data = re.sub(r"data:[^\"')]+", "data:", html)
    assert FETCHED.search(without_data) is None, FETCHED.search(without_data)
    return reader


@pytest.fixture(scope="module")
def offline() -> Iterator[None]:
    """No MNIST, no network, and networks with next to no layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DDPM_TUTOR_DATA", raising=False)
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
        patch.setattr(LeanUNet, "layers", shallow.layers)
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, offline: None) -> Path:
    """The page of a lesson that shows all there is."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "small.py").write_text(LESSON, encoding="utf-8")
    words = ["page", str(folder / "small.py"), "--trust", "--out", str(folder / "small")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"Page saved: {folder / 'small.html'}" in done.output
    assert not (folder / "outputs").exists()  # its pictures are all in the page
    return folder / "small.html"


def test_a_page_is_one_file_that_fetches_nothing(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    check_form(html)
    assert len(html) < 5e6
    assert "default-src 'none'" in html
    assert 'In the paper: <code class="whole">ddpm-tutor paper eq 4</code>' in html
    assert "offline digits" in html and "no MNIST" in html
    check_private(html, page.parent)
    pictures = re.findall(r'<img[^>]*src="([^"]{0,30})', html)
    assert len(pictures) >= 10 and all(p.startswith("data:image/png;base64,") for p in pictures)


def test_what_gives_an_answer_away_is_hidden_until_it_is_asked_for(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    visible = read(html).text
    assert "said before" in visible and "Which of the two" in visible and "this <one>" in visible
    for hidden in ("REPLY", "WHY", "said after", "How many?", "2.5."):
        assert hidden not in visible, hidden
    # in the order in which they come to light
    assert html.index("Which of the two") < html.index("said after the choice")
    assert html.index("said after the choice") < html.index("How many?")
    assert html.index("How many?") < html.index("said after the number")
    assert "ask_choice(" not in visible  # nor is it in the code


def test_all_that_is_shown_is_there(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    for part in (
        "printed &lt;b&gt; &amp; [bold]", "<em>emphasis</em>", "&lt;angle&gt;",
        '<details class="code">', '<details class="code" open>',  # parameters are seen at once
        'class="histogram"', 'class="plot"', 'class="film"', 'class="live"',
        ">Numbers</figcaption>",
        "<code>ddpm-tutor lesson small.py --from 2</code>, then the key c. In a notebook, which",
        "<i>x</i><sub>t−1</sub>", "Side by side: right, wrong",
        'alt="Lines. x: n; y: value. The curve: from 3 at 1 to 4 at 2."',
    ):  # fmt: skip
        assert part in html, part
    # the source of what a step uses, where it comes first
    assert html.count("Source of <code>linear_schedule</code>") == 1
    assert '<span class="nf">linear_schedule</span>' in html
    assert 'alt="x_t, t = 0: bright strokes on a dark ground"' in html
    assert 'alt="x_t, t = 800: noise"' in html


def test_values_that_a_question_may_be_about_are_not_folded_away() -> None:
    """Nothing else on a page says them."""
    html = to_html([Code("beta_T = 0.02", "change"), Code("lost = 1")])
    seen, folded = html.splitlines()
    assert '<details class="code" open>' in seen and '<details class="code">' in folded


def test_pictures_are_said_in_words() -> None:
    flat = torch.zeros(32, 32, dtype=torch.uint8)
    some = torch.Generator().manual_seed(0)
    noisy = as_uint8(torch.randn(1, 1, 32, 32, generator=some))[0]
    digit = load_offline_digits().train_images[0, 0]
    assert in_words(flat.numpy()) == "evenly black"
    assert in_words((flat + 255).numpy()) == "evenly white"
    assert in_words(noisy.numpy()) == "noise"
    assert in_words(digit.numpy()) == "bright strokes on a dark ground"
    assert in_words((255 - digit).numpy()) == "dark strokes on a bright ground"


def test_words_and_code_are_escaped_and_indices_are_set() -> None:
    assert words("x_0 < β_{t-1}") == "<i>x</i><sub>0</sub>\u00a0&lt;\u00a0<i>β</i><sub>t−1</sub>"
    assert words("by_digit x_0_hat save_film") == "by_digit x_0_hat save_film"
    assert words("ε_θ(x_t) σ_t²").count("<sub>") == 3
    assert words("2σ_t², conv2_x") == "2<i>σ</i><sub>t</sub>², conv2_x"
    assert "<sub>500</sub>" in words("x_500") and "<sub>θ</sub>" in words("ε_θ")
    assert words("x_τ, t_prev") == "<i>x</i><sub>τ</sub>, <i>t</i><sub>prev</sub>"
    assert words("at -1: -log2 p, a t-1") == "at −1: −log<sub>2</sub>\u00a0p, a t-1"
    assert words("99.7 (99.5-99.8) % of 5 %") == "99.7 (99.5-99.8)\u00a0% of 5\u00a0%"
    assert words("5 ± 3 (± 2)") == "5\u00a0±\u00a03 (±\u00a02)"
    assert words("N(0, I), [0, 255], (a, and b)") == "N(0,\u00a0I), [0,\u00a0255], (a, and b)"
    assert unmarked("Any x_t, μ_θ and x_{t-1}, 2 < 3") == "Any xₜ, μθ and xₜ₋₁, 2 < 3"
    assert words("2^100").endswith(">100</sup>") and words("-√ᾱ_t").startswith("−<svg")
    whole = '<span style="white-space:nowrap">ddpm-tutor</span>'
    assert prose("`ddpm-tutor paper`").strip() == f"<p><code>{whole} paper</code></p>"
    assert words("sample -n 4 --set a=1") == (
        'sample -n 4 <span style="white-space:nowrap">--set</span> a=1'
    )
    for drawn in ("ᾱ_500", "β̃_1", "β̃", "x̂_0", "√(1 - ᾱ_t)", "√ᾱ_t", "√2", "√0.34", "√(α_2 α_1)"):
        assert words(f"so {drawn}, and").startswith("so <svg ") and drawn in words(drawn)
        assert words(f"so {drawn}, and").endswith("</svg>, and")
    assert "<code>save_film(a &lt; b)</code>" in prose("Say `save_film(a < b)`.")
    assert 'aria-label="√ᾱ_t"' in prose("It is `√ᾱ_t`.") and "<svg" in prose("It is `√ᾱ_t`.")
    block = prose("See:\n\n    x_t = √ᾱ_t x_0          (4)\n")
    # the number has a picture of its own, and is said in the words of the formula
    assert block.count("<svg") == 2 and block.count('role="img"') == 1
    assert 'class="formula"' in block and 'aria-label="x_t = √ᾱ_t x_0          (4)"' in block
    assert prose("See:\n\n    x_t = x_0\n").count("<svg") == 1
    assert "<pre" in prose("See:\n\n    import torch\n    torch.ones(3)\n")
    assert prose("<script>") == "<p>&lt;script&gt;</p>\n"
    assert '<span class="k">def</span>' in code("def f():\n    return '<b>'")
    assert "&lt;b&gt;" in code("'<b>'") and "2 lines" in code("a\nb")


def test_numbers_are_said_with_a_histogram_or_without() -> None:
    one, few = to_html([Value(torch.tensor(3.0), "one")]), to_html([Value(torch.ones(3), "few")])
    many = to_html([Value(torch.linspace(0, 1, 100), "many")])
    broken = to_html([Value(torch.tensor([torch.inf] * 9), "broken")])
    assert "<dd>−1.5</dd>" in to_html([Value(torch.tensor(-1.5))])
    assert "<dd>3</dd>" in one and "<dd>1 1 1</dd>" in few
    assert "Histogram of 100 values from 0 to 1" in many
    assert "not all values are finite" in broken and "<svg" not in broken
    assert '<td class="number">0.500</td>' in to_html([DataTable("", ["x"], [(0.5,), (1.0,)])])


def test_pictures_stand_in_full_rows() -> None:
    assert [columns_of(n, (5, 6, 4, 3)) for n in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20)] == [
        1, 4, 5, 6, 4, 4, 3, 5, 6, 6, 5,
    ]  # fmt: skip
    html = to_html([Images(torch.zeros(6, 1, 8, 8), "six", ["a caption"] * 6)])
    assert 'style="--columns:6;--few:3"' in html
    html = to_html([Images(torch.zeros(12, 1, 8, 8), "three rows", columns=4)])
    assert 'style="--columns:4;--few:4"' in html


def test_titles_stand_above_whatever_is_shown(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    titled = re.findall(r'<figure class="([\w-]+)[^>]*>(<figcaption>)?', html)
    named = [kind for kind, title in titled if title]
    assert {*named} == {"images", "tensor", "film", "sheet", "curves", "numbers-of"}
    assert "<caption>" not in html


def test_accents_in_letters_of_one_width_stand_above_their_own() -> None:
    html = spaced("x̃_t ᾱ <β̂>")
    assert re.sub(r"<[^>]*>", "", html) == unicodedata.normalize("NFD", "x̃_t ᾱ &lt;β̂&gt;")
    assert html.count('<span class="accent"') == 2 and html.count('class="accent tall"') == 1
    assert [*re.findall(r'data-mark="(.)"', html)] == ["˜", "¯", "ˆ"]
    assert 'class="accent' in code("x = 1  # x̃_t")
    cells = to_html([DataTable("", ["row"], [("??#..",), ("x_t",)])])
    assert "<code>??#..</code>" in cells and "<i>x</i><sub>t</sub>" in cells


def test_names_in_code_are_code_and_words_are_words() -> None:
    for name, html in {
        "x_t, x": "<code>x_t</code>, <code>x</code>",
        "model(x_t, t, label)": "<code>model(x_t, t, label)</code>",
        "what p_step returns": "what <code>p_step</code> returns",
        'variance, of variance_type="fixed_small"': "<code>variance</code>, of "
        "<code>variance_type=&quot;fixed_small&quot;</code>",
        "1 - betas[t]": "<code>1 - betas[t]</code>",
        "its betas[t], and beta_prod_t": "its <code>betas[t]</code>, and <code>beta_prod_t</code>",
        "fixedlarge or fixedsmall": "<code>fixedlarge</code> or <code>fixedsmall</code>",
        "": "",
    }.items():
        assert named(name) == html


def test_curves_have_scales_and_say_where_they_go() -> None:
    svg = plot(Curves("", {"loss": enumerate([4.0, 1.0, 2.0])}.items(), x_label="step"))
    assert "Curves over step. loss: from 4 at 0 to 2 at 2, lowest 1 at 1." in svg
    assert ">step<" in svg and ">4<" in svg
    log = plot(Curves("", {"": [(1, 1e-3), (2, 1.0)]}.items(), log=True))
    assert ">0.001<" in log and ">0.1<" in log
    low = plot(Curves("", {"to x_9": [(1, 0.05), (2, 0.9)]}.items(), x_label="x_s", log=True))
    assert all(f">{label}<" in low for label in ("0.05", "0.1", "0.2", "0.5"))  # not one alone
    assert "to <i>x</i><sub>9</sub>" in low and ">x_s<" not in low
    assert "<polyline" in plot(Curves("", {"": [(1.0, 2.0)]}.items()))  # a point alone


def test_the_forward_process_stands_where_noising_is_shown_or_eq_4_stands() -> None:
    noising = [Images(torch.zeros(5, 1, 8, 8), "x_t", [f"t = {t}" for t in range(0, 500, 100)])]
    others = [Images(torch.zeros(2, 1, 8, 8), "x_t", ["t = 0", "t = 100"])]
    by_number = {lesson.number: lesson for lesson in all_lessons()}
    assert place_of(by_number[1], {7: noising}) == 7
    assert place_of(by_number[2], {3: others, 8: noising}) == 8
    assert place_of(by_number[1], {7: others}) == 0
    entry = next(entry for entry in all_entries() if entry.key == "eq 4")
    assert place_of(entry.to_read(), {2: others}) == 1


def test_two_questions_in_a_row_open_one_after_the_other() -> None:
    asked = [Question("number", f"How many {n}?", n, tolerance=1, why="So.") for n in (1, 2)]
    html = to_html([asked[0], Said("one"), asked[1], Said("two")])
    assert read(html).wrong == [] and html.count('class="after" hidden') == 2
    assert html.endswith("</div>\n</div>\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["page"], 2, "Say which lesson"),
        (["page", "1", "--all"], 2, "Say which lesson"),
        (["page", "--all", "--set", "seed=1"], 2, "--set changes one lesson"),
        (["page", "99"], 2, "No lesson 99"),
        (["page", "eq", "99"], 2, "There is no Eq. 99"),
        (["page", "1", "--out", "page.pdf"], 2, "its name must end in .html or .htm"),
        (["page", "1", "--set", "nothing=1"], 2, "no parameter"),
    ],
)
def test_wrong_usage_is_told_at_once(words: list[str], code: int, says: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code and says in done.output, done.output


def test_a_lesson_that_fails_leaves_no_page(tmp_path: Path, offline: None) -> None:
    path, out = tmp_path / "broken.py", tmp_path / "page.html"
    path.write_text("# %% [markdown]\n# # Broken\n\n# %%\nseed = 0\n1 / 0\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["page", str(path), "--trust", "--out", str(out)])
    assert done.exit_code == 1 and "line 6: ZeroDivisionError" in done.output
    assert not out.exists()


def test_a_site_has_all_pages_and_names_the_one_that_failed(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "# %% [markdown]\n# # Lesson 8 · Broken\n\n# %%\nseed = 0\n1 / 0\n"
    for name, text in (("broken", broken), ("small", LESSON)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    some = [Subject(read_lesson(tmp_path / f"{name}.py")) for name in ("broken", "small")]
    some += [Subject(e.page, e) for e in all_entries() if e.key in ("eq 2", "eq 15")]
    monkeypatch.setattr(page_command, "site_subjects", lambda _: some)
    site = tmp_path / "site"
    words = ["page", "--all", "--out", str(site), "--device", "cpu", "--trust"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1, done.output
    assert "1 of 4 pages not made:\nlesson broken.py: broken.py, line 6: Zero" in done.output
    pages = {path.stem: path.read_text(encoding="utf-8") for path in site.glob("*.html")}
    assert {*pages} == {"index", "symbols", "ledger", "small", "eq_2", "eq_15"}
    for html in pages.values():
        check_form(html)
        check_private(html, tmp_path)
        assert {link for link in re.findall(r'href="(\w+)\.html', html)} <= {*pages}
    assert 'href="small.html"' in pages["index"] and "Broken" in pages["index"]
    assert 'href="eq_15.html"' in pages["eq_2"]  # the next of the paper
    assert "alphas_cumprod" in pages["symbols"] and "Measured" in pages["ledger"]


def test_a_site_that_is_stopped_early_leaves_no_empty_folder(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(page_command, "recorded_page", stopped)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["page", "--all", "--out", "a/site"])
    assert done.exit_code == 130 and not list(tmp_path.iterdir()), done.output


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started once."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("there is no chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any, page: Path) -> Iterator[Any]:
    """The page in a fresh browser, which has asked nobody for anything and has not complained."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    mine = ("data:", page.as_uri(), "Canvas2D: Multiple readback")  # the last is this test's
    assert [line for line in said if not line.startswith(mine)] == []
    context.close()


def painted(canvas: Any) -> torch.Tensor:
    """The greys of a canvas, (H, W)."""
    script = """canvas => [canvas.width, ...canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data]"""
    width, *values = canvas.evaluate(script)
    return torch.tensor(values).view(-1, width, 4)[:, :, 0]


@pytest.mark.slow
def test_the_forward_process_in_the_page_is_that_of_the_package(
    tab: Any, schedule: Schedule
) -> None:
    images = ten_digits(load_offline_digits(), 0)
    for digit, number, t in ((0, 0, 0), (7, 1, 1), (3, 4, 500), (9, 2, 1000)):
        x_0 = to_unit_range(images[digit : digit + 1])
        x_t = q_sample(schedule, x_0, torch.tensor([t]), noise(number))
        there = torch.tensor(tab.evaluate(f"ddpm.x_t({digit}, {number}, {t})"))
        assert (there - x_t.flatten()).abs().max() < 1e-5
    tab.locator("#live-digit").select_option(index=3)
    tab.locator("#live-noise").select_option(index=4)
    tab.locator("#live-t").fill("300")
    x_t = q_sample(schedule, to_unit_range(images[3:4]), torch.tensor([300]), noise(4))
    drawn = tab.locator('.live [data-of="x_t"]')
    assert (painted(drawn) - as_uint8(x_t)[0].int()).abs().max() <= 1
    alpha_bar = schedule.alpha_bar[300].item()
    assert tab.locator('.live dd[data-say="alpha_bar"]').inner_text() == f"{alpha_bar:.4f}"
    assert tab.locator('.live dd[data-say="signal"]').inner_text() == f"{alpha_bar**0.5:.3f}"
    label = drawn.get_attribute("aria-label")
    assert "t = 300" in label and "digit 3" in label


@pytest.mark.slow
def test_a_film_is_moved_by_its_slider_and_plays(tab: Any) -> None:
    film, runs = tab.locator(".film").nth(0), tab.locator(".film").nth(1)
    noisy = painted(film.locator("canvas").first)
    assert film.locator("output").inner_text() == "t = 800"
    film.get_by_role("slider").press("End")
    assert film.locator("output").inner_text() == "t = 0"
    clean = painted(film.locator("canvas").first)
    digit = load_offline_digits().of_class(7)[0, 0]
    assert (clean - digit.int()).abs().max() <= 1 and (noisy - clean).abs().max() > 50
    label = film.locator("canvas").first.get_attribute("aria-label")
    assert label == "x_t, t = 0: bright strokes on a dark ground"
    film.get_by_role("slider").press("Home")
    film.get_by_role("button", name="Play").click()
    film.locator("output", has_text=re.compile(r"^t = 0$")).wait_for()
    # two runs on one slider
    runs.get_by_role("slider").press("End")
    right, wrong = (painted(canvas) for canvas in runs.locator("canvas").all()[:2])
    assert (right + wrong - 255).abs().max() <= 1


@pytest.mark.slow
def test_a_choice_gets_its_own_reply_and_then_the_answer(tab: Any) -> None:
    first = tab.locator(".question").first
    assert not tab.get_by_text("said after the choice").is_visible()
    first.get_by_role("button", name="none").press("Enter")
    # the button can be pressed no more; the keyboard goes on from the reply
    assert tab.evaluate("document.activeElement.className") == "reply"
    told = first.locator(".reply").inner_text()
    assert "No, REPLY-C." in told and "It is b) that." in told
    assert "REPLY-B." in told and "REPLY-A" not in told
    assert tab.get_by_text("said after the choice").is_visible()
    assert not tab.get_by_text("said after the number").is_visible()
    assert tab.locator(".score").inner_text() == "0 of 2 right · 0 of 2 points"
    assert first.get_by_role("button", name="that").is_disabled()  # the first answer counts


@pytest.mark.slow
def test_a_number_is_read_as_people_write_it_and_the_score_is_kept(tab: Any) -> None:
    tab.get_by_role("button", name="that").click()
    second = tab.locator(".question").nth(1)
    box = second.get_by_role("textbox")
    box.fill("some")
    box.press("Enter")
    assert "Please type a number" in second.locator(".reply").inner_text()
    box.fill("5/2 + 0,05")
    box.press("Enter")
    assert "✓" in second.locator(".reply").inner_text()
    assert "It is 2.5. WHY." in second.locator(".reply").inner_text()
    assert tab.get_by_text("said after the number").is_visible()
    assert tab.locator(".score").inner_text() == "2 of 2 right · 2 of 2 points"
    tab.reload()
    assert tab.locator(".score").inner_text() == "2 of 2 right · 2 of 2 points"
    assert tab.get_by_text("said after the number").is_visible()
    tab.get_by_role("button", name="Forget my answers").click()
    tab.locator(".score", has_text=re.compile("^0 of 2")).wait_for()
    assert not tab.get_by_text("said after the choice").is_visible()
    tab.get_by_role("button", name="Show all answers").click()
    assert tab.get_by_text("said after the number").is_visible()
    assert second.get_by_role("textbox").get_attribute("placeholder") == ""
    assert tab.locator(".score").inner_text().startswith("0 of 2")  # to look is not to answer


@pytest.mark.slow
def test_a_wrong_number_is_told_how_far_it_is_off(tab: Any) -> None:
    tab.get_by_role("button", name="that").click()
    second = tab.locator(".question").nth(1)
    second.get_by_role("textbox").fill("1.2346")
    second.get_by_role("button", name="Answer", exact=True).click()
    told = second.locator(".reply").inner_text()
    assert "✗" in told and "It is 2.5. You were 1.3 off. WHY." in told
    assert tab.locator(".score").inner_text() == "1 of 2 right · 2 of 2 points"


@pytest.mark.slow
def test_typed_numbers_mean_what_the_terminal_takes_them_for(tab: Any) -> None:
    read = json.loads(
        tab.evaluate("""JSON.stringify(["0.5", "0,5", "1/2", "√2", "2^10", "42 %", "1e-3", "1,024",
        "-3", "2*(3+4)", "sqrt(4)", "π", "", "abc", "1/0"].map(readings))""")
    )
    wanted = [[0.5], [0.5], [0.5], [2**0.5], [1024], [0.42, 42], [1e-3], [1.024, 1024], [-3], [14],
              [2], [torch.pi], [], [], []]  # fmt: skip
    for mine, right in zip(read, wanted, strict=True):
        assert mine == pytest.approx(right)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_is_no_serious_fault_for_screen_reader_or_keyboard(tab: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
    tab.emulate_media(color_scheme=scheme)
    tab.get_by_role("button", name="none").click()
    found = axe.Axe().run(tab).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(f["id"], [n["html"][:120] for n in f["nodes"]]) for f in serious] == []


@pytest.mark.slow
def test_a_telephone_needs_no_scrolling_sideways(tab: Any) -> None:
    tab.set_viewport_size({"width": 360, "height": 640})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    # what is wider than its place can be reached by the keyboard, and only that
    wider = "e => [e.scrollWidth > e.clientWidth, e.tabIndex === 0]"
    found = [block.evaluate(wider) for block in tab.locator("pre, .formula, .wide").all()]
    assert len(found) > 5 and all(wide == reached for wide, reached in found)


@pytest.mark.slow
def test_on_a_telephone_the_number_of_an_equation_and_all_letters_can_be_read(
    browser: Any, tmp_path: Path
) -> None:
    wide = "    x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε + √ᾱ_t x_0 + √(1 - ᾱ_t) ε + √ᾱ_t x_0   (4)\n"
    curves = Curves("", {"": [(0, 0.001), (1000, 1.0)]}.items(), x_label="step")
    (tmp_path / "page.html").write_text(shell("a", "a", prose(wide) + to_html([curves])), "utf-8")
    tab = browser.new_page(viewport={"width": 360, "height": 640})
    tab.goto((tmp_path / "page.html").as_uri())
    scrolled = tab.locator(".scrolled")
    assert scrolled.evaluate("e => e.scrollWidth > e.clientWidth && e.tabIndex === 0")
    assert scrolled.get_attribute("class") == "scrolled more"  # it is seen that it goes on
    scrolled.evaluate("e => e.scrollTo(999, 0)")
    tab.locator(".scrolled:not(.more)").wait_for()
    number = tab.locator(".equation svg").bounding_box()
    assert number["x"] + number["width"] <= 360
    heights = [text.bounding_box()["height"] for text in tab.locator(".plot text").all()]
    assert len(heights) > 5 and min(heights) > 10
    tab.close()


@pytest.mark.slow
def test_on_paper_code_is_unfolded_and_a_film_is_six_moments(tab: Any) -> None:
    tab.get_by_role("button", name="that").click()  # so that the other replies are there
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    folded = tab.locator("main details:not(.source)")
    assert tab.locator("main details[open]").count() == folded.count() > 3
    assert tab.locator(".strip").first.locator("canvas").count() == 12
    assert tab.locator(".strip").first.is_visible()
    assert not tab.locator(".controls").first.is_visible()
