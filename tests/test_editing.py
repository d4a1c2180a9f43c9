"""Changing a picture: where a chain begins, eta, the hook, and what is built of them."""

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn

from ddpm_tutor.science.diffusion import predict_eps, q_jump, q_sample, q_step
from ddpm_tutor.science.editing import (
    change_label,
    inpaint,
    interpolate,
    interpolate_at,
    keep_known,
    noise_and_back,
)
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.sampling import ALGORITHM_2, SamplingOptions, draw, last, sample
from ddpm_tutor.science.schedule import linear_schedule, up_to
from ddpm_tutor.storage.checkpoints import load_checkpoint


class Predictor(nn.Module):
    """A noise predictor given by a formula of (x_t, t, label)."""

    def __init__(self, formula, num_classes=None):
        super().__init__()
        self.formula, self.num_classes = formula, num_classes
        self.weight = nn.Parameter(torch.zeros(1))  # says which device it is on

    def forward(self, x_t, t, label=None):
        return self.formula(x_t, t, label)


def pointlike(schedule, c):
    """The best predictor where all data is the point c."""
    return Predictor(lambda x_t, t, label: predict_eps(schedule, x_t, t, torch.full_like(x_t, c)))


def gaussian(schedule, variance):
    """The best predictor where each pixel of the data is from N(0, variance)."""

    def eps(x_t, t, label):
        alpha_bar = schedule.alpha_bar[t].float().view(-1, 1, 1, 1)
        return (1 - alpha_bar).sqrt() / (1 - alpha_bar + alpha_bar * variance) * x_t

    return Predictor(eps)


def halves(variance, correlation, schedule):
    """The best predictor where the upper and the lower half of the data go together, pixel by
    pixel, with this correlation, and each pixel is from N(0, variance)."""
    covariance = variance * torch.tensor([[1, correlation], [correlation, 1]]).double()

    def eps(x_t, t, label):
        alpha_bar = schedule.alpha_bar[t[0]]
        inverse = torch.linalg.inv(alpha_bar * covariance + (1 - alpha_bar) * torch.eye(2))
        pairs = x_t.double().view(len(x_t), 2, 16, 32)
        found = (1 - alpha_bar).sqrt() * torch.einsum("ij,bjhw->bihw", inverse.double(), pairs)
        return found.reshape(x_t.shape).float()

    return Predictor(eps)


def images(batch=4, seed=0):
    return normal((batch, 1, 32, 32), stream(seed, "test"), "cpu")


def pictures(batch=4, seed=0):
    return images(batch, seed).clamp(-1, 1)


def every(t, batch=4):
    return torch.full((batch,), t)


# One jump


def test_a_jump_from_the_step_before_is_eq_2_and_one_from_0_is_eq_4(schedule, steps_1_to_T):
    x, eps = (images(1000, seed)[..., :4].double() for seed in (0, 1))
    before, nothing = steps_1_to_T - 1, torch.zeros_like(steps_1_to_T)
    torch.testing.assert_close(
        q_jump(schedule, x, before, steps_1_to_T, eps), q_step(schedule, x, steps_1_to_T, eps)
    )
    torch.testing.assert_close(
        q_jump(schedule, x, nothing, steps_1_to_T, eps), q_sample(schedule, x, steps_1_to_T, eps)
    )


def test_two_jumps_have_the_moments_of_one(schedule):
    s, t = torch.tensor([120]), torch.tensor([340])
    kept = schedule.alpha_bar[t] / schedule.alpha_bar[s]
    mean = q_jump(schedule, q_sample(schedule, images(1), s, 0 * images(1)), s, t, 0 * images(1))
    torch.testing.assert_close(mean, q_sample(schedule, images(1), t, 0 * images(1)))
    variance = kept * (1 - schedule.alpha_bar[s]) + 1 - kept
    torch.testing.assert_close(variance, 1 - schedule.alpha_bar[t])


