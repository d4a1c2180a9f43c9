"""`ddpm-tutor paper`: the pieces of the paper are there, found by name, and true."""

import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ddpm_tutor import p_mean
from ddpm_tutor.classroom.session import Session
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.cli.app import app
from ddpm_tutor.course.entry_lint import problems_of_entry, problems_of_paper
from ddpm_tutor.course.lesson import all_lessons, read_lesson
from ddpm_tutor.course.paper import (
    Entry,
    Section,
    all_entries,
    by_number,
    entries_named,
    find_entry,
    ledger,
    left_out,
    neighbours,
    pieces_named,
    sections,
    symbols,
    understood,
    written,
)
from ddpm_tutor.course.search import functions, search
from ddpm_tutor.errors import UsageError
from ddpm_tutor.learner.progress import load_progress
from ddpm_tutor.screen.console import make_console

FUNCTIONS = {name for name, _, _ in functions()}


def run(*words: str):
    return CliRunner().invoke(app, ["paper", *words])


def test_every_piece_of_the_paper_is_there_or_said_to_be_left_out() -> None:
    assert problems_of_paper() == []


@pytest.mark.parametrize("entry", all_entries(), ids=lambda entry: entry.page.path.stem)
def test_every_entry_is_in_order(entry: Entry) -> None:
    assert problems_of_entry(entry, FUNCTIONS) == []


@pytest.mark.parametrize("entry", all_entries(), ids=lambda entry: entry.page.path.stem)
def test_every_entry_computes_what_it_says(entry: Entry, tmp_path: Path) -> None:
    """Each asserts its numbers; they are printed, and no error stops it."""
    console = make_console(file=io.StringIO())
    settings = {"steps": "10"} if entry.key == "table 2" else {}  # of each training
    assert Stepper(entry.to_read(), Session(console, tmp_path), settings=settings).run()
    assert "Error" not in console.file.getvalue()


def test_what_is_wrong_in_an_entry_is_named(tmp_path: Path) -> None:
    page = tmp_path / "eq_2.py"
    page.write_text(
        "# %% [markdown]\n# # Equation 2\n#\n# **Where:** §2\n#\n# **Symbols:** x_t, ω\n#\n"
        "# **Function:** q_stepp\n#\n# **Lesson:** 1, No such step; 99, Nowhere\n#\n"
        "# **Exercise:** 99\n#\n# **Mistakes:** nobodys\n#\n# **See:** eq 99\n#\n#     x = 1\n"
        f"#     y = {'1 + ' * 19}1\n",
        encoding="utf-8",
    )
    found = "\n".join(problems_of_entry(Entry(read_lesson(page)), FUNCTIONS))
    for what in (
        "heading", "its formula", "asks nothing", "What people get wrong", "asserted",
        "function q_stepp", "symbol ω", "No such step", "lesson 99", "exercise 99", "nobodys",
        "entry eq 99", "a formula of more than 79 columns",
    ):  # fmt: skip
        assert what in found


@pytest.mark.parametrize(
    ("typed", "key"),
    {
        "eq 11": "eq 11", "11": "eq 11", "eq11": "eq 11", "(11)": "eq 11", "Eq. 11": "eq 11",
        "equation 11": "eq 11", "alg 2": "alg 2", "Algorithm 2": "alg 2", "fig 6": "fig 6",
        "figure 6": "fig 6", "table 1": "table 1", "eq 19": "eq 17",
    }.items(),
)  # fmt: skip
def test_a_piece_is_found_as_people_type_it(typed: str, key: str) -> None:
    found = understood(typed.split())
    assert isinstance(found, Entry) and found.key == key


@pytest.mark.parametrize(
    ("typed", "number"),
    [("3.4", "3.4"), ("§3.4", "3.4"), ("sec 3.4", "3.4"), ("section 4", "4"), ("app B", "B"),
     ("b", "B")],
)  # fmt: skip
def test_a_section_is_found_as_people_type_it(typed: str, number: str) -> None:
    found = understood(typed.split())
    assert isinstance(found, Section) and found.number == number


