"""Films: the states of the chain that they show, and their frames."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ddpm_tutor.pictures.grids import columns_of_whole, enlarged, grid
from ddpm_tutor.pictures.picture_files import Pixels
from ddpm_tutor.science.diffusion import predict_x_0, q_step
from ddpm_tutor.science.noise import normal, streams
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.sampling import ChainState, guided_eps
from ddpm_tutor.science.schedule import Schedule

MIN_SIDE = 256  # of one digit in a film, at least
# of one pixel among several digits, at most: noise hardly gets smaller in a file, and with 7 a GIF
# of four digits was twice as large as with 4
MAX_FACTOR = 4


def frame_times(schedule: Schedule, frames: int) -> list[int]:
    """At most `frames` steps t in 0..T to show, rising, 0 and T among them.

    Equal steps in t would spend most frames on what looks like pure noise. The angle whose cosine
    is sqrt(alpha_bar) turns as the picture changes; halfway between the two shows both the digit
    appearing and the estimate of x_0 settling early on.
    """
    angle = schedule.alpha_bar.cpu().clamp(0, 1).sqrt().arccos()
    share = angle / angle[-1] + torch.linspace(0, 1, schedule.T + 1, dtype=angle.dtype)
    wanted = torch.linspace(0, float(share[-1]), frames, dtype=share.dtype)
    times = torch.searchsorted(share.contiguous(), wanted).clamp(max=schedule.T)
    return sorted({int(t) for t in times} | {0, schedule.T})


@dataclass(frozen=True)
class Frame:
    """One picture of a film: x_t beside the model's estimate of x_0."""

    t: int
    x_t: Tensor  # (N, 1, 32, 32)
    x_0_hat: Tensor  # (N, 1, 32, 32): the estimate of x_0


INDEX = re.compile(r"(?<=\b[a-zA-Z])_(\w+)")  # of a symbol
NAMES = ("x_t", "estimate of x_0")


def film(
    frames: Sequence[Frame],
    title: str = "",
    names: tuple[str, str] = NAMES,
    ways: Sequence[str] = (),
    group: int = 1,
) -> list[Pixels]:
    """The frames as pictures: x_t left, the estimate of x_0 right, captioned with t.

    Args:
        names: what stands above the two, where they are something else.
        ways: beside the t of each frame, which way the film runs there, where it runs both ways.
        group: so many images that follow one another stay in one row.
    """
    pictures = []
    for frame, way in zip(frames, ways or repeat(""), strict=False):
        columns = columns_of_whole(len(frame.x_t), group) if group > 1 else None
        left, right = grid(frame.x_t, columns), grid(frame.x_0_hat, columns)
        if len(frame.x_t) == 1:
            factor = -(-MIN_SIDE // left.shape[1])
        else:
            factor = min(max(1, 2 * MIN_SIDE // left.shape[1]), MAX_FACTOR)
        pair = enlarged(left, factor), enlarged(right, factor)
        time = f"t = {frame.t}{way and ', '}{way}"
        pictures.append(_captioned(pair, names, time, title))
    return pictures


def side_by_side(views: Mapping[str, Tensor], captions: Sequence[str]) -> list[Pixels]:
    """Moments of several chains as pictures: the chains side by side, a caption below each moment.

    Args:
        views: (moments, N, 1, H, W) of each chain, by its name.
    """
    pictures = []
    for moment, caption in enumerate(captions):
        grids = [grid(images[moment]) for images in views.values()]
        factor = -(-MIN_SIDE // grids[0].shape[1])
        pictures.append(_captioned([enlarged(g, factor) for g in grids], list(views), caption))
    return pictures


def _captioned(
    pictures: Sequence[Pixels], names: Sequence[str], time: str, title: str = ""
) -> Pixels:
    """Pictures of one size side by side on a dark sheet, with their names above and t below."""
    margin, band = 16, 36
    height, width = pictures[0].shape
    sheet = Image.new("L", (len(pictures) * (width + margin) + margin, height + 2 * band), 16)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    below = height + 1.5 * band
    for number, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        left = margin + number * (width + margin)
        sheet.paste(Image.fromarray(picture), (left, band))
        write(draw, (left + width / 2, band / 2), name, font)
        if number == 0:
            draw.text((left + width / 2, below), time, fill=230, font=font, anchor="mm")
        elif number == 1:
            draw.text((left + width / 2, below), title, fill=150, font=font, anchor="mm")
    return np.asarray(sheet)


def write(draw: ImageDraw.ImageDraw, middle: tuple[float, float], text: str, font: Any) -> None:
    """Writes a line around its middle: x_t with a small t below the line."""
    small = font.font_variant(size=round(font.size * 0.7))
    parts = [(part, n % 2) for n, part in enumerate(INDEX.split(text)) if part]
    fonts = [small if below else font for _, below in parts]
    widths = [each.getlength(part) for each, (part, _) in zip(fonts, parts, strict=True)]
    left = middle[0] - sum(widths) / 2
    base = middle[1] + font.size * 0.36
    for (part, below), each, width in zip(parts, fonts, widths, strict=True):
        at = (left, base + below * font.size * 0.22)
        draw.text(at, part, fill=230, font=each, anchor="ls")
        left += width


FRAMES = 72


def frames_of(
    states: Iterable[ChainState], schedule: Schedule, frames: int = FRAMES
) -> Iterator[Frame]:
    """Those states of the chain that a film shows: near evenly spread times, and the last one."""
    wanted = frame_times(schedule, frames)
    for state in states:
        # with few steps a state may stand for several wanted times
        if wanted and state.t <= wanted[-1]:
            while wanted and state.t <= wanted[-1]:
                wanted.pop()
            yield Frame(state.t, state.x_t.cpu(), state.x_0_hat.cpu())


@torch.no_grad()
def noising(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    label: Tensor | None,
    *,
    seed: int,
    indices: Sequence[int],
    frames: int = FRAMES,
) -> Iterator[Frame]:
    """A real digit dissolving, Eq. 2 step by step, with what the network still makes of it.

    Args:
        x_0: (B, 1, 32, 32) in [-1, 1], on the model's device; label: (B,) or None.
    """
    schedule = schedule.to(x_0.device)
    wanted = set(frame_times(schedule, frames))
    generators = streams(seed, "noising", indices)
    x_t = x_0
    for step in range(schedule.T + 1):
        t = torch.full((len(x_0),), step, device=x_0.device)
        if step > 0:
            x_t = q_step(schedule, x_t, t, normal(x_t.shape, generators, x_t.device))
        if step in wanted:
            x_0_hat = x_0
            if step > 0:
                x_0_hat = predict_x_0(schedule, x_t, t, guided_eps(model, x_t, t, label, 1.0))
            yield Frame(step, x_t.cpu(), x_0_hat.clamp(-1, 1).cpu())