# Where a chain begins


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
def test_the_rest_of_a_chain_is_what_a_chain_from_there_does(schedule, network, method):
    T = up_to(schedule, 8)
    told = stream(0, "z")
    whole = list(
        sample(network, T, images(2), SamplingOptions(method=method, clip=False), generator=told)
    )
    told = stream(0, "z")
    if method == "ddpm":
        for _ in range(3):
            normal((2, 1, 32, 32), told, "cpu")  # what the first three steps took
    options = SamplingOptions(method=method, clip=False)
    rest = list(sample(network, T, options=options, t_start=5, x_t=whole[3].x_t, generator=told))
    assert [state.t for state in rest] == [5, 4, 3, 2, 1, 0]
    for a, b in zip(rest, whole[3:], strict=True):
        torch.testing.assert_close(a.x_t, b.x_t, rtol=0, atol=1e-5)


def test_the_steps_are_those_from_t_start_and_the_network_is_told_them(schedule):
    told = []

    def formula(x_t, t, label):
        told.append(t.tolist())
        return torch.zeros_like(x_t)

    model, options = Predictor(formula), SamplingOptions(steps=4)
    states = list(sample(model, schedule, options=options, t_start=200, x_t=images(2)))
    assert told == [[200] * 2, [150] * 2, [100] * 2, [50] * 2]
    assert [state.t for state in states] == [200, 150, 100, 50, 0]
    assert torch.equal(states[0].x_t, images(2))


@pytest.mark.parametrize("eta", [None, 0.0, 0.5, 1.0])
def test_from_any_t_one_point_is_found_through_the_forward_distributions(schedule, eta):
    x_t = q_sample(schedule, torch.full((32, 1, 32, 32), 0.6), every(400, 32), images(32))
    states = sample(
        pointlike(schedule, 0.6),
        schedule,
        options=SamplingOptions(steps=8),
        t_start=400,
        x_t=x_t,
        eta=eta,
        generator=stream(0, "z"),
    )
    for state in states:
        alpha_bar = schedule.alpha_bar[state.t].item()
        pixels = state.x_t
        assert pixels.mean().item() == pytest.approx(alpha_bar**0.5 * 0.6, abs=0.03)
        assert pixels.var().item() == pytest.approx(1 - alpha_bar, rel=0.04, abs=1e-6)


@pytest.mark.parametrize("t_start", [0, -1, 1001, 0.5, 999.5, 2**40, float("nan")])
def test_a_t_start_that_is_no_step_is_refused(schedule, t_start):
    model = pointlike(schedule, 0)
    with pytest.raises(ValueError, match="t_start must be a whole number from 1 to 1000"):
        next(sample(model, schedule, t_start=t_start, x_t=images()))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "one of the two"),
        ({"x_T": images(), "x_t": images(), "t_start": 5}, "one of the two"),
        ({"x_T": images(), "t_start": 5}, "belong together"),
        ({"x_t": images()}, "belong together"),
    ],
)
def test_a_chain_begins_at_one_place(schedule, how, says):
    with pytest.raises(ValueError, match=says):
        next(sample(pointlike(schedule, 0), schedule, **how))


def test_more_steps_than_there_are_from_t_start_are_refused(schedule):
    options = SamplingOptions(steps=50)
    with pytest.raises(ValueError, match="1 to 20, not 50"):
        next(sample(pointlike(schedule, 0), schedule, options=options, t_start=20, x_t=images()))


# eta


def path(schedule, eta=None, options=ALGORITHM_2, **how):
    model = Predictor(lambda x_t, t, label: 0.3 * x_t)
    states = sample(model, schedule, images(), options, eta=eta, generator=stream(0, "z"), **how)
    return torch.stack([state.x_t for state in states])


def test_eta_0_is_ddim_to_the_bit(schedule):
    options = SamplingOptions(method="ddim", steps=20)
    assert torch.equal(path(schedule, 0.0, options), path(schedule, None, options))
    assert torch.equal(path(schedule, 0.0, SamplingOptions(steps=20)), path(schedule, 0.0, options))


