"""Algorithm 2: where it starts, what it yields, what decides the picture; and its noise."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn

from ddpm_tutor.science import sampling
from ddpm_tutor.science.diffusion import predict_eps
from ddpm_tutor.science.noise import normal, stream, streams
from ddpm_tutor.science.sampling import SamplingOptions, draw, draw_many, guided_eps, last, sample
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import load_checkpoint


class Predictor(nn.Module):
    """A noise predictor given by a formula of (x_t, t, label)."""

    def __init__(self, formula, num_classes=None):
        super().__init__()
        self.formula, self.num_classes = formula, num_classes
        self.weight = nn.Parameter(torch.zeros(1))  # says which device it is on

    def forward(self, x_t, t, label=None):
        return self.formula(x_t, t, label)


def gaussian(schedule):
    """The best predictor where the data is N(0, I): E[eps | x_t] = sqrt(1 - alpha_bar_t) x_t."""
    return Predictor(
        lambda x_t, t, label: (1 - schedule.alpha_bar[t]).sqrt().float().view(-1, 1, 1, 1) * x_t
    )


def pointlike(schedule, c):
    """The best predictor where all data is the point c."""
    return Predictor(lambda x_t, t, label: predict_eps(schedule, x_t, t, torch.full_like(x_t, c)))


def start(batch=4, seed=0):
    return normal((batch, 1, 32, 32), stream(seed, "test"), "cpu")


# What it yields


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
@pytest.mark.parametrize("steps", [1, 3, 10, None])
def test_yields_a_moment_for_each_step_and_one_for_the_end(method, steps):
    schedule = linear_schedule(40)
    states = list(
        sample(gaussian(schedule), schedule, start(), SamplingOptions(method=method, steps=steps))
    )
    times = [state.t for state in states]
    assert len(states) == (steps or 40) + 1
    assert (times[0], times[-1]) == (40, 0)
    assert times == sorted(set(times), reverse=True)
    assert all(m.x_t.shape == m.x_0_hat.shape == (4, 1, 32, 32) for m in states)


def test_starts_from_x_T_and_ends_with_the_picture(schedule):
    x_T = start()
    states = list(sample(gaussian(schedule), schedule, x_T, SamplingOptions(steps=5)))
    assert torch.equal(states[0].x_t, x_T)
    assert torch.equal(states[-1].x_t, states[-1].x_0_hat)
    assert torch.equal(last(iter(states)), states[-1].x_t)


def test_the_network_is_told_the_t_of_the_noise_level(schedule):
    told = []

    def formula(x_t, t, label):
        told.append(t.tolist())
        return torch.zeros_like(x_t)

    last(sample(Predictor(formula), schedule, start(2), SamplingOptions(steps=4)))
    assert told == [[1000] * 2, [750] * 2, [500] * 2, [250] * 2]


def test_leaves_x_T_as_it_was(schedule):
    x_T = start()
    last(sample(gaussian(schedule), schedule, x_T, SamplingOptions(steps=3)))
    assert torch.equal(x_T, start())


def test_nothing_is_kept_for_gradients(schedule, network):
    assert not last(sample(network, schedule, start(1), SamplingOptions(steps=2))).requires_grad


# The truth it must reach


@pytest.mark.parametrize(("variance", "exact"), [("beta", True), ("beta_tilde", False)])
def test_standard_normal_data_comes_out_with_its_variance(schedule, variance, exact):
    # Section 3.2: with the best predictor sigma^2 = beta is exact for x_0 ~ N(0, I). All but the
    # last step keep variance 1; that one adds no noise and leaves alpha_bar of its t, 1000 / 50
    states = sample(
        gaussian(schedule),
        schedule,
        start(32),
        SamplingOptions(steps=50, variance=variance, clip=False),
        generator=stream(0, "z"),
    )
    x_0 = last(states)
    error = (2 / x_0.numel()) ** 0.5  # standard error of a variance
    short = schedule.alpha_bar[20].item() - x_0.var().item()
    assert abs(short) < 5 * error if exact else short > 15 * error


@pytest.mark.parametrize(
    ("method", "variance"), [("ddpm", "beta"), ("ddpm", "beta_tilde"), ("ddim", None)]
)
@pytest.mark.parametrize("steps", [1, 10, 100])
def test_data_at_one_point_is_found(schedule, method, variance, steps):
    model = pointlike(schedule, 0.6)
    states = sample(
        model, schedule, start(), SamplingOptions(method=method, variance=variance, steps=steps)
    )
    for state in states:
        torch.testing.assert_close(
            state.x_0_hat, torch.full_like(state.x_0_hat, 0.6), rtol=0, atol=1e-4
        )


def test_beta_tilde_passes_through_the_forward_distributions_of_one_point():
    schedule = linear_schedule(100)
    T_left = schedule.alpha_bar[100].item()
    x_T = T_left**0.5 * 0.6 + (1 - T_left) ** 0.5 * start(64)
    model, generator = pointlike(schedule, 0.6), stream(0, "z")
    states = sample(
        model, schedule, x_T, SamplingOptions(variance="beta_tilde"), generator=generator
    )
    for state in states:
        alpha_bar = schedule.alpha_bar[state.t].item()
        x_t = state.x_t
        assert x_t.mean().item() == pytest.approx(alpha_bar**0.5 * 0.6, abs=5 / x_t.numel() ** 0.5)
        assert x_t.var().item() == pytest.approx(1 - alpha_bar, rel=0.03, abs=1e-6)


def diffusers_path(scheduler, x_t, **settings):
    """x_T, ..., x_0 of diffusers' own loop in 50 steps, for a predictor of 0.3 x_t."""
    scheduler.set_timesteps(50)
    path = [x_t]
    for i in scheduler.timesteps:
        x_t = scheduler.step(0.3 * x_t, i, x_t, **settings).prev_sample
        path.append(x_t)
    return torch.stack(path)


