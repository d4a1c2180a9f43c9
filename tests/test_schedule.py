"""The schedule is the paper's, and a shorter one passes through the same noise levels."""

import pytest
import torch

from ddpm_tutor.science.schedule import linear_schedule, respaced, schedule_from_beta


def test_has_an_entry_for_each_t_from_0_to_T(schedule):
    assert schedule.T == 1000
    assert schedule.beta.shape == schedule.alpha.shape == schedule.alpha_bar.shape == (1001,)


def test_step_0_is_the_identity(schedule):
    assert (schedule.beta[0], schedule.alpha[0], schedule.alpha_bar[0]) == (0, 1, 1)


def test_is_float64(schedule):
    # 1 - alpha_bar[1] = 1e-4 keeps only 3 or 4 digits in float32
    assert schedule.beta.dtype == schedule.alpha.dtype == schedule.alpha_bar.dtype == torch.float64
    assert schedule.to("cpu").alpha_bar.dtype == torch.float64


def test_beta_is_linear_between_the_papers_endpoints(schedule):
    assert schedule.beta[1].item() == pytest.approx(1e-4, rel=1e-12)
    assert schedule.beta[1000].item() == pytest.approx(0.02, rel=1e-12)
    torch.testing.assert_close(
        schedule.beta[1:].diff(), torch.full((999,), (0.02 - 1e-4) / 999, dtype=torch.float64)
    )


def test_alpha_bar_is_the_product_of_1_minus_beta(schedule):
    product = 1.0
    for t in range(1, 1001):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * (t - 1) / 999)
        assert schedule.alpha_bar[t].item() == pytest.approx(product, rel=1e-12)


@pytest.mark.parametrize(("T", "left"), [(50, 0.60), (200, 0.13), (400, 0.017), (1000, 4.04e-5)])
def test_signal_left_at_T_with_the_papers_range_of_beta(T, left):
    # two digits for the rounded figures of the assignment, three for the paper's own T
    assert linear_schedule(T).alpha_bar[T].item() == pytest.approx(left, rel=0.03)


def test_alpha_bar_T_is_4_04e_5(schedule):
    assert f"{schedule.alpha_bar[1000].item():.2e}" == "4.04e-05"


@pytest.mark.parametrize("T", [0, -1])
def test_T_below_1_is_refused(T):
    with pytest.raises(ValueError):
        linear_schedule(T)


@pytest.mark.parametrize("beta", [[], [0.1, 1.0], [-0.1], [float("nan")], [[0.1, 0.2]]])
def test_what_is_no_list_of_variances_is_refused(beta):
    with pytest.raises(ValueError):
        schedule_from_beta(torch.tensor(beta))


@pytest.mark.parametrize("ends", [(-1e-4, 0.02), (1e-4, 1.0)])
def test_linear_range_outside_0_to_1_is_refused(ends):
    with pytest.raises(ValueError):
        linear_schedule(10, *ends)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 50, 333, 999, 1000])
def test_respaced_keeps_alpha_bar_at_the_steps_it_chose(schedule, steps):
    short, t = respaced(schedule, steps)
    assert len(short.beta) == steps + 1
    torch.testing.assert_close(short.alpha_bar, schedule.alpha_bar[t], rtol=0, atol=0)
    torch.testing.assert_close(short.alpha.cumprod(0), short.alpha_bar, rtol=1e-12, atol=0)
    torch.testing.assert_close(short.beta, 1 - short.alpha, rtol=0, atol=1e-15)


def test_respaced_steps_rise_evenly_from_0_to_T():
    schedule = linear_schedule(60)
    for steps in range(1, 61):
        _, t = respaced(schedule, steps)
        assert (t[0], t[-1]) == (0, 60)
        assert t.diff().min() >= 1  # no noise level twice, or a step would do nothing
        assert t.diff().max() - t.diff().min() <= 1


def test_respaced_to_T_steps_is_the_schedule_itself(schedule):
    short, t = respaced(schedule, 1000)
    assert torch.equal(t, torch.arange(1001))
    assert torch.equal(short.beta, schedule.beta)
    assert torch.equal(short.alpha, schedule.alpha)
    assert torch.equal(short.alpha_bar, schedule.alpha_bar)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_respaced_refuses_steps_outside_1_to_T(schedule, steps):
    with pytest.raises(ValueError, match="1 to 1000"):
        respaced(schedule, steps)