@pytest.mark.parametrize("steps", [20, None])
def test_eta_1_is_algorithm_2_with_beta_tilde(steps):
    schedule = linear_schedule(60)
    plain = SamplingOptions(steps=steps, clip=False)
    ancestral = SamplingOptions(steps=steps, variance="beta_tilde", clip=False)
    torch.testing.assert_close(
        path(schedule, 1.0, plain), path(schedule, None, ancestral), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_eta_is_that_of_diffusers(schedule, eta):
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    x_t, generator = images(), stream(0, "z")
    expected = [x_t]
    for i in scheduler.timesteps:
        z = normal(x_t.shape, generator, "cpu")
        x_t = scheduler.step(0.3 * x_t, i, x_t, eta=eta, variance_noise=z).prev_sample
        expected.append(x_t)
    actual = path(schedule, eta, SamplingOptions(steps=50, clip=False))
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_an_eta_that_is_no_part_of_1_is_refused(schedule, eta):
    with pytest.raises(ValueError, match="eta is from 0"):
        next(sample(pointlike(schedule, 0), schedule, images(), eta=eta))


def test_eta_is_not_for_algorithm_2():
    with pytest.raises(ValueError, match='belongs to method="ddim"'):
        SamplingOptions(eta=0.5)


# The hook


@pytest.mark.parametrize("eta", [None, 0.0, 0.7])
def test_a_hook_that_takes_the_step_changes_nothing(schedule, network, eta):
    how = {"eta": eta, "seed": 0, "indices": [0, 3]}
    options = SamplingOptions(steps=6)
    seen = []

    def hook(take, x_t, t, t_prev):
        seen.append((t, t_prev))
        return take(x_t)

    plain = list(draw(network, schedule, torch.tensor([1, 2]), options, **how))
    hooked = list(draw(network, schedule, torch.tensor([1, 2]), options, hook=hook, **how))
    assert seen == [(a.t, b.t) for a, b in pairwise(plain)]
    for a, b in zip(plain, hooked, strict=True):
        assert torch.equal(a.x_t, b.x_t) and torch.equal(a.x_0_hat, b.x_0_hat)


def test_a_step_taken_again_draws_new_noise_and_sees_what_it_is_given(schedule):
    apart, moved = [], []

    def hook(take, x_t, t, t_prev):
        one, two, other = take(x_t), take(x_t), take(x_t + 1)
        apart.append((one - two).abs().max().item())
        moved.append((other - one).mean().item())
        return one

    list(draw(pointlike(schedule, 0), schedule, None, SamplingOptions(steps=5), seed=0,
              indices=[0], hook=hook))  # fmt: skip
    assert all(difference > 0.01 for difference in apart[:-1]) and apart[-1] < 1e-5
    assert all(difference > 0.02 for difference in moved[:-1])


def test_a_hook_may_change_x_t_itself(schedule):
    def path(hook):
        model = Predictor(lambda x_t, t, label: 0.3 * x_t)
        options = SamplingOptions(method="ddim", steps=4)
        return last(sample(model, schedule, images(), options, hook=hook))

    in_place = path(lambda take, x_t, t, t_prev: take(x_t.mul_(0.5)))
    assert torch.equal(in_place, path(lambda take, x_t, t, t_prev: take(0.5 * x_t)))


def test_the_states_are_those_that_the_hook_made(schedule):
    def hook(take, x_t, t, t_prev):
        return torch.full_like(x_t, float(t_prev), dtype=torch.float64)

    model = pointlike(schedule, 0.5)
    options = SamplingOptions(steps=4)
    states = list(sample(model, schedule, images(), options, hook=hook))
    assert all(bool((state.x_t == state.t).all()) for state in states[1:])
    assert all(state.x_t.dtype == torch.float32 for state in states)
    # the guess is that from the x_t which is yielded with it
    torch.testing.assert_close(
        states[0].x_0_hat, torch.full((4, 1, 32, 32), 0.5), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("given", [None, 3.0, torch.zeros(1, 32, 32), torch.zeros(4, 1, 28, 28)])
def test_a_hook_that_gives_no_such_images_is_refused(schedule, given):
    states = sample(pointlike(schedule, 0), schedule, images(), hook=lambda *step: given)
    with pytest.raises(ValueError, match=r"hook must give images of shape \(4, 1, 32, 32\)"):
        list(states)


# Mixing two


def test_with_one_noise_a_mix_at_t_is_the_mix_of_pixels_with_noise(schedule):
    a, b, eps = (images(seed=seed).double() for seed in range(3))
    share, t = torch.tensor([0, 0.25, 0.5, 1]), torch.tensor([1, 200, 500, 1000])
    mixed = interpolate_at(schedule, a, b, t, share, eps)
    weight = share.double().view(-1, 1, 1, 1)
    torch.testing.assert_close(
        mixed, q_sample(schedule, (1 - weight) * a + weight * b, t, eps), rtol=0, atol=1e-12
    )
    assert torch.equal(mixed[0], q_sample(schedule, a, t, eps)[0])
    assert torch.equal(mixed[3], q_sample(schedule, b, t, eps)[3])


def test_with_two_noises_half_of_the_variance_is_lost(schedule):
    nothing, t = torch.zeros(64, 1, 32, 32), every(1000, 64)
    share = torch.full((64,), 0.5)
    one = interpolate_at(schedule, nothing, nothing, t, share, images(64))
    two = interpolate_at(schedule, nothing, nothing, t, share, images(64), images(64, 1))
    assert one.var().item() == pytest.approx(1, rel=0.02)
    assert two.var().item() == pytest.approx(0.5, rel=0.02)


def test_interpolation_is_a_mix_at_t_and_the_chain_from_there(schedule):
    model, share = gaussian(schedule, 0.3), torch.tensor([0.0, 0.5, 1.0])
    a, b = pictures(1), pictures(1, 1)
    options = SamplingOptions(steps=6)
    states = list(interpolate(model, schedule, a, b, 300, share, options, seed=0))
    assert [state.t for state in states] == [300, 250, 200, 150, 100, 50, 0]
    start, end = states[0].x_t, states[-1].x_t
    # one noise for all, in x_t and in the steps: all that follows is as linear as the predictor
    torch.testing.assert_close(start[1], (start[0] + start[2]) / 2, rtol=0, atol=1e-5)
    noise = start - schedule.alpha_bar[300].sqrt().float() * torch.cat([a, (a + b) / 2, b])
    torch.testing.assert_close(noise[0], noise[2], rtol=0, atol=1e-5)
    assert noise.std().item() == pytest.approx((1 - schedule.alpha_bar[300].item()) ** 0.5, rel=0.1)
    assert (end[0] - end[2]).abs().max() > 0.1
    own = list(interpolate(model, schedule, a, b, 300, share, options, seed=0, indices=range(3)))
    assert (own[0].x_t[1] - (own[0].x_t[0] + own[0].x_t[2]) / 2).abs().max() > 0.5


# Noise and back


def test_noise_and_back_draws_the_data_whatever_it_was_given(schedule):
    found = noise_and_back(
        pointlike(schedule, 0.6), schedule, pictures(), 300, SamplingOptions(steps=3), seed=0
    )
    torch.testing.assert_close(last(found), torch.full((4, 1, 32, 32), 0.6), rtol=0, atol=1e-4)


@pytest.mark.parametrize("t", [50, 250])
def test_noise_and_back_keeps_as_much_as_t_leaves(schedule, t):
    # data of N(0, variance), and the true posterior of x_0 from x_t: the slope of what comes out
    # on what went in is sqrt(alpha_bar) times the gain of the best guess, all steps taken
    variance, x_0 = 0.25, 0.5 * images(64)
    x_0 = x_0.clamp(-1.9, 1.9)
    found = noise_and_back(
        gaussian(schedule, variance), schedule, x_0, t, SamplingOptions(clip=False), seed=0
    )
    x = last(found)
    alpha_bar = schedule.alpha_bar[t].item()
    slope = ((x * x_0).mean() / x_0.square().mean()).item()
    expected = alpha_bar * variance / (alpha_bar * variance + 1 - alpha_bar)
    assert slope == pytest.approx(expected, abs=0.02)


def test_the_same_numbers_give_the_same_noise_in_any_batch(schedule):
    def back(x_0, indices):
        model, options = gaussian(schedule, 0.3), SamplingOptions(steps=4)
        states = noise_and_back(model, schedule, x_0, 200, options, seed=3, indices=indices)
        return last(states)

    together = back(pictures(), [0, 1, 2, 3])
    torch.testing.assert_close(back(pictures()[2:], [2, 3]), together[2:])


# Filling in


def lower_known():
    return (torch.arange(32) >= 16).view(1, 1, 32, 1)


def test_the_known_part_is_as_noisy_as_the_rest(schedule):
    x_prev, x_0, eps = (images(seed=seed) for seed in range(3))
    t_prev = torch.tensor([0, 1, 300, 1000])
    mixed = keep_known(schedule, x_prev, t_prev, x_0, lower_known(), eps)
    noisy = q_sample(schedule, x_0, t_prev, eps)
    assert torch.equal(mixed[:, :, :16], x_prev[:, :, :16])
    assert torch.equal(mixed[:, :, 16:], noisy[:, :, 16:])
    assert torch.equal(mixed[0, :, 16:], x_0[0, :, 16:])


@pytest.mark.parametrize("resamples", [1, 3])
@pytest.mark.parametrize("method", ["ddpm", "ddim"])
def test_what_is_known_stays_and_the_rest_is_drawn(schedule, method, resamples):
    x_0 = pictures()
    x_0[:, :, :16] = float("nan")  # what is not known has no say
    options = SamplingOptions(method=method, steps=4)
    model = pointlike(schedule, 0.6)
    states = list(
        inpaint(model, schedule, x_0, lower_known(), options, seed=0, resamples=resamples)
    )
    assert [state.t for state in states] == [1000, 750, 500, 250, 0]
    end = states[-1].x_t
    assert torch.equal(end[:, :, 16:], x_0[:, :, 16:])
    torch.testing.assert_close(end[:, :, :16], torch.full((4, 1, 16, 32), 0.6), rtol=0, atol=1e-4)


def test_resampling_brings_the_drawn_half_nearer_to_what_the_known_half_says(schedule):
    # where the halves are alike but for a little, the drawn half should copy the known one
    model, x_0 = halves(0.25, 0.95, schedule), (0.5 * images(16)).clamp(-1.9, 1.9)

    def correlation(resamples):
        states = inpaint(
            model, schedule, x_0, lower_known(), SamplingOptions(steps=20, clip=False), seed=0,
            resamples=resamples,
        )  # fmt: skip
        end = last(states)
        upper, lower = end[:, :, :16].flatten(), end[:, :, 16:].flatten()
        return torch.corrcoef(torch.stack([upper, lower]))[0, 1].item()

    once, often = correlation(1), correlation(8)
    assert once < 0.9 and often > once + 0.03 and often < 0.97


def test_each_step_is_taken_as_often_as_asked(schedule):
    calls = []

    def formula(x_t, t, label):
        calls.append(int(t[0]))
        return torch.zeros_like(x_t)

    options = SamplingOptions(steps=4)
    list(inpaint(Predictor(formula), schedule, pictures(), lower_known(), options, seed=0,
                 resamples=3))  # fmt: skip
    assert calls == [1000] * 3 + [750] * 3 + [500] * 3 + [250]


# Another label


def test_the_label_changes_where_it_should(schedule):
    told = []

    def formula(x_t, t, label):
        told.append((int(t[0]), label.tolist()))
        return torch.zeros_like(x_t)

    model, (first, second) = Predictor(formula, 10), (torch.tensor([4, 5]), torch.tensor([9, 8]))
    options = SamplingOptions(steps=4)
    states = list(change_label(model, schedule, first, second, 500, options, seed=0))
    assert [state.t for state in states] == [1000, 750, 500, 250, 0]
    # the first chain has asked at 500 as well, for the guess that goes with x_500
    assert [step for step in told if step[1] == [9, 8]] == [(500, [9, 8]), (250, [9, 8])]
    assert {t for t, label in told if label == [4, 5]} == {1000, 750, 500}


def test_until_the_change_it_is_the_plain_chain(schedule, network):
    first, options = torch.tensor([4, 4]), SamplingOptions(steps=10)
    plain = list(draw(network, schedule, first, options, seed=0, indices=[0, 1]))
    changed = list(change_label(network, schedule, first, first + 5, 500, options, seed=0))
    for a, b in zip(plain[:6], changed[:6], strict=True):
        assert a.t == b.t and torch.equal(a.x_t, b.x_t)
    assert (plain[-1].x_t - changed[-1].x_t).abs().max() > 0.01


# Nonsense


def call(schedule, what, **changes):
    model = Predictor(lambda x_t, t, label: torch.zeros_like(x_t), 10)
    known = {"x_0": pictures(), "x_0_other": pictures(), "share": torch.rand(4), "t": 500,
             "known": lower_known(), "first": every(4), "second": every(9), "seed": 0,
             "options": SamplingOptions(steps=4)}  # fmt: skip
    names = {
        interpolate: ["x_0", "x_0_other", "t", "share", "seed", "options"],
        noise_and_back: ["x_0", "t", "seed", "options"],
        inpaint: ["x_0", "known", "seed", "options"],
        change_label: ["first", "second", "t", "seed", "options"],
    }[what]
    return next(what(model, schedule, **{name: known[name] for name in names} | changes))


EDITS = [interpolate, noise_and_back, inpaint, change_label]


@pytest.mark.parametrize(
    ("what", "changes", "says"),
    [
        *[(edit, {}, None) for edit in EDITS],
        *[(edit, {"t": 0.5}, "whole number from 1 to 1000") for edit in EDITS if edit != inpaint],
        *[(edit, {"indices": [0]}, "1 indices for 4") for edit in EDITS],
        *[(edit, {"x_0": pictures()[0]}, r"\(B, 1, 32, 32\)") for edit in EDITS[:3]],
        *[(edit, {"x_0": 255 * pictures()}, r"in \[-1, 1\]") for edit in EDITS[:3]],
        (noise_and_back, {"x_0": pictures().to(torch.uint8)}, r"in \[-1, 1\]"),
        (noise_and_back, {"x_0": pictures().fill_(float("nan"))}, r"in \[-1, 1\]"),
        (inpaint, {"x_0": pictures().fill_(float("nan"))}, r"in \[-1, 1\]"),
        (noise_and_back, {"label": every(3, 2)}, "each of 4"),
        (interpolate, {"x_0_other": pictures(3)}, "3 images for 4 mixes"),
        (inpaint, {"known": lower_known().float()}, "True where"),
        (inpaint, {"known": torch.ones(1, 1, 28, 28).bool()}, "does not fit"),
        (inpaint, {"resamples": 0}, "from 1 on, not 0"),
        (inpaint, {"resamples": 1.5}, "from 1 on, not 1.5"),
        (change_label, {"second": every(9, 3)}, "give as many"),
        (change_label, {"t": 400}, "skip t = 400; the nearest is 500"),
    ],
)
def test_nonsense_is_refused_in_words(schedule, what, changes, says):
    if says is None:
        assert call(schedule, what, **changes).x_t.isfinite().all()
        return
    with pytest.raises(ValueError, match=says):
        call(schedule, what, **changes)


# Elsewhere


def test_another_device_changes_pictures_alike(schedule, device, in_float32):
    def edited(where):
        model = load_checkpoint(device=where).model
        options = SamplingOptions(steps=2)
        x_0 = pictures(2)
        chains = [
            interpolate(model, schedule, x_0[:1], x_0[1:], 500, torch.rand(2).round(), options,
                        seed=0),
            noise_and_back(model, schedule, x_0, 500, options, seed=0, label=every(3, 2)),
            inpaint(model, schedule, x_0, lower_known(), options, seed=0, resamples=2),
            change_label(model, schedule, every(4, 2), every(9, 2), 500, options, seed=0),
        ]  # fmt: skip
        return torch.cat([last(chain).cpu() for chain in chains])

    torch.manual_seed(0)
    here = edited("cpu")
    torch.manual_seed(0)
    assert (here - edited(device)).abs().mean() < 0.02
