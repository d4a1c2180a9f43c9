"""The equations: identities of the paper, and agreement with diffusers at every t.

All in float64, with a batch that holds each t of 1..T once, unless a test says otherwise.
"""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ddpm_tutor.science.diffusion import (
    beta_tilde,
    ddim_step,
    loss_simple,
    losses_simple,
    p_mean,
    p_step,
    predict_eps,
    predict_x_0,
    q_posterior,
    q_sample,
    q_step,
    v_weight,
)

SHAPE = (1, 4, 4)  # the equations know nothing of the size of an image


def noise(seed: int, batch: int = 1000, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(batch, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def close(actual, expected, atol=1e-10):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def coefficients(step, batch=1000):
    """What a step does to a number: it multiplies it by the first and adds noise times the second.

    Each is found by giving the step 1 for the one and 0 for the other.
    """
    one = torch.ones(batch, 1, 1, 1, dtype=torch.float64)
    return step(one, 0 * one).flatten(), step(0 * one, one).flatten()


# The forward process


def test_iterating_eq_2_gives_the_coefficients_of_eq_4(schedule, steps_1_to_T):
    shrink, add = coefficients(lambda x, eps: q_step(schedule, x, steps_1_to_T, eps))
    coef_x_0, coef_eps = coefficients(lambda x, eps: q_sample(schedule, x, steps_1_to_T, eps))
    mean, variance = 1.0, 0.0
    for i in range(1000):
        mean, variance = shrink[i] * mean, shrink[i] ** 2 * variance + add[i] ** 2
        assert abs(coef_x_0[i] - mean) < 1e-12
        assert abs(coef_eps[i] ** 2 - variance) < 1e-12


def test_walking_eq_2_and_jumping_by_eq_4_give_the_same_distribution(schedule):
    n, t_end, x_0 = 10_000, 200, 0.8
    generator = torch.Generator().manual_seed(0)
    x = torch.full((n, 1), x_0, dtype=torch.float64)
    for t in range(1, t_end + 1):
        eps = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x = q_step(schedule, x, torch.tensor([t]), eps)
    alpha_bar = schedule.alpha_bar[t_end].item()
    # 5 standard errors of a mean and of a variance
    assert x.mean().item() == pytest.approx(alpha_bar**0.5 * x_0, abs=5 / n**0.5)
    assert x.var().item() == pytest.approx(1 - alpha_bar, rel=5 * (2 / n) ** 0.5)


def test_eq_4_at_t_0_is_x_0_itself(schedule):
    x_0 = noise(0, 3)
    assert torch.equal(q_sample(schedule, x_0, torch.zeros(3, dtype=torch.long), noise(1, 3)), x_0)


def test_data_of_unit_variance_keeps_it(schedule, steps_1_to_T):
    coef_x_0, coef_eps = coefficients(lambda x, eps: q_sample(schedule, x, steps_1_to_T, eps))
    close(coef_x_0**2 + coef_eps**2, torch.ones_like(coef_x_0))


# The posterior and the reverse step


def test_beta_tilde_is_zero_at_t_1_and_nowhere_else(schedule, steps_1_to_T):
    variance = beta_tilde(schedule, steps_1_to_T)
    assert variance.shape == (1000,)
    assert variance[0] == 0
    assert (variance[1:] > 0).all()
    assert (variance < schedule.beta[1:]).all()


def test_the_posterior_has_variance_beta_tilde_shaped_for_a_batch_of_images(schedule, steps_1_to_T):
    _, variance = q_posterior(schedule, noise(0), noise(1), steps_1_to_T)
    assert torch.equal(variance, beta_tilde(schedule, steps_1_to_T).view(1000, 1, 1, 1))


def test_posterior_at_t_1_is_x_0(schedule):
    x_0, x_1 = noise(0, 5), noise(1, 5)
    mu_tilde, _ = q_posterior(schedule, x_1, x_0, torch.ones(5, dtype=torch.long))
    close(mu_tilde, x_0)


def test_posterior_is_bayes_rule_on_eq_2_and_eq_4(schedule, steps_1_to_T):
    # q(x_{t-1} | x_t, x_0) is proportional to q(x_t | x_{t-1}) q(x_{t-1} | x_0): precisions add up
    t = steps_1_to_T[1:]
    x_t, x_0 = noise(0)[1:], noise(1)[1:]
    shrink, add = coefficients(lambda x, eps: q_step(schedule, x, t, eps), 999)
    coef_x_0, coef_eps = coefficients(lambda x, eps: q_sample(schedule, x, t - 1, eps), 999)
    precision = shrink**2 / add**2 + 1 / coef_eps**2
    shrink, add, coef_x_0, coef_eps, precision = (
        v.view(-1, 1, 1, 1) for v in (shrink, add, coef_x_0, coef_eps, precision)
    )
    mean = (shrink * x_t / add**2 + coef_x_0 * x_0 / coef_eps**2) / precision
    mu_tilde, variance = q_posterior(schedule, x_t, x_0, t)
    close(mu_tilde, mean)
    close(variance, 1 / precision)


def test_eq_7_with_eq_15_put_in_is_eq_11(schedule, steps_1_to_T):
    x_t, eps = noise(0), noise(1)
    x_0 = predict_x_0(schedule, x_t, steps_1_to_T, eps)
    mu_tilde, _ = q_posterior(schedule, x_t, x_0, steps_1_to_T)
    close(mu_tilde, p_mean(schedule, x_t, steps_1_to_T, eps))


def test_predict_x_0_inverts_q_sample(schedule, steps_1_to_T):
    x_0, eps = noise(0), noise(1)
    x_t = q_sample(schedule, x_0, steps_1_to_T, eps)
    close(predict_x_0(schedule, x_t, steps_1_to_T, eps), x_0)


def test_predict_eps_inverts_predict_x_0(schedule, steps_1_to_T):
    x_t, eps = noise(0), noise(1)
    x_0 = predict_x_0(schedule, x_t, steps_1_to_T, eps)
    close(predict_eps(schedule, x_t, steps_1_to_T, x_0), eps)


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_p_step_adds_noise_everywhere_but_at_t_1(schedule, variance):
    t = torch.tensor([1, 2, 1000, 1, 500])
    x_t, eps, z = noise(0, 5), noise(1, 5), noise(2, 5)
    added = p_step(schedule, x_t, t, eps, z, variance) - p_mean(schedule, x_t, t, eps)
    assert (added[t == 1] == 0).all()
    assert (added[t > 1].abs().amax(dim=(1, 2, 3)) > 0).all()


def test_p_step_adds_variance_beta_or_beta_tilde(schedule, steps_1_to_T):
    t = steps_1_to_T[1:]  # there is no noise at t = 1
    zero, one = torch.zeros(999, 1, dtype=torch.float64), torch.ones(999, 1, dtype=torch.float64)
    sigma = p_step(schedule, zero, t, zero, one, "beta").flatten()
    close(sigma**2, schedule.beta[2:], 1e-15)
    sigma_tilde = p_step(schedule, zero, t, zero, one, "beta_tilde").flatten()
    close(sigma_tilde**2, beta_tilde(schedule, t), 1e-15)


def test_beta_is_the_right_variance_for_standard_normal_data(schedule, steps_1_to_T):
    # Section 3.2. For x_0 ~ N(0, I) the best prediction of eps is sqrt(1 - alpha_bar_t) x_t
    def reverse(x_t, z):
        eps = (1 - schedule.alpha_bar[1:]).sqrt().view(-1, 1, 1, 1) * x_t
        return p_step(schedule, x_t, steps_1_to_T, eps, z, "beta")

    keep, add = coefficients(reverse)
    # each step turns variance 1 into variance 1; the last one, t = 1, adds no noise
    close((keep**2 + add**2)[1:], torch.ones(999, dtype=torch.float64))
    close(keep[0] ** 2, schedule.alpha[1])


@pytest.mark.parametrize(("variance", "exact"), [("beta_tilde", True), ("beta", False)])
def test_beta_tilde_is_the_right_variance_for_data_at_one_point(
    schedule, steps_1_to_T, variance, exact
):
    # Section 3.2. Where all data is the point c, eps is known from x_t, and the reverse chain that
    # starts from q(x_T | c) must pass through q(x_t | c) at every t
    c = 0.7

    def reverse(x_t, z):
        eps = predict_eps(schedule, x_t, steps_1_to_T, torch.full_like(x_t, c))
        return p_step(schedule, x_t, steps_1_to_T, eps, z, variance)

    zero, one = (torch.full((1000, 1), v, dtype=torch.float64) for v in (0.0, 1.0))
    shift = reverse(zero, zero).flatten()
    keep, add = reverse(one, zero).flatten() - shift, reverse(zero, one).flatten() - shift
    mean = schedule.alpha_bar[1000].sqrt() * c
    spread, right = 1 - schedule.alpha_bar[1000], []
    for t in range(1000, 0, -1):
        mean = keep[t - 1] * mean + shift[t - 1]
        spread = keep[t - 1] ** 2 * spread + add[t - 1] ** 2
        assert abs(mean - schedule.alpha_bar[t - 1].sqrt() * c) < 1e-10
        right.append(abs(spread - (1 - schedule.alpha_bar[t - 1])) < 1e-10)
    # at t = 1 every choice of sigma lands on c: no noise is added
    assert all(right) if exact else not any(right[:-1])


def test_ddim_with_eta_1_over_consecutive_steps_is_p_step_with_beta_tilde(schedule, steps_1_to_T):
    x_t, eps, z = noise(0), noise(1), noise(2)
    ddim = ddim_step(schedule, x_t, steps_1_to_T, steps_1_to_T - 1, eps, eta=1.0, z=z)
    close(ddim, p_step(schedule, x_t, steps_1_to_T, eps, z, "beta_tilde"))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_ddim_jump_keeps_the_noise_level_of_the_forward_process(schedule, eta):
    # from x_t = q_sample(x_0) with the true eps, any jump lands on q(x_{t_prev} | x_0)
    t, t_prev = torch.tensor([1000, 500, 20, 1]), torch.tensor([480, 499, 0, 0])
    zero, one = torch.zeros(4, 1, dtype=torch.float64), torch.ones(4, 1, dtype=torch.float64)

    def jump(x_0, eps, z):
        x_t = q_sample(schedule, x_0, t, eps)
        return ddim_step(schedule, x_t, t, t_prev, eps, eta, z).flatten()

    close(jump(one, zero, zero), schedule.alpha_bar[t_prev].sqrt())
    close(
        jump(zero, one, zero) ** 2 + jump(zero, zero, one) ** 2,
        1 - schedule.alpha_bar[t_prev],
    )


def test_ddim_without_eta_takes_no_notice_of_z(schedule, steps_1_to_T):
    x_t, eps = noise(0), noise(1)
    without = ddim_step(schedule, x_t, steps_1_to_T, steps_1_to_T - 1, eps)
    assert torch.equal(
        ddim_step(schedule, x_t, steps_1_to_T, steps_1_to_T - 1, eps, z=noise(2)), without
    )


def test_ddim_with_eta_needs_noise(schedule, steps_1_to_T):
    with pytest.raises(ValueError, match="z"):
        ddim_step(schedule, noise(0), steps_1_to_T, steps_1_to_T - 1, noise(1), eta=0.5)


# Batches and dtypes

EQUATIONS = {
    "q_step": q_step,
    "q_sample": q_sample,
    "predict_x_0": predict_x_0,
    "p_mean": p_mean,
    "predict_eps": predict_eps,
    "mu_tilde": lambda s, x, t, eps: q_posterior(s, x, eps, t)[0],
    "beta_tilde": lambda s, x, t, eps: q_posterior(s, x, eps, t)[1],
    "p_step": lambda s, x, t, eps: p_step(s, x, t, eps, eps.flip(1)),
    "p_step, beta_tilde": lambda s, x, t, eps: p_step(s, x, t, eps, eps.flip(1), "beta_tilde"),
    "ddim_step": lambda s, x, t, eps: ddim_step(s, x, t, t // 2, eps, 0.5, eps.flip(1)),
}


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_a_batch_of_mixed_t_gives_each_image_what_it_gets_alone(schedule, equation):
    t = torch.tensor([1, 2, 500, 999, 1000])
    x, eps = noise(0, 5), noise(1, 5)
    alone = [equation(schedule, x[i : i + 1], t[i : i + 1], eps[i : i + 1]) for i in range(5)]
    close(equation(schedule, x, t, eps), torch.cat(alone), 1e-13)


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_float32_stays_float32_and_is_accurate(schedule, steps_1_to_T, equation):
    x, eps = noise(0), noise(1)
    exact = equation(schedule, x, steps_1_to_T, eps)
    single = equation(schedule, x.float(), steps_1_to_T, eps.float())
    assert single.dtype == torch.float32
    # relative to the largest numbers that are summed: the noise of predict_x_0 is divided by 0.006
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-4)


# Against diffusers, whose t counts from 0


def in_float64(scheduler):
    """The scheduler with its float32 tables replaced by the same ones in float64."""
    scheduler.betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = scheduler.alphas.cumprod(0)
    return scheduler


@pytest.mark.parametrize(
    ("variance", "theirs"), [("beta", "fixed_large"), ("beta_tilde", "fixed_small")]
)
def test_p_step_is_diffusers_ddpm_at_every_t(schedule, steps_1_to_T, variance, theirs):
    scheduler = in_float64(DDPMScheduler(variance_type=theirs, clip_sample=False))
    x_t, eps = noise(0), noise(1)
    # diffusers draws its own noise: give each step a generator whose noise we can draw again. At
    # its timestep 0 it draws none, whatever the variance type, as Algorithm 2 says
    expected, z = [], []
    for i in range(1000):
        image = slice(i, i + 1)
        generator = torch.Generator().manual_seed(i)
        stepped = scheduler.step(eps[image], i, x_t[image], generator=generator)
        expected.append(stepped.prev_sample)
        z.append(noise(i, 1))
    actual = p_step(schedule, x_t, steps_1_to_T, eps, torch.cat(z), variance)
    close(actual, torch.cat(expected))


def test_predict_x_0_is_that_of_diffusers_at_every_t(schedule, steps_1_to_T):
    scheduler = in_float64(DDPMScheduler(clip_sample=False))
    x_t, eps = noise(0), noise(1)
    expected = [
        scheduler.step(eps[i : i + 1], i, x_t[i : i + 1]).pred_original_sample for i in range(1000)
    ]
    close(predict_x_0(schedule, x_t, steps_1_to_T, eps), torch.cat(expected))


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("stride", [1, 20])
def test_ddim_step_is_that_of_diffusers_at_every_t(schedule, steps_1_to_T, eta, stride):
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
    in_float64(scheduler).set_timesteps(1000 // stride)
    x_t, eps, z = noise(0), noise(1), noise(2)
    expected = [
        scheduler.step(
            eps[i : i + 1], i, x_t[i : i + 1], eta=eta, variance_noise=z[i : i + 1]
        ).prev_sample
        for i in range(1000)
    ]
    t_prev = (steps_1_to_T - stride).clamp(min=0)
    close(ddim_step(schedule, x_t, steps_1_to_T, t_prev, eps, eta, z), torch.cat(expected))


def test_q_sample_is_diffusers_add_noise_at_every_t(schedule, steps_1_to_T):
    scheduler = in_float64(DDPMScheduler())
    x_0, eps = noise(0), noise(1)
    expected = scheduler.add_noise(x_0, eps, steps_1_to_T - 1)
    close(q_sample(schedule, x_0, steps_1_to_T, eps), expected)


# The loss


def test_predicting_zero_costs_1(schedule, steps_1_to_T):
    loss = loss_simple(
        lambda x_t, t, label: torch.zeros_like(x_t), schedule, noise(0), steps_1_to_T, noise(1)
    )
    assert loss.item() == pytest.approx(1, abs=0.06)  # 5 standard errors: 16,000 squared normals


def test_predicting_the_noise_costs_nothing(schedule, steps_1_to_T):
    x_0, eps = noise(0), noise(1)

    def perfect(x_t, t, label):
        return predict_eps(schedule, x_t, t, x_0)

    assert loss_simple(perfect, schedule, x_0, steps_1_to_T, eps) < 1e-20


def test_loss_is_a_mean_over_images_and_pixels(schedule, steps_1_to_T):
    eps = noise(1)
    off = torch.zeros_like(eps)
    off[:500] = 3.0  # half of the images are predicted 3 off
    loss = loss_simple(lambda x_t, t, label: eps + off, schedule, noise(0), steps_1_to_T, eps)
    assert loss.item() == pytest.approx(4.5, rel=1e-12)


def test_weighted_errors_in_eps_are_errors_in_v(schedule, steps_1_to_T):
    x_0, eps, guess = noise(0), noise(1), noise(2)
    x_t = q_sample(schedule, x_0, steps_1_to_T, eps)
    alpha_bar = schedule.alpha_bar[steps_1_to_T].view(-1, 1, 1, 1)

    def v(eps):
        x_0 = predict_x_0(schedule, x_t, steps_1_to_T, eps)
        return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0

    in_v = (v(guess) - v(eps)).square().mean(dim=(1, 2, 3))
    in_eps = losses_simple(lambda *_: guess, schedule, x_0, steps_1_to_T, eps)
    weight = v_weight(schedule, steps_1_to_T, max_weight=1e9)
    torch.testing.assert_close((weight * in_eps).double(), in_v.double(), rtol=1e-4, atol=0)
    assert v_weight(schedule, steps_1_to_T).max() == 5


def test_loss_asks_for_the_noise_of_x_t_at_t_with_the_label(schedule):
    x_0, eps, t = noise(0, 3), noise(1, 3), torch.tensor([1, 500, 1000])
    label = torch.tensor([4, 5, 6])
    asked = []

    def spy(*arguments):
        asked.extend(arguments)
        return eps

    loss_simple(spy, schedule, x_0, t, eps, label)
    assert torch.equal(asked[0], q_sample(schedule, x_0, t, eps))
    assert torch.equal(asked[1], t)
    assert torch.equal(asked[2], label)
