"""Algorithm 1: what each step sees and does, and how well the result is measured."""

import copy

import pytest
import torch
from torch import nn

from ddpm_tutor.science.bound import learned_variance, losses_vlb
from ddpm_tutor.science.diffusion import beta_tilde, v_weight
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.training import (
    TrainingConfig,
    TrainingState,
    drop_labels,
    logit_normal_probabilities,
    lr_factor,
    steps_per_epoch,
    train,
    update_ema,
    vlb_probabilities,
)
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.science.validation_loss import Estimate, losses_by_t, validation_loss


class Spy(NoisePredictor):
    """Predicts weight * x_t, and remembers what it was asked."""

    def __init__(self, num_classes=None):
        super().__init__(0, num_classes)
        self.weight = nn.Parameter(torch.zeros(1))
        self.x_t, self.t, self.label = [], [], []

    def forward(self, x_t, t, label=None):
        self.x_t.append(x_t.detach().clone())
        self.t.append(t.clone())
        self.label.append(label)
        return self.weight * x_t


class Formula(NoisePredictor):
    """A predictor with nothing to learn: a function of x_t, t and the label."""

    def __init__(self, formula, num_classes=None):
        super().__init__(0, num_classes)
        self.formula, self.weight = formula, nn.Parameter(torch.zeros(1))

    def forward(self, x_t, t, label=None):
        return self.formula(x_t, t, label) + 0 * self.weight


ALMOST_NO_NOISE = linear_schedule(2, 1e-9, 1e-9)
ZERO = Formula(lambda x_t, t, label: torch.zeros_like(x_t))


def spied(schedule, digits, *, num_classes=None, labels=None, rank=0, world_size=1, **config):
    """A spy that was trained."""
    config = TrainingConfig(**config)
    state = TrainingState.start(Spy(num_classes), config)
    for _ in train(
        state, schedule, digits.train_images, labels, config, rank=rank, world_size=world_size
    ):
        pass
    return state.model


def started(config, num_classes=10):
    torch.manual_seed(0)
    return TrainingState.start(UNet(4, num_classes), config)


def steps(state, digits, config, count=None):
    """The reports of the next `count` steps, or of all that are left."""
    reports = []
    labels = digits.train_labels
    for report in train(state, linear_schedule(), digits.train_images, labels, config):
        reports.append(report)
        if len(reports) == count:
            break
    return reports