def our_path(schedule, generator=None, **how):
    model = Predictor(lambda x_t, t, label: 0.3 * x_t)
    options = SamplingOptions(steps=50, clip=False, **how)
    states = sample(model, schedule, start(), options, generator=generator)
    return torch.stack([state.x_t for state in states])


@pytest.mark.parametrize(
    ("variance", "theirs"), [("beta", "fixed_large"), ("beta_tilde", "fixed_small")]
)
def test_strided_ddpm_is_that_of_diffusers(schedule, variance, theirs):
    scheduler = DDPMScheduler(variance_type=theirs, clip_sample=False, timestep_spacing="trailing")
    expected = diffusers_path(scheduler, start(), generator=stream(0, "z"))
    actual = our_path(schedule, variance=variance, generator=stream(0, "z"))
    # strided, the last step of diffusers starts from its timestep 19, and it draws noise wherever
    # the timestep is not 0: with fixed_large it adds some to the finished picture. Algorithm 2
    # does not, so the last state is compared only where that noise is nothing
    end = -1 if variance == "beta" else None
    # diffusers computes in float32
    torch.testing.assert_close(actual[:end], expected[:end], rtol=1e-4, atol=1e-4)


def test_strided_ddim_is_that_of_diffusers(schedule):
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    expected = diffusers_path(scheduler, start())
    torch.testing.assert_close(our_path(schedule, method="ddim"), expected, rtol=1e-4, atol=1e-4)


def test_taking_all_T_steps_is_plain_sampling():
    schedule = linear_schedule(30)

    def run(steps):
        model = gaussian(schedule)
        return list(
            sample(model, schedule, start(), SamplingOptions(steps=steps), generator=stream(0, "z"))
        )

    for plain, strided in zip(run(None), run(30), strict=True):
        assert plain.t == strided.t
        assert torch.equal(plain.x_t, strided.x_t)


# What decides the picture


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(schedule, network):
    def picture(seed):
        labels = torch.tensor([3])
        return last(
            draw(
                network,
                schedule,
                labels,
                SamplingOptions(steps=5, clip=True),
                seed=seed,
                indices=[0],
            )
        )

    assert torch.equal(picture(7), picture(7))
    assert (picture(7) - picture(8)).abs().max() > 0.1


