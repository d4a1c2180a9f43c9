"""The log that ships of six small networks: it is whole, and its training can be had again."""

import math
from itertools import islice

import pytest
import torch

from ddpm_tutor.science.parameterizations import Predictor, train_predictor
from ddpm_tutor.science.pixels import doubled, halved
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.storage.digits import load_digits, load_offline_digits
from ddpm_tutor.storage.predictor_logs import load_predictor_logs

FIRST_LOSS = load_predictor_logs().of("eps", "eps").loss[0]


def test_the_logs_that_ship_are_whole():
    logs = load_predictor_logs()
    assert len(logs.networks) == 6
    for network in logs.networks:
        assert len(network.loss) == logs.steps // logs.every
        assert all(map(math.isfinite, network.loss + network.eps_errors))
        assert network.images.shape == (10, 1, 16, 16) and network.images.dtype == torch.uint8
        assert network.images.float().std() > 10  # not the gaps of the sheet
        assert network.frechet > logs.real_frechet
    with pytest.raises(KeyError, match="predicts v"):
        logs.of("v", "L")


def test_of_the_papers_four_the_noise_with_l_simple_is_best():
    logs = load_predictor_logs()
    four = [("mu", "L"), ("mu", "mu"), ("eps", "L"), ("eps", "eps")]
    *others, best = (logs.of(*one).frechet for one in four)
    assert 2 * best < min(others)


def test_the_first_steps_of_the_log_can_be_had_again(mnist_root):
    assert first_loss(load_digits(mnist_root)) == pytest.approx(FIRST_LOSS, rel=1e-3)


def test_the_first_steps_of_the_log_are_about_the_same_on_digits_that_ship():
    # other digits, but the same first weights, t and noise
    assert first_loss(load_offline_digits("for a test")) == pytest.approx(FIRST_LOSS, rel=0.05)


def first_loss(digits):
    logs = load_predictor_logs()
    torch.manual_seed(logs.config.seed)
    model = Predictor("eps", linear_schedule(), logs.width)
    steps = train_predictor(
        model, linear_schedule(), halved(digits.train_images), logs.steps, logs.config
    )
    return sum(islice(steps, logs.every)) / logs.every


def test_halves_and_doubles_are_pictures_of_that_size():
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    images[0, 0, 8:24, 8:24] = 255
    half = halved(images)
    assert half.shape == (2, 1, 16, 16) and half[0, 0, 4:12, 4:12].eq(255).all()
    assert half.sum() == 255 * 64
    large = doubled(half)
    assert large.shape == images.shape and large.dtype == torch.uint8
    assert (large.float() - images.float()).abs().mean() < 8
