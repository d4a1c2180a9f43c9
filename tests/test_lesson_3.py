"""Lesson 3 goes from the step back to the loss: what its tables show holds."""

from typing import Any

import pytest
import torch

from ddpm_tutor import load_checkpoint, normal, q_sample, stream, to_unit_range
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.storage.digits import load_offline_digits


@pytest.mark.parametrize("seed", [0, 5])
def test_lesson_3_goes_from_eq_7_to_eq_12_by_equal_numbers(seed: int) -> None:
    """Bayes' rule gives Eq. 7; the KL divergence, Eq. 8 and Eq. 12 are one number."""
    lesson = all_lessons()[2]
    tables: dict[str, list[list[str]]] = {}
    space: dict[str, Any] = {"seed": seed, "digits": load_offline_digits()}
    space["schedule"] = schedule = linear_schedule()
    space |= {"torch": torch, "show_table": lambda title, _, rows: tables.update({title: rows})}
    for step in lesson.steps:
        if step.title in ("The step back, if x_0 were known", "Where does the loss come from?"):
            for cell in step.code:
                exec(cell.source, space)
    pixel, losses = tables.values()
    for _, by_bayes, eq_7, variance, beta_tilde in pixel:
        assert float(by_bayes) == pytest.approx(float(eq_7), abs=2e-5)
        assert float(variance) == pytest.approx(float(beta_tilde), abs=2e-6)
    assert [row[0] for row in losses] == [2, 10, 100, 500, 1000]
    for _, kl, eq_8, eq_12 in losses:
        assert float(kl) > 0 and float(eq_8) == pytest.approx(float(kl), abs=2e-5)
        assert float(eq_12) == pytest.approx(float(kl), abs=2e-5)
    for t, weight in space["weights"].items():  # as the step after it says
        noise_before = 1 - schedule.alpha_bar[t - 1].item()
        said = schedule.beta[t].item() / (2 * schedule.alpha[t].item() * noise_before)
        assert weight == pytest.approx(said, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 5])
def test_lesson_3_shows_the_floor_of_the_loss(seed: int) -> None:
    """At small t the noise can be told in the plain background, and not in strokes."""
    lesson = all_lessons()[2]
    tables: list[list[list[str]]] = []
    space = {"torch": torch, "digits": load_offline_digits(), "schedule": linear_schedule()}
    space |= {"normal": normal, "q_sample": q_sample, "to_unit_range": to_unit_range}
    space |= {"generator": stream(seed, "lesson 3"), "trained": load_checkpoint()}
    space |= {"show_table": lambda title, _, rows: tables.append(rows)}
    (step,) = (step for step in lesson.steps if step.title == "The loss has a floor")
    for cell in step.code:
        exec(cell.source, space)
    for t, *losses in tables[0]:
        plain, strokes = map(float, losses)
        assert (plain < 0.03 and strokes > 5 * plain) if t <= 50 else strokes < 0.001