def test_an_image_does_not_depend_on_the_batch_it_is_drawn_in(schedule, network, in_float32):
    network.eval()
    labels = torch.arange(6)

    def pictures(indices):
        return last(
            draw(
                network,
                schedule,
                labels[indices],
                SamplingOptions(steps=8, clip=True),
                seed=0,
                indices=indices,
            )
        )

    together = pictures([0, 1, 2, 3, 4, 5])
    torch.testing.assert_close(pictures([4]), together[4:5], rtol=0, atol=1e-4)
    torch.testing.assert_close(pictures([5, 2]), together[[5, 2]], rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_ddpm_draws_noise_in_every_step_but_the_last(schedule):
    model = pointlike(schedule, 0.0)
    one, other = (
        list(
            sample(model, schedule, start(), SamplingOptions(steps=10), generator=stream(seed, "z"))
        )
        for seed in (0, 1)
    )
    apart = [(a.x_t - b.x_t).abs().max().item() for a, b in zip(one, other, strict=True)]
    assert apart[0] == 0  # both start from the same x_T
    assert all(difference > 0.01 for difference in apart[1:-1])
    assert apart[-1] < 1e-6  # the last step returns the mean, which is the point


def test_ddim_is_decided_by_x_T_alone(schedule, network):
    def picture(seed, generator):
        states = sample(
            network,
            schedule,
            start(2, seed),
            SamplingOptions(method="ddim", steps=5, clip=True),
            generator=generator,
        )
        return last(states)

    assert torch.equal(picture(0, stream(1, "z")), picture(0, stream(2, "z")))
    assert (picture(0, None) - picture(1, None)).abs().max() > 0.1


def test_image_number_i_starts_from_its_own_noise(schedule):
    def first(indices):
        return next(draw(gaussian(schedule), schedule, None, seed=0, indices=indices)).x_t

    assert torch.equal(first([0, 5, 9])[1], first([5])[0])
    assert not torch.equal(first([0]), first([5]))


def test_a_given_x_T_takes_the_place_of_the_noise_of_the_seed_and_of_nothing_else(schedule):
    def path(x_T):
        model = gaussian(schedule)
        return list(
            draw(model, schedule, None, SamplingOptions(steps=4), seed=0, indices=[0, 1], x_T=x_T)
        )

    own = path(None)
    assert torch.equal(path(own[0].x_t)[-1].x_t, own[-1].x_t)
    assert torch.equal(path(start(2))[0].x_t, start(2))


def test_where_all_data_is_one_point_long_steps_need_beta_tilde(schedule):
    def noise(variance):
        """The size of the noise in x_100, the last that is noisy, over what it should be."""
        states = draw(
            pointlike(schedule, 0.5),
            schedule,
            None,
            SamplingOptions(steps=10, clip=False, variance=variance),
            seed=0,
            indices=range(8),
        )
        t, x_t, _ = list(states)[-2]
        alpha_bar = schedule.alpha_bar[t]
        return float((x_t - 0.5 * alpha_bar.sqrt()).std() / (1 - alpha_bar).sqrt())

    assert noise("beta_tilde") == pytest.approx(1, rel=0.03)  # Section 3.2: exact
    assert noise("beta") > 1.2


@pytest.mark.parametrize(("steps", "variance"), [(10, "beta_tilde"), (None, "beta")])
def test_draw_takes_beta_tilde_where_steps_are_skipped(schedule, steps, variance):
    def drawn(variance):
        model = pointlike(schedule, 0.5)
        return last(
            draw(
                model,
                schedule,
                None,
                SamplingOptions(steps=steps, clip=False, variance=variance),
                seed=0,
                indices=[0, 1],
            )
        )

    assert torch.equal(drawn(None), drawn(variance))


# Labels and guidance


@torch.no_grad()
def test_guidance_1_is_the_conditional_network(network):
    x_t, t, label = start(3), torch.tensor([1, 500, 1000]), torch.tensor([2, 5, 9])
    assert torch.equal(guided_eps(network, x_t, t, label, 1.0), network(x_t, t, label))


@torch.no_grad()
def test_guidance_0_leaves_the_label_out(network):
    x_t, t, label = start(3), torch.tensor([1, 500, 1000]), torch.tensor([2, 5, 9])
    torch.testing.assert_close(
        guided_eps(network, x_t, t, label, 0.0), network(x_t, t, None), rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_guidance_goes_on_along_the_line_from_no_label_to_the_label(network):
    x_t, t, label = start(3), torch.tensor([1, 500, 1000]), torch.tensor([2, 5, 9])
    without, with_label = network(x_t, t), network(x_t, t, label)
    torch.testing.assert_close(
        guided_eps(network, x_t, t, label, 3.0),
        3 * with_label - 2 * without,
        rtol=0,
        atol=1e-4,
    )


def test_the_label_reaches_the_network_at_every_step(schedule):
    told = []

    def formula(x_t, t, label):
        told.append(label.tolist())
        return torch.zeros_like(x_t)

    model = Predictor(formula, num_classes=10)
    last(sample(model, schedule, start(2), SamplingOptions(steps=3), label=torch.tensor([3, 8])))
    assert told == [[3, 8]] * 3


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.0])
def test_a_label_for_a_network_without_labels_is_refused(schedule, guidance):
    with pytest.raises(ValueError, match="without labels"):
        label = torch.tensor([1])
        next(sample(UNet(4), schedule, start(1), SamplingOptions(guidance=guidance), label=label))


# Clipping, and wrong steps


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
def test_clip_keeps_the_estimate_in_range_and_lets_x_t_be(schedule, method):
    wild = Predictor(lambda x_t, t, label: 3 * x_t)
    states = list(
        sample(
            wild,
            schedule,
            start(),
            SamplingOptions(method=method, steps=20, clip=True),
            generator=stream(0, "z"),
        )
    )
    assert all(state.x_0_hat.abs().max() <= 1 + 1e-5 for state in states)
    # x_t near T is noise, and a third of it lies outside [-1, 1]
    assert 0.2 < (states[1].x_t.abs() > 1).float().mean() < 0.45
    options = SamplingOptions(method=method, steps=20, clip=False)
    unclipped = sample(wild, schedule, start(), options)
    assert next(unclipped).x_0_hat.abs().max() > 10


