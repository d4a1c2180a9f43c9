"""Numbers as people type them: what each means, what is refused, and what is said of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm_tutor.classroom.typed_numbers import read_number, readings, understood
from ddpm_tutor.screen.values import number

MEANT = {
    ".5": 0.5, "5.": 5, "+3": 3, "0,5": 0.5, ",5": 0.5, "0,125": 0.125, "-0,5": -0.5,
    "1e3": 1000, "1E-4": 1e-4, "1,5e3": 1500, "1.5×10⁻⁴": 1.5e-4, "1.5 x 10^-4": 1.5e-4,
    "10⁻⁴": 1e-4, "10**-4": 1e-4, "2^10": 1024, "2 ^ 10": 1024, "-2^2": -4,
    "1/2": 0.5, "½": 0.5, "⅓": 1 / 3, "1½": 1.5, "-1½": -1.5, "1 1/2": 1.5, "3⁄4": 0.75,
    "√2": math.sqrt(2), "√(1-0,02)": math.sqrt(0.98), "√2/2": math.sqrt(0.5),
    "sqrt(2)": math.sqrt(2), "exp(-1)": 1 / math.e, "ln(e)": 1, "2*pi": 2 * math.pi,
    "1 000": 1000, "1\u202f000": 1000, "1_000": 1000, "1'000'000": 1e6, "60k": 60_000,
    "1,024,000": 1_024_000, "1.024.000": 1_024_000, "1.024,5": 1024.5, "1,024.5": 1024.5,
    "−0.5": -0.5, "–0.5": -0.5, "~0.5": 0.5, "≈ 0.5": 0.5, "about 0.5": 0.5, "0.5.": 0.5,
    "０．５": 0.5, "0.1 + 0.2": 0.3,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), MEANT.items(), ids=MEANT)
def test_what_people_type_is_what_they_mean(text: str, value: float) -> None:
    assert readings(text) == [pytest.approx(value, rel=1e-12)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,024", [1024, 1.024]),
        ("1.024", [1.024, 1024]),
        ("42%", [0.42, 42]),
        ("42 %", [0.42, 42]),
        ("1,5 %", [0.015, 1.5]),
    ],
)
def test_what_can_be_meant_in_two_ways_has_two_readings(text: str, values: list[float]) -> None:
    assert readings(text) == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "answer", "tolerance", "value"),
    [
        ("1,024", 1024, 1, 1024),
        ("1,024", 1.02, 0.01, 1.024),
        ("1,024", 1000, 1, 1024),  # wrong both ways: the nearer
        ("1,024", 0.5, 0.01, 1.024),
        ("1.024", 1024, 1, 1024),
        ("1.024", 700, 1, 1.024),  # wrong both ways, and plain
        ("42%", 0.4, 0.05, 0.42),
        ("42%", 40, 5, 42),
        ("0,125", 125, 1, 0.125),
    ],
)
def test_the_reading_within_reach_is_taken(
    text: str, answer: float, tolerance: float, value: float
) -> None:
    assert read_number(text, answer, tolerance) == value


NONSENSE = [
    "", "abc", "five", "1 2", "1, 2", "1.2.3", "1,02,4", "1,024,00", "0x10", "1e", "2e", "5j",
    "()", "(1", "1)", "1+", "*2", "√-1", "ln(0)", "(-8)^(1/3)", "sqrt", "1_0", "1__000", "--",
    "__import__('os')", "lambda: 0", "a" * 1000, "(" * 60, "-" * 60, "1" * 100, "\x00", "[/b]",
    "±1",
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_refused_with_a_kind_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Please type a number, such as"):
        readings(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nan", "finite"), ("-inf", "finite"), ("∞", "finite"), ("Infinity", "finite"),
        ("1/0", "division by 0"), ("1e999", "too large"), ("9**9**9", "too large"),
        ("10^10^10", "too large"), ("exp(1000)", "too large"),
    ],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        readings(text)


@pytest.mark.parametrize(
    ("text", "value", "says"),
    [
        ("0.5", 0.5, "0.5"),
        ("-.5", -0.5, "-.5"),
        ("1/2", 0.5, "1/2 = 0.5"),
        ("1/3", 1 / 3, "1/3 ≈ 0.333333"),
        ("0.1+0.2", 0.1 + 0.2, "0.1+0.2 = 0.3"),
        ("1e3", 1000, "1e3 = 1000"),
        ("1,024", 1024, "1,024, read as 1024"),
        ("1.024", 1024, "1.024, read as 1024"),
        ("1.024", 1.024, "1.024"),
        ("42%", 42, "42%, read as 42"),
    ],
)
def test_it_is_said_what_was_understood(text: str, value: float, says: str) -> None:
    assert understood(text, value) == says


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < 1e300))
def test_a_number_as_it_is_shown_is_read_as_shown(value: float) -> None:
    shown = number(value)
    assert readings(shown)[0] == float(shown.replace(",", ""))


@given(st.floats(-1e15, 1e15))
def test_a_number_as_python_writes_it_is_itself(value: float) -> None:
    assert readings(repr(value))[0] == value


@given(st.integers(-(10**12), 10**12))
def test_whole_numbers_in_groups_of_three(value: int) -> None:
    for text in (f"{value:,}", f"{value:_}", f"{value:,}".replace(",", " ")):
        assert readings(text)[0] == value


@given(st.decimals(0, 10**9, places=4))
def test_a_decimal_comma_with_four_decimals_is_never_a_thousand(value) -> None:
    assert readings(str(value).replace(".", ",")) == [float(value)]


@given(st.text(max_size=70) | st.text("0123456789.,+-*/^()√% ek", max_size=70))
def test_any_text_is_finite_numbers_or_a_kind_line(text: str) -> None:
    try:
        found = readings(text)
    except ValueError as error:
        assert "such as 0.5" in str(error)
    else:
        assert 1 <= len(found) <= 4 and all(map(math.isfinite, found))
        assert understood(text, found[0]).startswith(text)