def same(one, other):
    """Whether two networks have the same weights, bit for bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# Weighting "logit-normal"


@pytest.mark.parametrize("T", [1000, 100])
def test_logit_normal_t_follow_a_logit_normal_distribution_and_a_fifth_is_even(T):
    probabilities = logit_normal_probabilities(T).double()
    assert probabilities[0] == 0 and probabilities[1:].min() >= 0.2 / T - 1e-9
    t = torch.arange(1, T)
    share = t / T
    normal_cdf = torch.distributions.Normal(-0.8, 0.8).cdf(share.logit())
    expected = 0.8 * normal_cdf + 0.2 * share  # of the t that are no larger
    torch.testing.assert_close(
        probabilities.cumsum(0)[t], expected.double(), rtol=0, atol=1e-5 if T == 1000 else 1e-3
    )
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_weighting_logit_normal_draws_t_by_these_probabilities(digits):
    schedule = linear_schedule(5)
    spy = spied(schedule, digits, epochs=400, batch_size=44, weighting="logit-normal")
    t = torch.cat(spy.t)
    counts, expected = torch.bincount(t, minlength=6), len(t) * logit_normal_probabilities(5)
    # 5 standard deviations of a binomial count
    assert ((counts - expected).abs() <= 5 * expected.sqrt()).all()
    assert expected.max() > 1.5 * len(t) / 5  # which an even draw would not meet


def test_weighting_logit_normal_moves_the_weights_by_the_errors_in_v(schedule, digits):
    config = TrainingConfig(epochs=1, weighting="logit-normal")
    state = TrainingState.start(Spy(), config)
    report = next(train(state, schedule, digits.train_images, None, config))
    # d/dw w(t) |eps - w x_t|^2 at w = 0, where the spy starts, averaged as the loss is
    t = state.model.t[0]
    generator = stream(0, "training", 0)
    torch.multinomial(logit_normal_probabilities(1000), 44, replacement=True, generator=generator)
    eps = normal((44, 1, 32, 32), generator, "cpu")
    gradients = v_weight(schedule, t) * (-2 * eps * state.model.x_t[0]).mean(dim=(1, 2, 3))
    assert report.grad_norm == pytest.approx(abs(float(gradients.mean())), rel=1e-4)


# Weighting "vlb"


@pytest.mark.parametrize("T", [1, 10, 1000])
def test_weighting_vlb_draws_t_in_proportion_to_1_by_t(T):
    probabilities = vlb_probabilities(T).double()
    assert probabilities[0] == 0
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    t = torch.arange(1, T + 1)
    expected = (probabilities[1] / t).double()
    torch.testing.assert_close(probabilities[1:], expected, rtol=1e-5, atol=0)


def test_weighting_vlb_draws_t_by_these_probabilities(digits):
    spy = spied(linear_schedule(5), digits, epochs=60, batch_size=44, weighting="vlb")
    counts = torch.bincount(torch.cat(spy.t), minlength=6)
    expected = 60 * 44 * vlb_probabilities(5)
    assert ((counts - expected).abs() <= 5 * expected.sqrt()).all()


def test_weighting_vlb_moves_the_weights_by_the_gradient_of_the_bound(schedule, digits):
    config = TrainingConfig(epochs=1, weighting="vlb")
    state = TrainingState.start(Spy(), config)
    report = next(train(state, schedule, digits.train_images, None, config))
    t, weight = state.model.t[0], torch.zeros(1, requires_grad=True)
    generator = stream(0, "training", 0)
    torch.multinomial(vlb_probabilities(1000), 44, replacement=True, generator=generator)
    eps = normal((44, 1, 32, 32), generator, "cpu")
    order = torch.randperm(44, generator=stream(0, "order", 0))
    x_0 = to_unit_range(digits.train_images[order])
    terms = losses_vlb(lambda x_t, t, label: weight * x_t, schedule, x_0, t, eps)
    (terms / vlb_probabilities(1000)[t]).mean().backward()
    assert report.grad_norm == pytest.approx(abs(float(weight.grad)), rel=1e-4)


def test_weighting_vlb_trains_a_learned_variance_down_to_the_right_one(digits):
    # noise predicted as zero at t = 2: the error is 1 everywhere, and so beta is nearly right
    schedule = linear_schedule(2, 1e-4, 1.2e-4)
    config = TrainingConfig(epochs=80, batch_size=44, lr=0.1, weighting="vlb")

    class Shares(NoisePredictor):
        learned_variance = True

        def __init__(self):
            super().__init__(0, None)
            self.share = nn.Parameter(torch.zeros(3))

        def forward(self, x_t, t, label=None, both=False):
            share = self.share[t].view(-1, 1, 1, 1).expand_as(x_t)
            return torch.cat([0 * x_t, share], dim=1) if both else 0 * x_t

    state = TrainingState.start(Shares(), config)
    for _ in train(state, schedule, digits.train_images, None, config):
        pass
    t = torch.tensor([2])
    right = beta_tilde(schedule, t) + vlb_distance(schedule)
    found = learned_variance(schedule, t, state.model.share[2].detach().view(1, 1, 1, 1))
    assert float(found) == pytest.approx(float(right), rel=0.02)


def vlb_distance(schedule):
    """The squared distance of the means at t = 2 where the noise predicted is 1 off (Eq. 8)."""
    beta, alpha, alpha_bar = (v[2] for v in (schedule.beta, schedule.alpha, schedule.alpha_bar))
    return beta**2 / (alpha * (1 - alpha_bar))


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="vlb"):
        TrainingConfig(epochs=1, weighting="cubic")


def test_the_loss_told_is_that_of_an_even_draw_of_t(digits):
    # a prediction of t / T for every pixel has the loss 1 + (t / T)^2
    schedule = linear_schedule(1000)
    wrong = Formula(lambda x_t, t, label: (t / 1000).view(-1, 1, 1, 1).expand_as(x_t))
    told = []
    for weighting in ("simple", "logit-normal", "vlb"):
        config = TrainingConfig(epochs=300, batch_size=44, weighting=weighting)
        state = TrainingState.start(wrong, config)
        reports = train(state, schedule, digits.train_images, None, config)
        told.append(torch.tensor([report.loss for report in reports]))
    for losses in told:
        error = float(losses.std()) / len(losses) ** 0.5
        assert losses.mean() == pytest.approx(4 / 3, abs=5 * error)
        assert error < 0.025


# What a step sees


def test_t_is_drawn_from_1_to_T_with_both_ends_and_evenly(digits):
    spy = spied(linear_schedule(5), digits, epochs=400, batch_size=44)
    t = torch.cat(spy.t)
    counts = torch.bincount(t, minlength=7)
    assert counts[0] == counts[6] == 0  # t = 0 is no step, and there is none after T
    expected = len(t) / 5
    # 5 standard deviations of a binomial count
    assert (counts[1:6] - expected).abs().max() < 5 * (expected * 0.8) ** 0.5


def test_every_image_of_a_batch_has_its_own_t(schedule, digits):
    spy = spied(schedule, digits, epochs=1, batch_size=44)
    assert len(spy.t[0].unique()) > 30


def test_an_epoch_shows_every_image_once_and_the_next_one_in_another_order(digits):
    # with almost no noise, x_t tells which image it is
    spy = spied(ALMOST_NO_NOISE, digits, epochs=2, batch_size=11)
    seen = torch.cat(spy.x_t)[:, 0, 2, 2]
    first, second = seen[:44], seen[44:]
    images = to_unit_range(digits.train_images)[:, 0, 2, 2].sort().values
    for epoch in (first, second):
        torch.testing.assert_close(epoch.sort().values, images, rtol=0, atol=1e-3)
    assert not torch.allclose(first, second, atol=1e-3)


def test_images_are_scaled_to_minus_1_to_1_before_noise_is_added(digits):
    spy = spied(ALMOST_NO_NOISE, digits, epochs=1, batch_size=44)
    values = spy.x_t[0].unique()
    assert values.min() == pytest.approx(-1, abs=1e-3)
    assert values.max() == pytest.approx(1, abs=1e-3)


def test_x_T_is_pure_noise_to_the_network(digits):
    # one step that leaves 1e-6 of the image: x_t has the moments of N(0, I)
    spy = spied(linear_schedule(1, 1 - 1e-6, 1 - 1e-6), digits, epochs=4, batch_size=44)
    x_t = torch.cat(spy.x_t)
    assert x_t.mean().item() == pytest.approx(0, abs=0.015)  # 5 standard errors
    assert x_t.var().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(spy.x_t[0], spy.x_t[1])  # and new noise in each step


def test_batches_that_cannot_be_shared_equally_are_refused(schedule, digits):
    state = TrainingState.start(UNet(4), config := TrainingConfig(batch_size=7))
    with pytest.raises(ValueError, match="2 processes cannot share batches of 7"):
        next(train(state, schedule, digits.train_images, None, config, world_size=2))


def test_the_shares_of_two_processes_make_up_the_whole_batch(schedule, digits):
    settings = {"num_classes": 10, "labels": digits.train_labels, "batch_size": 8}
    whole = spied(schedule, digits, epochs=1, **settings)
    shares = [
        spied(schedule, digits, epochs=1, rank=rank, world_size=2, **settings) for rank in (0, 1)
    ]
    assert len(whole.t) == 44 // 8
    for name in ("x_t", "t", "label"):
        for i, batch in enumerate(getattr(whole, name)):
            together = torch.empty_like(batch)
            together[0::2], together[1::2] = (getattr(share, name)[i] for share in shares)
            assert torch.equal(together, batch)


def test_a_share_of_10_percent_of_the_labels_becomes_the_null_label():
    labels = torch.arange(10).repeat(2000)
    dropped = drop_labels(labels, 0.1, 10, torch.Generator().manual_seed(0))
    gone = dropped == 10
    assert gone.float().mean().item() == pytest.approx(0.1, abs=0.011)  # 5 standard deviations
    assert torch.equal(dropped[~gone], labels[~gone])
    assert torch.equal(labels, torch.arange(10).repeat(2000))


@pytest.mark.parametrize(("share", "kept"), [(0.0, True), (1.0, False)])
def test_no_label_or_every_label_can_be_dropped(share, kept):
    labels = torch.arange(10)
    dropped = drop_labels(labels, share, 10, torch.Generator().manual_seed(0))
    assert torch.equal(dropped, labels if kept else torch.full((10,), 10))


def test_training_drops_labels_and_keeps_the_others_with_their_images(digits):
    # with almost no noise the image tells its label
    spy = spied(
        ALMOST_NO_NOISE,
        digits,
        num_classes=10,
        labels=digits.train_labels,
        epochs=20,
        batch_size=44,
    )
    x_t, label = torch.cat(spy.x_t), torch.cat(spy.label)
    gone = label == 10
    assert 0.05 < gone.float().mean() < 0.15
    seen = ((x_t[:, 0, 5:, 16] > 0).float().argmax(dim=1)) // 2  # the row where the bar begins
    assert torch.equal(seen[~gone], label[~gone])


def test_without_labels_the_network_is_given_none(schedule, digits):
    spy = spied(schedule, digits, num_classes=10, labels=None, epochs=1)
    assert spy.label == [None]
    with pytest.raises(ValueError, match="without labels"):
        spied(schedule, digits, num_classes=None, labels=digits.train_labels, epochs=1)


# What a step does


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_tiny_set_is_learned(digits, optimizer):
    config = TrainingConfig(20, batch_size=11, lr=1e-2, warmup_steps=5, optimizer=optimizer)
    losses = [report.loss for report in steps(started(config), digits, config)]
    assert losses[0] > 0.8  # predicting nothing would cost 1
    assert sum(losses[-20:]) / 20 < 0.3


def test_the_loss_is_what_predicting_nothing_costs_before_the_first_step(schedule, digits):
    config = TrainingConfig(epochs=1, batch_size=44)
    state = TrainingState.start(Spy(), config)
    report = next(iter(train(state, schedule, digits.train_images, None, config)))
    assert report.loss == pytest.approx(1, abs=0.04)  # 5 standard errors


def test_steps_and_epochs_are_counted_from_1(digits):
    config = TrainingConfig(epochs=2, batch_size=20)
    reports = steps(started(config), digits, config)
    assert [(report.step, report.epoch) for report in reports] == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize(("images", "count"), [(44, 2), (40, 2), (39, 1), (5, 1)])
def test_an_epoch_has_full_batches_and_at_least_one_batch(images, count):
    assert steps_per_epoch(images, TrainingConfig(batch_size=20)) == count


def test_the_same_seed_trains_the_same_weights_and_another_seed_others(digits):
    def trained(seed):
        config = TrainingConfig(epochs=1, batch_size=11, seed=seed)
        state = started(config)
        return state, steps(state, digits, config)

    (one, one_reports), (again, again_reports), (other, _) = trained(3), trained(3), trained(4)
    assert one_reports == again_reports
    assert same(one.model, again.model)
    assert not same(one.model, other.model)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_resumed_training_does_what_an_uninterrupted_one_does(digits, optimizer):
    config = TrainingConfig(
        epochs=2, batch_size=11, lr=1e-3, lr_schedule="cosine", optimizer=optimizer
    )
    whole = started(config)
    reports = steps(whole, digits, config)

    early = started(config)
    steps(early, digits, config, count=3)  # it stops within the first epoch
    parts = [early.model, early.ema, early.optimizer]
    saved = copy.deepcopy([part.state_dict() for part in parts])

    late = TrainingState.start(UNet(4, 10), config)  # other first weights
    for part, state in zip([late.model, late.ema, late.optimizer], saved, strict=True):
        part.load_state_dict(state)
    late.step = 3
    assert steps(late, digits, config) == reports[3:]
    assert same(late.model, whole.model)
    assert same(late.ema, whole.ema)


def test_a_finished_training_has_no_more_steps(digits):
    config = TrainingConfig(epochs=1, batch_size=44)
    state = started(config)
    assert len(steps(state, digits, config)) == 1
    assert steps(state, digits, config) == []


def test_gradients_are_clipped_and_reported_as_they_were(digits):
    config = TrainingConfig(epochs=1, batch_size=44, grad_clip=1e-3)
    state = started(config)
    (report,) = steps(state, digits, config)
    norms = [w.grad.norm() for w in state.model.parameters() if w.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-3, rel=1e-3)
    assert report.grad_norm > 0.01


# The learning rate


def test_the_rate_grows_over_the_warm_up_and_then_stays():
    config = TrainingConfig(warmup_steps=4)
    factors = [lr_factor(step, 100, config) for step in range(100)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert set(factors[4:]) == {1.0}


def test_cosine_falls_from_1_to_0_along_half_a_cosine():
    config = TrainingConfig(warmup_steps=10, lr_schedule="cosine")
    factors = [lr_factor(step, 110, config) for step in range(111)]
    assert factors[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[35] == pytest.approx(0.5 + 0.5 * 0.5**0.5)
    assert factors[110] == pytest.approx(0)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_the_warm_up_takes_no_more_than_a_tenth_of_a_short_training():
    factors = [lr_factor(step, 20, TrainingConfig(warmup_steps=200)) for step in range(20)]
    assert factors == [0.5, 1.0] + [1.0] * 18


def test_training_uses_the_rate(digits):
    config = TrainingConfig(epochs=40, batch_size=44, lr=1e-2, warmup_steps=4)
    state = TrainingState.start(Spy(), config)
    rates = [
        state.optimizer.param_groups[0]["lr"]
        for _ in train(state, linear_schedule(), digits.train_images, None, config)
    ]
    assert rates == pytest.approx([2.5e-3, 5e-3, 7.5e-3] + [1e-2] * 37)


# The averaged weights


def weights(value):
    model = Spy()
    with torch.no_grad():
        model.weight.fill_(value)
    return model


def test_the_average_of_constant_weights_is_those_weights():
    model, ema = weights(0.7), weights(0.7)
    for step in range(1, 50):
        update_ema(ema, model, step, 0.999)
    assert ema.weight.item() == pytest.approx(0.7, abs=1e-6)


def test_the_average_moves_by_1_minus_decay():
    ema = weights(0.0)
    update_ema(ema, weights(1.0), 1_000_000, 0.999)
    assert ema.weight.item() == pytest.approx(0.001, rel=1e-3)


def test_the_average_forgets_the_first_weights_fast():
    # with decay 0.999 from the start, 90 % of the untrained weights would still be there
    ema = weights(0.0)
    for step in range(1, 101):
        update_ema(ema, weights(1.0), step, 0.999)
    assert ema.weight.item() > 0.99


def test_training_averages_every_weight_and_leaves_the_average_out_of_gradients(digits):
    config = TrainingConfig(epochs=1, batch_size=22, lr=1e-2)
    state = started(config)
    first = copy.deepcopy(state.model)
    steps(state, digits, config)
    for before, average, now in zip(
        first.parameters(), state.ema.parameters(), state.model.parameters(), strict=True
    ):
        assert not average.requires_grad
        assert average.data_ptr() != now.data_ptr()
        if not torch.equal(before, now):
            assert not torch.equal(average, before)
            assert not torch.equal(average, now)


# The validation loss


def blank(count):
    return torch.zeros(count, 1, 32, 32, dtype=torch.uint8)


@pytest.mark.parametrize("each", [1, 2, 3])
def test_every_t_comes_equally_often(each):
    schedule = linear_schedule(20)
    t, _ = losses_by_t(ZERO, schedule, blank(20 * each))
    assert torch.equal(torch.bincount(t, minlength=21)[1:], torch.full((20,), each))


@pytest.mark.parametrize("count", [3, 7, 19, 30, 50])
def test_other_numbers_of_images_favour_no_range_of_t(count):
    # small t costs most: a surplus there would raise the loss
    schedule = linear_schedule(20)
    t, _ = losses_by_t(ZERO, schedule, blank(count))
    assert t.min() >= 1
    assert t.max() <= 20
    for middle in (5, 10, 15):
        assert abs((t <= middle).sum().item() - count * middle / 20) <= 1


def test_losses_come_with_the_t_that_the_network_was_told(schedule):
    spy = Spy()
    t, losses = losses_by_t(spy, schedule, blank(30), batch_size=8)
    assert torch.equal(torch.cat(spy.t), t)
    assert torch.equal(t, t.sort().values)
    assert losses.shape == (30,)


def test_the_validation_loss_is_the_same_twice(schedule, digits, network):
    def measure():
        return validation_loss(
            network, schedule, digits.validation_images, digits.validation_labels
        )

    assert measure() == measure()


def test_validation_takes_smaller_batches_where_memory_is_short(schedule, digits, network):
    images, labels = digits.train_images, digits.train_labels

    def short(x_t, t, label):
        if len(x_t) > 6:
            raise RuntimeError("not enough memory: you tried to allocate 100 bytes")
        return network(x_t, t, label)

    short.parameters = network.parameters
    _, expected = losses_by_t(network, schedule, images, labels)
    _, losses = losses_by_t(short, schedule, images, labels)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)


def test_labels_change_the_validation_loss(schedule, digits):
    told = Formula(
        lambda x_t, t, label: 0 * x_t + (0 if label is None else label[:, None, None, None]), 10
    )
    images, labels = digits.validation_images, digits.validation_labels
    without = validation_loss(told, schedule, images)
    assert without.mean == pytest.approx(1, abs=0.15)
    squares = labels.double().square().mean().item()
    assert validation_loss(told, schedule, images, labels).mean == pytest.approx(
        1 + squares, rel=0.1
    )


def test_predicting_nothing_costs_1_with_the_right_error(schedule):
    estimate = validation_loss(ZERO, schedule, blank(600))
    # the square of a normal has variance 2; each image has 1,024 pixels
    error = (2 / (1024 * 600)) ** 0.5
    assert abs(estimate.mean - 1) < 5 * error
    assert estimate.error == pytest.approx(error, rel=0.2)


def test_a_loss_that_depends_on_t_is_no_cause_of_error(schedule):
    # predicting c(t) costs 1 + c(t)^2: from 1 to 10 here, 1 + 3 on average over t
    off = Formula(lambda x_t, t, label: 0 * x_t + (3 * t / 1000).view(-1, 1, 1, 1))
    estimate = validation_loss(off, schedule, blank(600))
    assert abs(estimate.mean - 4) < 0.03
    assert estimate.error < 0.02  # the spread over t alone would give 0.11


def test_validation_makes_no_gradients(schedule, digits, network):
    validation_loss(network, schedule, digits.validation_images)
    assert all(weight.grad is None for weight in network.parameters())


def test_an_estimate_reads_as_a_number_with_its_error():
    assert str(Estimate(0.02068, 0.00042)) == "0.0207 ± 0.0004"