@pytest.mark.parametrize("typed", ["eq 99", "alg 0", "9.9", "app Q", "hello", "fig 3", "11 12", ""])
def test_what_is_no_piece_gets_one_clear_line(typed: str) -> None:
    with pytest.raises(UsageError, match=r"ddpm-tutor paper|has no (section|entry)|Try: eq 11"):
        understood(typed.split())


def test_what_there_is_instead_is_counted_up() -> None:
    with pytest.raises(UsageError, match=r"Choose from: eq 1, eq 2, eq 3, .*eq 16, eq 17, eq 18"):
        understood(["eq", "99"])
    with pytest.raises(UsageError, match="fig 8, fig 9, fig 10, fig 15"):
        understood(["fig", "99"])
    assert sorted(["sec B", "sec 3.10", "sec 4", "sec 3.2"], key=by_number)[:2] == [
        "sec 3.2", "sec 3.10",
    ]  # fmt: skip


def test_pieces_are_recognised_in_the_words_of_a_lesson() -> None:
    text = "Eq. 3 to 5, then Eqs. 8 and 12; Alg. 2, Algorithm 1\n\n    x = y      (14)\n"
    text += "(Section 3.2, Appendix B) "
    text += "Table 2: with Eq. 14, 3.17\n"  # an FID
    text += "        a, b = a.flatten(1), b.flatten(2)\n"  # code
    assert pieces_named(text) == [
        "eq 3", "eq 4", "eq 5", "eq 8", "eq 12", "alg 2", "alg 1", "eq 14", "sec 3.2", "sec B",
        "table 2",
    ]  # fmt: skip
    assert pieces_named("Song et al. 2020, Eq. 16 and Ho and Salimans 2022 (Eq. 6)") == []
    assert [entry.key for entry in entries_named("Eq. 18, Eq. 99")] == ["eq 17"]


def test_the_contents_name_all_and_tick_what_was_read() -> None:
    shown = run().output
    for section in sections():
        assert section.title in shown
    for entry in all_entries():
        assert entry.title.split()[0] in shown and entry.name in shown
    for key in left_out():
        assert written(key) in " ".join(shown.split())


def test_an_entry_shows_its_formula_its_symbols_and_what_belongs_to_it() -> None:
    shown = run("7", "--no-pause", "--seed", "3").output
    assert "(7)" in shown and "q_posterior()" in shown and "set by you: seed = 3" in shown
    assert "ddpm-tutor exercise start 7" in shown and "ddpm-tutor lesson 4 --from" in shown
    assert "Next in the paper: ddpm-tutor paper" in shown


def test_a_device_may_be_named_where_an_entry_computes_on_none() -> None:
    assert run("eq", "17", "--no-pause", "--device", "cpu").exit_code == 0


def test_bad_settings_are_refused_before_anything_runs() -> None:
    for words in (["--set", "speed=1"], ["--set", "seed"], ["--seed", "-1"]):
        result = run("eq", "11", "--no-pause", *words)
        assert result.exit_code == 2 and "1 of" not in result.output


def test_the_neighbours_of_an_entry_are_those_of_the_paper() -> None:
    order = [entry.key for entry in all_entries()]
    for entry in all_entries():
        before, after = neighbours(entry)
        at = order.index(entry.key)
        assert (before.key if before else None) == (order[at - 1] if at else None)
        assert (after.key if after else None) == (order[at + 1] if at + 1 < len(order) else None)


def test_words_are_found_in_entries_lessons_exercises_and_functions() -> None:
    found = search(["clip"])
    assert {each.kind for each in found} >= {"lesson", "exercise"}
    assert all("clip" in f"{each.title} {each.excerpt}".lower() for each in found)
    assert {each.kind for each in search(["Eq."])} >= {"paper", "lesson", "exercise", "function"}
    assert run("find", "zebra").exit_code == 2 and run("find").exit_code == 2
    assert "p_mean()" in run("find", "p_mean").output


