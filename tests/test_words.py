"""Words that every room forms in the same way."""

import pytest

from ddpm_tutor.words import count_of


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 points"),
        (1, "1 point"),
        (1.0, "1 point"),
        (0.5, "0.5 points"),
        (2000, "2,000 points"),
    ],
)
def test_one_thing_is_no_plural(number: float, said: str) -> None:
    assert count_of(number, "point") == said
