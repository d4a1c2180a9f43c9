"""The classifier that ships, and what it makes of real digits, drawn digits and noise."""

import io

import pytest
import torch
from rich.console import Console

from ddpm_tutor.errors import TutorError
from ddpm_tutor.evaluation.classifier import load_classifier, read_digits, read_features
from ddpm_tutor.evaluation.scorecard import (
    Card,
    Scores,
    load_real_digits,
    measure,
    nearness,
    real_card,
    score,
)
from ddpm_tutor.evaluation.scores import Share, nearest, share
from ddpm_tutor.files import bundled
from ddpm_tutor.pictures.film_strips import moment_name, save_film_strip, shown_moments
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.pixels import pad_to_32
from ddpm_tutor.science.validation_loss import Estimate
from ddpm_tutor.screen.scorecard import REAL, captions, scorecard, worst_first
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.checkpoints import Checkpoint, load_checkpoint
from ddpm_tutor.storage.digits import find_mnist, load_offline_digits
from ddpm_tutor.storage.film_strip import FilmStrip, load_film_strip


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


@pytest.fixture(scope="module")
def real():
    return load_real_digits()


@pytest.mark.slow
def test_the_classifier_reads_real_test_digits_as_well_as_it_says(classifier, mnist_root):
    from torchvision.datasets.mnist import read_image_file, read_label_file

    raw = mnist_root / "MNIST" / "raw"
    images = pad_to_32(read_image_file(str(raw / "t10k-images-idx3-ubyte"))[::5])
    labels = read_label_file(str(raw / "t10k-labels-idx1-ubyte"))[::5]
    low, high = share(read_digits(classifier.model, images).classes == labels).interval
    assert low <= classifier.test.value <= high
    assert classifier.test.of == 10_000 and classifier.test.value >= 0.994


def test_real_digits_score_as_real_digits(classifier, real):
    scores = real_card(classifier.model, real, 1000).scores
    assert scores.read_as_asked is not None and scores.read_as_asked.value > 0.99
    assert scores.read_as_asked.of == 5000  # five lots of a thousand
    assert scores.frechet.error < 0.1 * scores.frechet.mean
    assert scores.coverage.value > 0.9 and scores.precision.value > 0.8


@pytest.mark.parametrize("n", [105, 1001])
def test_real_digits_are_read_right_whatever_the_size_of_a_lot(classifier, real, n):
    scores = real_card(classifier.model, real, n).scores
    assert min(digit.value for digit in scores.by_digit) > 0.97
    assert scores.read_as_asked.of == 5000 // n * n


def test_real_training_and_test_digits_look_alike_to_the_classifier(classifier, real):
    # it was fitted to neither: two lots of one distribution cover each other as Naeem et al. say
    coverage = real_card(classifier.model, real, 1000).scores.coverage
    assert coverage.value == pytest.approx(1 - 2**-5, abs=0.015)
    assert real.training.mean.shape == (64,) and real.training.covariance.shape == (64, 64)


def test_the_frechet_distance_of_fewer_real_digits_is_larger(classifier, real):
    few, many = (real_card(classifier.model, real, n).scores.frechet.mean for n in (200, 2500))
    assert few > 1.5 * many


@pytest.mark.slow
def test_the_offline_digits_are_read_as_what_they_are(classifier, real):
    digits = load_offline_digits()
    reading = read_digits(classifier.model, digits.train_images)
    scores = score(reading, digits.train_labels, real)
    assert scores.read_as_asked is not None and scores.read_as_asked.value > 0.96
    assert scores.precision.value > 0.7


def test_noise_scores_as_noise(classifier, real):
    noise = torch.randint(0, 256, (200, 1, 32, 32), generator=stream(0, "n")).to(torch.uint8)
    scores = score(read_digits(classifier.model, noise), None, real)
    assert scores.precision.value < 0.1 and scores.coverage.value < 0.05
    assert scores.read_as_asked is None and sum(scores.read_as) == 200


def test_ones_alone_look_real_but_cover_little(classifier, real):
    ones = real.test_features[1::10]  # the classes come in turn
    reading = read_features(classifier.model, ones)
    assert share(reading.classes == 1).value > 0.98
    scores = score(reading, None, real)
    assert scores.precision.value > 0.8 and scores.coverage.value < 0.2