def test_clip_changes_nothing_where_the_estimate_is_in_range(schedule):
    model = pointlike(schedule, 0.6)

    def picture(clip):
        return last(
            sample(
                model,
                schedule,
                start(),
                SamplingOptions(steps=20, clip=clip),
                generator=stream(0, "z"),
            )
        )

    torch.testing.assert_close(picture(True), picture(False), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_outside_1_to_T_are_refused(schedule, steps):
    with pytest.raises(ValueError, match=r"1 to 1000|1 or more"):
        next(sample(gaussian(schedule), schedule, start(), SamplingOptions(steps=steps)))


# Where the noise comes from


def test_a_stream_is_named_by_seed_purpose_and_index():
    def first(*name):
        return torch.randn(32, generator=stream(*name))

    assert torch.equal(first(0, "a", 3), first(0, "a", 3))
    for other in ((1, "a", 3), (0, "b", 3), (0, "a", 4)):
        assert abs(torch.corrcoef(torch.stack([first(0, "a", 3), first(*other)]))[0, 1]) < 0.9


def test_neighbouring_streams_are_independent():
    noise = normal((200, 1000), streams(0, "sampling", range(200)), "cpu")
    correlation = torch.corrcoef(noise) - torch.eye(200)
    # 19,900 pairs of standard error 1 / sqrt(1000): the largest lies near 4 of them
    assert correlation.abs().max() < 6 / 1000**0.5


def test_noise_is_standard_normal():
    noise = normal((100, 1, 32, 32), streams(0, "sampling", range(100)), "cpu")
    assert noise.mean().item() == pytest.approx(0, abs=0.016)  # 5 standard errors
    assert noise.var().item() == pytest.approx(1, abs=0.022)


def test_as_many_generators_as_images_are_asked_for():
    with pytest.raises(ValueError, match="2 generators for a batch of 3"):
        normal((3, 1, 32, 32), streams(0, "a", [0, 1]), "cpu")


def test_image_0_of_seed_0_starts_the_same_for_ever():
    # the shipped pictures and the numbers in the lessons rest on these
    noise = normal((1, 1, 32, 32), streams(0, "sampling", [0]), "cpu").flatten()
    expected = torch.tensor([-0.758097529, -1.271162748, 0.094111949])
    torch.testing.assert_close(noise[:3], expected, rtol=0, atol=1e-6)


# Too little memory


class Small(UNet):
    """A network on a device with memory for so many images."""

    def __init__(self, room, error):
        super().__init__(4, 10)
        self.room, self.error = room, error

    def forward(self, x_t, t, label=None):
        if len(x_t) > self.room:
            raise self.error
        return super().forward(x_t, t, label)


FULL = [
    RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.91 GB)"),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
]


@pytest.mark.parametrize("error", FULL, ids=range(len(FULL)))
def test_too_little_memory_means_smaller_chunks_and_the_same_images(monkeypatch, schedule, error):
    monkeypatch.setattr(sampling, "for_sampling", lambda model, times, batch: model)
    told = []

    def drawn(room):
        torch.manual_seed(0)
        labels = torch.arange(9)
        things = draw_many(
            Small(room, error),
            schedule,
            labels,
            9,
            SamplingOptions(steps=2),
            seed=0,
            on_fewer=told.append,
        )
        return torch.cat([images for images in things if images is not None])

    whole = drawn(9)
    assert told == []
    parts = drawn(3)
    assert told == [4, 2]
    assert parts.shape == whole.shape and (parts.int() - whole.int()).abs().max() <= 1
    with pytest.raises(type(error)):
        drawn(0)


def test_another_error_is_not_taken_for_one_of_memory(monkeypatch, schedule):
    monkeypatch.setattr(sampling, "for_sampling", lambda model, times, batch: model)
    with pytest.raises(RuntimeError, match="shapes"):
        list(
            draw_many(
                Small(0, RuntimeError("shapes")),
                schedule,
                None,
                4,
                SamplingOptions(steps=2),
                seed=0,
            )
        )


def test_another_device_draws_the_same_picture(schedule, device):
    def picture(where):
        loaded = load_checkpoint(device=where)
        states = draw(
            loaded.model,
            schedule,
            torch.tensor([3, 7]),
            SamplingOptions(steps=50),
            seed=1,
            indices=[0, 1],
        )
        return last(states).cpu()

    assert (picture("cpu") - picture(device)).abs().mean() < 0.02
