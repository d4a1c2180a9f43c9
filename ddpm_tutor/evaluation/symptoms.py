"""Symptoms: what can be measured of drawn digits by looking at the pixels and reading them.

Every measure is of what MNIST shows: the inner 28x28 of pictures of 32x32. Shades are shares of
the way from black, 0, to white, 1. Noise is in the units of the paper, where that way is from -1
to 1, so that a picture x_t has the noise sqrt(1 - alpha_bar_t) of Eq. 4.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.evaluation.classifier import Classifier, read_digits
from ddpm_tutor.evaluation.scores import distances
from ddpm_tutor.science.pixels import PADDING
from ddpm_tutor.science.schedule import Schedule

FRAME = 3  # pixels from the edge of 28x28 that hardly a digit of MNIST reaches into
NEARLY = 2  # shades from black, or from white, that count as such
MIN_SEEN = 0.02  # of a frame's pixels between black and white: with fewer there is no noise to see
UPPER = 0.9  # quantile of a frame beyond which a stroke may have come in
DUPLICATE = 0.06  # root mean square difference of two pictures below which they are the same
MIN_INK = 0.5  # of the way from the background to the brightest: what belongs to a stroke


@dataclass(frozen=True)
class Measures:
    """What was measured of n digits, one number each: every field is (n,) float64.

    A field says nothing, NaN, where it takes more than one picture and there is one.
    """

    background: Tensor  # mean shade of the frame around the digit, less a quarter on either end
    spread: Tensor  # standard deviation of the shades of the frame
    noise: Tensor  # standard deviation of the noise of the frame, in [-1, 1]; see `noise_of`
    black: Tensor  # share of the pixels that are black
    white: Tensor  # share of the pixels that are white
    grey: Tensor  # share of the pixels between a quarter and three quarters of the way to white
    mean: Tensor  # mean shade
    top: Tensor  # the shade that one pixel in fifty exceeds
    specks: Tensor  # share of the pixels that are alone with their shade, as salt and pepper are
    smooth: Tensor  # correlation of pixels that are side by side
    ink: Tensor  # share of the pixels nearer to the brightest than to the background
    height: Tensor  # of the strokes, in pixels
    off_centre: Tensor  # distance of the strokes' centre of mass from the middle, in pixels
    doubt: Tensor  # 1 less the probability that the classifier gives to the class that it reads
    entropy: Tensor  # of its ten probabilities, in nats
    strange: Tensor  # distance of its features to those of the nearest real digit
    variety: Tensor  # median distance of its features to those of the other digits
    classes: Tensor  # the class that is read

    def __len__(self) -> int:
        return len(self.background)


@torch.no_grad()
def measures(images: Tensor, classifier: Classifier, real_features: Tensor) -> Measures:
    """Measures drawn digits.

    Args:
        images: (n, 1, 32, 32) uint8.
        real_features: (m, 64), what the classifier finds in real digits.
    """
    reading = read_digits(classifier, images)
    inner = inside(images)  # (n, 28, 28) in 0..255
    shades = inner / 255
    frame = shades[:, frame_mask()]  # (n, 300)
    quarter = frame.shape[1] // 4
    # not the median, which is black or white by chance where half of the pixels are
    background = frame.sort(1).values[:, quarter:-quarter].mean(1)
    probabilities = reading.probabilities.double()
    logs = probabilities.clamp(min=1e-12).log()
    flat = shades.flatten(1)
    top = flat.quantile(0.98, dim=1)
    strokes = strokes_of(shades, background)
    boxes = [box_and_offset(mask) for mask in strokes]
    return Measures(
        background=background,
        spread=frame.std(1),
        noise=noise_of(images),
        black=(inner <= NEARLY).flatten(1).double().mean(1),
        white=(inner >= 255 - NEARLY).flatten(1).double().mean(1),
        grey=((shades > 0.25) & (shades < 0.75)).flatten(1).double().mean(1),
        mean=flat.mean(1),
        top=top,
        specks=specks_of(shades),
        smooth=neighbours_correlation(shades),
        ink=strokes.flatten(1).double().mean(1),
        height=torch.tensor([height for height, _ in boxes], dtype=torch.float64),
        off_centre=torch.tensor([offset for _, offset in boxes], dtype=torch.float64),
        doubt=1 - probabilities.amax(1),
        entropy=-(probabilities * logs).sum(1),
        strange=distances(reading.features, real_features).amin(1).double(),
        variety=from_others(reading.features),
        classes=reading.classes,
    )


def inside(images: Tensor) -> Tensor:
    """The inner (n, 28, 28) of images (n, 1, 32, 32), in float64, 0..255."""
    return images[:, 0, PADDING:-PADDING, PADDING:-PADDING].double()


def frame_mask() -> Tensor:
    """Which pixels of 28x28 lie around the digit: (28, 28) booleans, 300 of them True."""
    mask = torch.ones(28, 28, dtype=torch.bool)
    mask[FRAME:-FRAME, FRAME:-FRAME] = False
    return mask


def noise_of(images: Tensor) -> Tensor:
    """The standard deviation of the noise in the background of images (n, 1, 32, 32) uint8: (n,).

    In the units of [-1, 1]; 0 where none can be seen, which is below about 0.005: a shade is
    0.008. Black and white cut noise off, so it is found from the quantiles of those pixels that are
    neither, as if the frame around the digit were a cut-off Gaussian. Where that is far more than
    the finest structure has, it was a veil or a stroke, not noise, and that structure decides.
    """
    values = inside(images)
    frame = values[:, frame_mask()].sort(1).values  # (n, 300)
    count = frame.shape[1]
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    scores = torch.special.ndtri(places)
    fine = finest(values)
    return torch.stack(
        [noise_of_frame(row, places, scores, f) for row, f in zip(frame, fine, strict=True)]
    )


def noise_of_frame(frame: Tensor, places: Tensor, scores: Tensor, fine: Tensor) -> Tensor:
    """The noise of one frame: (k,) values 0..255 in order, and the finest structure in them."""
    seen = (frame > 0) & (frame < 255) & (places < UPPER) & (places > 1 - UPPER)
    if float(seen.double().mean()) < MIN_SEEN:
        return torch.zeros((), dtype=torch.float64)
    x, y = scores[seen], frame[seen] / 127.5
    x = x - x.mean()
    slope = ((x * (y - y.mean())).sum() / x.square().sum().clamp(min=1e-9)).clamp(min=0)
    cut = float(((frame <= 0) | (frame >= 255)).double().mean()) > 0.05
    if not cut and fine < 0.6 * slope:
        return fine
    return slope


def finest(values: Tensor) -> Tensor:
    """The standard deviation of the finest structure of the frames of (n, 28, 28), in [-1, 1].

    By the diagonal differences of 2x2 pixels (Donoho and Johnstone 1994); the median of them does
    not see a stroke here and there.
    """
    a, b = values[:, 0::2, 0::2], values[:, 0::2, 1::2]
    c, d = values[:, 1::2, 0::2], values[:, 1::2, 1::2]
    diagonal = (a - b - c + d) / 2 / 127.5  # (n, 14, 14), as spread as one pixel's noise
    around = frame_mask()[::2, ::2]
    return diagonal[:, around].abs().median(1).values / 0.6745


def step_of_noise(schedule: Schedule, noise: float) -> int:
    """The t at which x_t has this noise: sqrt(1 - alpha_bar_t) is nearest to it (Eq. 4); 0 to T."""
    levels = (1 - schedule.alpha_bar).sqrt()
    return int((levels - noise).abs().argmin())


def neighbours_correlation(shades: Tensor) -> Tensor:
    """The correlation of each pixel with the one to its right, of (n, H, W): (n,); 0 if uniform."""
    left, right = shades[..., :-1].flatten(1), shades[..., 1:].flatten(1)
    left, right = (v - v.mean(1, keepdim=True) for v in (left, right))
    size = (left.square().sum(1) * right.square().sum(1)).sqrt()
    return (left * right).sum(1) / size.clamp(min=1e-9)


def specks_of(shades: Tensor) -> Tensor:
    """The share of pixels half the way to white, or more, from the median of 3x3: (n,)."""
    around = F.unfold(shades[:, None], 3)  # (n, 9, 26 * 26)
    far = (around[:, 4] - around.median(1).values).abs() > 0.5
    return far.double().mean(1)


def strokes_of(shades: Tensor, background: Tensor) -> Tensor:
    """Which pixels of (n, H, W) are strokes: far brighter than the background, (n,)."""
    top = shades.flatten(1).amax(1)
    edge = background + MIN_INK * (top - background)
    return (shades > edge[:, None, None]) & (top > background + 0.1)[:, None, None]


def box_and_offset(mask: Tensor) -> tuple[float, float]:
    """How high the strokes in a mask (H, W) are, and how far their middle is from that of it."""
    if not bool(mask.any()):
        return 0.0, 0.0
    rows, columns = mask.nonzero().double().unbind(1)
    middle = (mask.shape[-1] - 1) / 2
    height = float(rows.max() - rows.min()) + 1
    return height, math.hypot(float(rows.mean()) - middle, float(columns.mean()) - middle)


def from_others(features: Tensor) -> Tensor:
    """The median distance of each of (n, d) to the other rows: (n,); NaN where there is none."""
    count = len(features)
    if count < 2:
        return torch.full((count,), math.nan, dtype=torch.float64)
    others = ~torch.eye(count, dtype=torch.bool)
    apart = distances(features, features).double()[others].view(count, count - 1)
    return apart.median(1).values


def same_pictures(images: Tensor) -> int:
    """How many of images (n, 1, 32, 32) uint8 are nearly another one that stands before them."""
    rows = inside(images).flatten(1) / 127.5
    apart = distances(rows, rows) / rows.shape[1] ** 0.5
    before = torch.ones(len(rows), len(rows), dtype=torch.bool).tril(-1)
    return int(((apart < DUPLICATE) & before).any(1).sum())