def test_copies_of_training_images_are_noticed(real, mnist_root):
    mnist = find_mnist(mnist_root)
    copies = mnist.train_images[:100]
    found = nearness(nearest(copies, mnist.train_images).distances, real)
    assert found.median == 0 and found.below == Share(100, 100)
    fresh = nearness(nearest(mnist.validation_images[:500], mnist.train_images).distances, real)
    assert fresh.below.value < 0.04
    assert fresh.median == pytest.approx(float(real.test_nearest.median()), rel=0.1)


def test_the_scorecard_compares_shares_by_their_difference():
    def card(count: int) -> Card:
        part = Share(count, 100)
        return Card(Scores(100, part, [], [10] * 10, Estimate(1.0, 0.1), part, part), None)

    console = Console(width=100, file=io.StringIO())
    console.print(scorecard({"yours": card(66), REAL: card(80)}))
    shown = console.file.getvalue()
    # the intervals of 66 and 80 of 100 overlap, and that of their difference leaves out 0
    assert shown.count("-14.0 (-25.8 to -1.7)") == 3
    assert shown.count("66.0 (56.3–74.5)") == 3


def test_the_worst_come_first(classifier, real, network, schedule):
    digits = load_offline_digits()
    images, asked = digits.train_images[:150], digits.train_labels[:150].clone()
    asked[[3, 140]] = (asked[[3, 140]] + 1) % 10  # asked for something else than was drawn
    drawn = measure(Checkpoint(network, schedule), images, asked, classifier.model, real, None)
    worst = worst_first(drawn)
    assert {3, 140} <= set(worst[:10].tolist())
    assert captions(drawn, torch.tensor([3])) == [f"{asked[3]}, read {digits.train_labels[3]}"]
    assert len(worst) == 150 and drawn.near is None
    unasked = measure(Checkpoint(network, schedule), images, None, classifier.model, real, None)
    surest = worst_first(unasked)[-1]
    assert drawn.reading.probabilities[surest].max() == drawn.reading.probabilities.max()


@pytest.mark.slow
def test_a_film_strip_is_drawn_from_the_same_noise_and_read_back(
    tmp_path, network, schedule, monkeypatch
):
    monkeypatch.setattr(film_strip, "STEPS", 4)
    strip = FilmStrip()
    strip.add(0, network, schedule)
    strip.add(0.25, network, schedule)
    assert torch.equal(strip.images[0], strip.images[1])
    strip.add(0.25, network, schedule)  # the same moment of a run that was resumed
    assert strip.epochs == [0, 0.25]
    strip.save(tmp_path / "film_strip.npz")
    again = load_film_strip(tmp_path / "film_strip.npz")
    assert again.epochs == strip.epochs
    assert all(torch.equal(a, b) for a, b in zip(again.images, strip.images, strict=True))
    for path in save_film_strip(again, tmp_path):
        assert path.stat().st_size > 500
    assert load_film_strip(tmp_path / "none.npz").epochs == []
    (tmp_path / "film_strip.npz").write_bytes(b"PK nonsense")
    with pytest.raises(TutorError, match="damaged"):
        load_film_strip(tmp_path / "film_strip.npz")


def test_a_film_strip_shows_round_numbers_of_epochs():
    epochs = [0, 0.25, 0.5, *range(1, 24)]
    shown = [epochs[i] for i in shown_moments(epochs)]
    assert shown == [0, 0.25, 0.5, 1, 2, 5, 10, 20, 23]
    assert [moment_name(e) for e in shown[:5]] == [
        "untrained", "1/4 epoch", "1/2 epoch", "1 epoch", "2 epochs",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_shipped_film_strip_ends_with_what_the_shipped_weights_draw():
    strip = load_film_strip(bundled("assets") / "film_strip.npz")
    trained = load_checkpoint()
    now = FilmStrip()
    now.add(strip.epochs[-1], trained.model, trained.schedule)
    difference = (now.images[0].int() - strip.images[-1].int()).abs()
    assert float(difference.float().mean()) < 3  # half precision, and another processor
