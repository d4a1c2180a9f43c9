"""ODE solvers, flow matching, classifier guidance and the cosine schedule against what is known."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from ddpm_tutor.evaluation.classifier import Classifier
from ddpm_tutor.science.classifier_guidance import classifier_gradient, classifier_guided_eps
from ddpm_tutor.science.diffusion import ddim_step, predict_eps, q_sample
from ddpm_tutor.science.flow import (
    flow_loss,
    flow_sampling,
    flow_step,
    flow_target,
    flow_velocity,
    flow_x_0,
    straight_path,
)
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.ode import euler_step, heun_step, noise_to_signal, solve_ode
from ddpm_tutor.science.schedule import cosine_schedule, respaced


def noise(seed: int, batch: int = 5, size: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, size, size, dtype=torch.float64, generator=generator)


# The cosine schedule


def test_the_cosine_schedule_is_that_of_diffusers():
    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    torch.testing.assert_close(cosine_schedule().beta[1:], theirs.betas.double(), rtol=0, atol=1e-6)


def test_the_cosine_schedule_falls_along_a_cosine_up_to_the_cap():
    schedule, s = cosine_schedule(T=200, s=0.008), 0.008
    for t in (0, 1, 100, 199):  # beta_200 alone is capped
        angle = (t / 200 + s) / (1 + s) * math.pi / 2
        expected = math.cos(angle) ** 2 / math.cos(s / (1 + s) * math.pi / 2) ** 2
        assert schedule.alpha_bar[t].item() == pytest.approx(expected, rel=1e-9)
    assert schedule.beta.max() == 0.999 and schedule.alpha_bar[-1] > 0
    assert cosine_schedule(max_beta=0.5).beta.max() == 0.5


@pytest.mark.parametrize("wrong", [{"T": 0}, {"s": -0.1}, {"max_beta": 1.0}, {"max_beta": 0.0}])
def test_no_cosine_schedule_of_nonsense(wrong):
    with pytest.raises(ValueError, match="T must be 1 or more"):
        cosine_schedule(**wrong)


# The ODE


def test_eulers_step_is_ddim(schedule):
    x, eps = noise(0), noise(1)
    for t, t_next in ((1000, 900), (500, 499), (20, 0)):
        now, later = torch.full((5,), t), torch.full((5,), t_next)
        expected = ddim_step(schedule, x, now, later, eps)
        torch.testing.assert_close(euler_step(schedule, x, now, later, eps), expected)
    assert noise_to_signal(schedule, torch.tensor([0])) == 0


def gaussian_world(schedule, variance=0.25):
    """The best noise for data from N(0, variance), and the exact curve of its ODE.

    x_t is then from N(0, alpha_bar variance + 1 - alpha_bar), and the ODE only rescales.
    """

    def width(t):
        alpha_bar = schedule.alpha_bar[t]
        return (alpha_bar * variance + 1 - alpha_bar).sqrt().view(-1, 1, 1, 1)

    def predict(x, t):
        return (1 - schedule.alpha_bar[t]).sqrt().view(-1, 1, 1, 1) * x / width(t) ** 2

    return predict, width


def error_of(schedule, steps, solver):
    predict, width = gaussian_world(schedule)
    x = noise(0)
    times = respaced(schedule, steps)[1].flip(0).tolist()
    *_, (t, found) = solve_ode(predict, schedule, x, times, solver)
    assert t == 0
    exact = x * width(torch.tensor([0])) / width(torch.tensor([1000]))
    return (found - exact).abs().max().item()


def test_the_solvers_reach_the_exact_end_with_the_order_that_they_are_known_for(schedule):
    euler = [error_of(schedule, steps, "euler") for steps in (125, 250, 500)]
    assert euler[0] / euler[1] == pytest.approx(2, abs=0.2)
    assert euler[1] / euler[2] == pytest.approx(2, abs=0.2)
    # with as many calls of the network
    assert error_of(schedule, 62, "heun") < euler[0] / 3


def test_the_ode_leads_from_a_picture_to_its_noise_and_back(schedule):
    predict, width = gaussian_world(schedule)
    times = list(range(1, 1001, 9))
    x = noise(0)
    *_, (_, far) = solve_ode(predict, schedule, x, times, "heun")
    expected = x * width(torch.tensor([1000])) / width(torch.tensor([1]))
    torch.testing.assert_close(far, expected, rtol=0, atol=0.02)
    states = list(solve_ode(predict, schedule, far, times[::-1], "heun"))
    torch.testing.assert_close(states[-1][1], x, rtol=0, atol=0.02)
    assert [t for t, _ in states] == times[::-1]


def test_the_solvers_ask_the_network_as_often_as_they_say(schedule):
    asked = []

    def predict(x, t):
        asked.append(int(t[0]))
        return x

    for solver, calls in (("euler", [1000, 500]), ("heun", [1000, 500, 500])):
        asked.clear()
        list(solve_ode(predict, schedule, noise(0), [1000, 500, 0], solver))
        assert asked == calls


def test_a_step_of_heun_with_one_direction_is_eulers(schedule):
    x, eps, t, t_next = noise(0), noise(1), torch.full((5,), 900), torch.full((5,), 700)
    torch.testing.assert_close(
        heun_step(schedule, x, t, t_next, eps, eps), euler_step(schedule, x, t, t_next, eps)
    )


@pytest.mark.parametrize("times", [[], [0, 5], [1001, 3], [5, -1], [5, 5], [5, 3, 4]])
def test_no_solver_takes_times_of_nonsense(schedule, times):
    with pytest.raises(ValueError, match="times must"):
        next(solve_ode(lambda x, t: x, schedule, noise(0), times))


def test_no_solver_of_another_name(schedule):
    with pytest.raises(ValueError, match="euler"):
        next(solve_ode(lambda x, t: x, schedule, noise(0), [5, 0], "rk4"))


# Flow matching


def test_the_target_is_the_slope_of_the_path():
    x_0, eps, tau = noise(0), noise(1), torch.rand(5, dtype=torch.float64)
    slope = (straight_path(x_0, tau + 1e-6, eps) - straight_path(x_0, tau - 1e-6, eps)) / 2e-6
    torch.testing.assert_close(flow_target(x_0, eps), slope, rtol=0, atol=1e-8)
    x_tau = straight_path(x_0, tau, eps)
    torch.testing.assert_close(flow_x_0(x_tau, tau, eps - x_0), x_0)
    zero = torch.zeros(5, dtype=torch.float64)
    torch.testing.assert_close(flow_step(x_tau, tau, zero, eps - x_0), x_0)


def test_one_picture_alone_takes_one_step():
    """With one picture all paths end there, and none cross: the best velocity is exact."""
    x_0 = noise(0, 1)

    def velocity(x_tau, tau):  # eps - x_0, where eps follows from x_tau
        return (x_tau - x_0) / tau.view(-1, 1, 1, 1)

    for steps in (1, 7):
        states = list(flow_sampling(velocity, noise(1), steps))
        assert len(states) == steps + 1 and states[0][0] == 1 and states[-1][0] == 0
        torch.testing.assert_close(states[-1][1], x_0.expand(5, 1, 4, 4))
    assert flow_loss(velocity, x_0.expand(5, 1, 4, 4), 0.1 + 0.9 * torch.rand(5), noise(1)) < 1e-20


def test_flow_sampling_of_a_gaussian_has_its_width():
    """Data from N(0, 0.25): of x_tau the best guess of eps - x_0 is a factor times x_tau."""

    def velocity(x_tau, tau):
        tau = tau.view(-1, 1, 1, 1)
        return (tau - 0.25 * (1 - tau)) / (tau**2 + 0.25 * (1 - tau) ** 2) * x_tau

    *_, (_, found) = flow_sampling(velocity, noise(0), 2000)
    torch.testing.assert_close(found, 0.5 * noise(0), rtol=0, atol=1e-2)


def test_flow_sampling_takes_a_step_at_least():
    with pytest.raises(ValueError, match="1 or more"):
        next(flow_sampling(lambda x, tau: x, noise(0), 0))


def test_the_network_tells_times_apart_and_starts_at_a_loss_of_both_variances():
    torch.manual_seed(0)
    model, tau = LeanUNet(32), torch.tensor([0.25, 0.75])
    x_0, eps = noise(0, 2, 16).float(), noise(1, 2, 16).float()
    loss = flow_loss(lambda x, tau: flow_velocity(model, x, tau), x_0, tau, eps)
    assert loss.item() == pytest.approx((eps - x_0).square().mean().item())  # its last layer is 0
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    same = x_0[:1].repeat(2, 1, 1, 1)
    early, late = flow_velocity(model, same, tau)
    assert (early - late).abs().max() > 1e-3 and early.shape == (1, 16, 16)


# Classifier guidance


def test_the_gradient_is_that_of_finite_differences(schedule):
    torch.manual_seed(0)
    classifier = Classifier(4).double().eval().requires_grad_(False)
    x_t, t, label = noise(0, 2, 32), torch.tensor([50, 600]), torch.tensor([3, 8])

    def model(x, t, label=None):  # some differentiable network
        return 0.5 * x.sin()

    gradient, eps = classifier_gradient(classifier, model, schedule, x_t, t, label)
    torch.testing.assert_close(eps, model(x_t, t))
    assert not gradient.requires_grad and not eps.requires_grad

    def log_p(x):
        alpha_bar = schedule.alpha_bar[t].view(-1, 1, 1, 1)
        x_0 = (x - (1 - alpha_bar).sqrt() * model(x, t)) / alpha_bar.sqrt()
        return classifier(x_0.clamp(-1, 1)).log_softmax(1).gather(1, label[:, None])[:, 0]

    direction = noise(1, 2, 32)
    slope = (log_p(x_t + 1e-6 * direction) - log_p(x_t - 1e-6 * direction)) / 2e-6
    found = (gradient * direction).sum(dim=(1, 2, 3))
    torch.testing.assert_close(found, slope, rtol=1e-3, atol=1e-6)
    assert found.abs().min() > 0


def test_guidance_by_the_true_classifier_gives_the_noise_of_the_class(schedule):
    """Two classes, N(-1, 0.1) and N(1, 0.1), for each pixel: then all of it is a formula."""
    t = torch.tensor([300])
    alpha_bar = schedule.alpha_bar[t]
    variance = (0.1 * alpha_bar + 1 - alpha_bar).view(-1, 1, 1, 1)
    x_t = noise(0, 1, 1).requires_grad_()
    means = [sign * alpha_bar.sqrt().view(-1, 1, 1, 1) for sign in (-1, 1)]
    log_q = torch.cat([-((x_t - mean) ** 2) / (2 * variance) for mean in means])
    (of_all,) = torch.autograd.grad(log_q.logsumexp(0).sum(), x_t, retain_graph=True)
    (gradient,) = torch.autograd.grad(log_q.log_softmax(0)[1].sum(), x_t)
    root = (1 - alpha_bar).sqrt().view(-1, 1, 1, 1)
    guided = classifier_guided_eps(schedule, t, -root * of_all, gradient, 1.0)
    torch.testing.assert_close(guided, root * (x_t - means[1]).detach() / variance)
    assert torch.equal(classifier_guided_eps(schedule, t, of_all, gradient, 0.0), of_all)


def test_heun_helps_the_shipped_kind_of_prediction_too(schedule):
    """With one picture known, every step of either solver is exact."""
    x_0, eps = noise(0, 1), noise(1, 1)
    x_t = q_sample(schedule, x_0, torch.tensor([1000]), eps)
    for solver in ("euler", "heun"):
        *_, (_, found) = solve_ode(
            lambda x, t: predict_eps(schedule, x, t, x_0), schedule, x_t, [1000, 400, 0], solver
        )
        torch.testing.assert_close(found, x_0)
