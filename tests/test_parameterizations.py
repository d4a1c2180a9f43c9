"""Noise, picture, v, score and mean are one prediction: identities, and what diffusers says."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from ddpm_tutor.science.bound import reverse_variance, vlb_weight
from ddpm_tutor.science.diffusion import p_mean, predict_eps, predict_x_0, q_posterior, q_sample
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.parameterizations import (
    KINDS,
    Predictor,
    converted,
    eps_coefficients,
    eps_from_v,
    error_weight,
    train_predictor,
    v_from,
    x_0_from_v,
)
from ddpm_tutor.science.sampling import SamplingOptions, last, sample
from ddpm_tutor.science.training import TrainingConfig


def noise(seed: int, batch: int = 1000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, 4, 4, dtype=torch.float64, generator=generator)


def close(actual, expected, atol=1e-9):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def test_v_is_that_of_diffusers_and_leads_back(schedule, steps_1_to_T):
    x_0, eps, t = noise(0), noise(1), steps_1_to_T
    theirs = DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02)
    v = v_from(schedule, x_0, t, eps)
    # theirs is float32 inside
    close(v, theirs.get_velocity(x_0, eps, t - 1), atol=1e-5)
    x_t = q_sample(schedule, x_0, t, eps)
    close(x_0_from_v(schedule, x_t, t, v), x_0)
    close(eps_from_v(schedule, x_t, t, v), eps)


def test_v_is_the_direction_in_which_x_t_moves_on_its_circle(schedule):
    x_0, eps, t = noise(0, 1), noise(1, 1), torch.tensor([400])
    phi = schedule.alpha_bar[400].sqrt().acos()

    def point(angle):
        return angle.cos() * x_0 + angle.sin() * eps

    step = 1e-6
    close(v_from(schedule, x_0, t, eps), (point(phi + step) - point(phi - step)) / (2 * step))


def test_every_kind_follows_from_every_other(schedule, steps_1_to_T):
    x_0, eps, t = noise(0), noise(1), steps_1_to_T
    x_t = q_sample(schedule, x_0, t, eps)
    by_hand = {
        "eps": eps,
        "x_0": x_0,
        "v": v_from(schedule, x_0, t, eps),
        # log q(x_t | x_0) is -(x_t - sqrt(alpha_bar) x_0)^2 / (2 (1 - alpha_bar)): its gradient
        "score": -(x_t - schedule.alpha_bar[t].sqrt().view(-1, 1, 1, 1) * x_0)
        / (1 - schedule.alpha_bar[t]).view(-1, 1, 1, 1),
        # with the true noise the mean of Eq. 11 is that of Eq. 7
        "mu": q_posterior(schedule, x_t, x_0, t)[0],
    }
    close(by_hand["mu"], p_mean(schedule, x_t, t, eps))
    for given in KINDS:
        for wanted in KINDS:
            found = converted(schedule, x_t, t, by_hand[given], given, wanted)
            close(found, by_hand[wanted], atol=1e-7)


def test_conversions_agree_with_eq_15(schedule, steps_1_to_T):
    x_t, guess, t = noise(0), noise(1), steps_1_to_T
    close(
        converted(schedule, x_t, t, guess, "eps", "x_0"), predict_x_0(schedule, x_t, t, guess), 1e-7
    )
    close(
        converted(schedule, x_t, t, guess, "x_0", "eps"), predict_eps(schedule, x_t, t, guess), 1e-7
    )


@pytest.mark.parametrize("given", KINDS)
@pytest.mark.parametrize("weighed", KINDS)
def test_errors_weigh_as_they_are_in_the_other_kind(schedule, steps_1_to_T, given, weighed):
    x_t, a, b, t = noise(0), noise(1), noise(2), steps_1_to_T
    there = [converted(schedule, x_t, t, guess, given, weighed) for guess in (a, b)]
    error = (a - b).square().mean(dim=(1, 2, 3))
    expected = (there[0] - there[1]).square().mean(dim=(1, 2, 3))
    weight = error_weight(schedule, t, given, weighed)
    torch.testing.assert_close(weight * error, expected, rtol=1e-5, atol=0)


def test_the_weight_of_the_bound_is_that_of_eq_12(schedule, steps_1_to_T):
    t = steps_1_to_T
    variance = reverse_variance(schedule, t, "beta_tilde", "beta_1")
    eq_12 = vlb_weight(schedule, t, variance).flatten()
    torch.testing.assert_close(error_weight(schedule, t, "eps", "L"), eq_12)


@pytest.mark.parametrize("call", [
    lambda s: eps_coefficients(s, torch.tensor([1]), "noise"),
    lambda s: eps_coefficients(s, torch.tensor([3, 0]), "x_0"),
    lambda s: eps_coefficients(s, torch.tensor([3, s.T + 1]), "x_0"),
    lambda s: eps_coefficients(s, torch.tensor([-1]), "x_0"),
    lambda s: error_weight(s, torch.tensor([1]), "eps", "bound"),
    lambda s: Predictor("noise", s),
])  # fmt: skip
def test_nonsense_is_refused(schedule, call):
    with pytest.raises(ValueError, match=r"a prediction is one of|weighed is|t must be in 1"):
        call(schedule)


def test_a_predictor_of_v_is_the_network_that_ships(schedule):
    torch.manual_seed(0)
    lean = LeanUNet(32)
    for parameter in lean.parameters():  # its last layers start at zero, and would say nothing
        torch.nn.init.normal_(parameter, std=0.05)
    model = Predictor("v", schedule)
    model.load_state_dict(lean.state_dict())
    x_t, t = noise(0, 3).float().repeat(1, 1, 8, 8), torch.tensor([1, 500, 1000])
    with torch.no_grad():
        close(model(x_t, t), lean(x_t, t), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_predictor_of_any_kind_gives_the_noise_that_follows(schedule, kind):
    torch.manual_seed(0)
    model = Predictor(kind, schedule)
    torch.nn.init.normal_(model.out.weight, std=0.05)
    x_t, t = noise(0, 3).float().repeat(1, 1, 8, 8), torch.tensor([1, 500, 1000])
    with torch.no_grad():
        expected = converted(schedule, x_t, t, model.says(x_t, t), kind, "eps")
        torch.testing.assert_close(model(x_t, t), expected, rtol=1e-4, atol=1e-4)


def test_training_a_predictor_lowers_its_loss_and_it_can_be_sampled_from(schedule):
    images = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 10:20, 14:18] = 255
    torch.manual_seed(0)
    model = Predictor("x_0", schedule)
    config = TrainingConfig(batch_size=8, lr=3e-3, warmup_steps=2)
    losses = list(train_predictor(model, schedule, images, 12, config))
    # x_0 of -1 and 1, and a network that starts at 0: its first loss is 1 exactly
    assert losses[0] == pytest.approx(1) and losses[-1] < 0.5
    drawn = last(sample(model, schedule, noise(0, 1).float().repeat(1, 1, 8, 8),
                        SamplingOptions(steps=4)))  # fmt: skip
    assert drawn.isfinite().all()
    assert math.isfinite(losses[-1])


def test_the_weights_of_a_training_change_what_it_learns(schedule):
    images = torch.randint(0, 256, (8, 1, 32, 32), generator=torch.manual_seed(0)).byte()
    config = TrainingConfig(batch_size=4, lr=3e-3)
    weights = []
    for weighed in (None, "eps", "L"):
        torch.manual_seed(0)
        model = Predictor("eps", schedule)
        list(train_predictor(model, schedule, images, 2, config, weighed))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