def test_symbols_and_lines_of_the_ledger_are_found_and_opened_by_what_is_shown() -> None:
    named = {each.place for each in search(["alphas_cumprod"]) if each.kind == "symbol"}
    assert ("paper", "symbols", "alpha_bar") in named
    differing = {each.place for each in search(["clip"]) if each.kind == "ledger"}
    assert ("paper", "ledger", "clip") in differing
    for each in search(["alpha-bar"]) + search(["variance"]):
        if each.kind in ("symbol", "ledger"):
            assert run(*map(str, each.place[1:])).exit_code == 0, each.place


def test_a_section_lists_the_pieces_of_its_subsections_and_names_the_first() -> None:
    shown = run("§3").output
    assert all(f"§3.{i}" in shown for i in range(1, 5)) and "Eq. 14" in shown
    assert "Open the first: ddpm-tutor paper sec 3.1" in shown
    assert "Open the first: ddpm-tutor paper eq 17" in run("app A").output


def test_a_piece_that_another_entry_covers_opens_that_one() -> None:
    assert all(find_entry(f"eq {number}").key == "eq 17" for number in range(17, 23))
    assert all(find_entry(f"eq {number}").key == "eq 16" for number in range(23, 27))
    assert run("eq", "27").exit_code == 2


def test_symbols_are_each_there_once_and_found_by_any_name() -> None:
    keys = [symbol.key for symbol in symbols()]
    assert len(set(keys)) == len(keys)
    shown = run("symbols").output
    assert all(symbol.symbol in shown for symbol in symbols())
    one = run("symbols", "alpha_bar").output
    assert "ᾱ_t" in one and "alphas_cumprod" in one and "β_t" not in one.replace("beta_prod", "")
    assert run("symbols", "omega").exit_code == 2


def test_each_line_of_the_ledger_has_an_effect_with_a_number() -> None:
    shown = " ".join(run("ledger").output.split())
    for line in ledger():
        assert line.name in shown and re.search(r"\d", line.effect) and line.how
        assert not line.see or find_entry(line.see)
    assert "ddpm-tutor paper alg 2" in run("ledger", "clip").output
    assert run("ledger", "nothing").exit_code == 2


def keys(*pressed: str):
    pressing = iter(pressed)
    return lambda: next(pressing)


def test_the_key_e_opens_the_entry_of_what_is_on_the_screen() -> None:
    lesson = next(lesson for lesson in all_lessons() if lesson.number == 4)
    first, *others = entries_named(lesson.steps[0].prose)
    opened: list[Entry] = []
    console = make_console(file=io.StringIO())
    pressed = keys("e", "2", "e", "x", "q") if others else keys("e", "q")
    stepper = Stepper(lesson, Session(console), keys=pressed, open_entry=opened.append)
    stepper.run()
    assert opened == [others[0] if others else first]
    assert "e paper" in console.file.getvalue()


def test_the_key_s_shows_the_function_that_a_formula_is() -> None:
    console = make_console(file=io.StringIO())
    entry = next(entry for entry in all_entries() if entry.key == "eq 11")
    stepper = Stepper(
        entry.to_read(), Session(console), keys=keys("s", "q"), named={"p_mean": p_mean}
    )
    stepper.run()
    assert "s source" in console.file.getvalue() and "def p_mean(" in console.file.getvalue()


def test_a_key_of_a_link_ends_the_sitting_and_is_kept() -> None:
    console = make_console(file=io.StringIO())
    entry = all_entries()[0]
    stepper = Stepper(
        entry.to_read(), Session(console), keys=keys(">"), other_keys={">": "next entry"}
    )
    assert not stepper.run() and stepper.left_by == ">"
    assert load_progress().lessons.get(entry.progress_name) is None
