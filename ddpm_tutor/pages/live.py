"""The forward process, live: the page itself computes x_t by Eq. 4, for a digit and a noise."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpm_tutor.course.lesson import Lesson
from ddpm_tutor.pages.words import code_words, words
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.screen.images import Images
from ddpm_tutor.storage.digits import Digits

NOISES = 5
FEWEST = 5  # times in a row of pictures that shows noising
EQ_4 = re.compile(r"^    x_t = √ᾱ_t x_0 \+ √\(1 - ᾱ_t\) ε", re.MULTILINE)
TIME = re.compile(r"t = (\d+)")


def shows_noising(shown: Iterable[object]) -> bool:
    """Whether among what was shown is x_t at several rising t, from a clean picture on."""
    for each in shown:
        if isinstance(each, Images) and each.captions:
            times = [int(t[1]) for c in each.captions if (t := TIME.fullmatch(c))]
            whole = len(times) == len(each.captions) >= FEWEST
            if each.title == "x_t" and whole and times == sorted(times) and times[0] == 0:
                return True
    return False


def place_of(lesson: Lesson, shown: Mapping[int, Iterable[object]]) -> int:
    """The number of the step where a page is to have the forward process; 0 for none.

    That is where noising is shown; else where Eq. 4 stands as a formula.
    """
    noising = (number for number in sorted(shown) if shows_noising(shown[number]))
    formula = (n for n, step in enumerate(lesson.steps, start=1) if EQ_4.search(step.prose))
    return next(noising, 0) or next(formula, 0)


@dataclass(frozen=True)
class LiveForward:
    """A block in which the reader chooses digit, noise and t.

    Attributes:
        images: (10, 1, 32, 32) uint8, one of each digit.
    """

    images: Tensor


def ten_digits(digits: Digits, seed: int) -> Tensor:
    """One of each digit, (10, 1, 32, 32) uint8."""
    kinds = [digits.of_class(digit) for digit in range(10)]
    return torch.stack([kind[seed % len(kind)] for kind in kinds])


def noise(number: int) -> Tensor:
    """The noise of that number, (1, 1, 32, 32)."""
    return normal((1, 1, 32, 32), stream(0, "page", number), "cpu")


def live_forward(images: Tensor) -> str:
    """The block, with all that it computes with."""
    eps = torch.cat([noise(number) for number in range(NOISES)])
    data = {
        "alpha_bar": linear_schedule().alpha_bar.tolist(),
        "x_0": _base64(images.numpy()),
        "eps": _base64(eps.numpy().astype("<f4")),
        "side": images.shape[-1],
    }
    digits = "".join(f'<option value="{d}">{d}</option>' for d in range(len(images)))
    noises = "".join(f'<option value="{n}">{n + 1}</option>' for n in range(NOISES))
    formula = code_words("x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε")
    left = code_words("ᾱ_t")
    names = ("x_0", "eps", "x_t")
    canvases = {
        name: f'<canvas class="pixels" role="img" data-of="{name}" width="{data["side"]}" '
        f'height="{data["side"]}"></canvas>'
        for name in names
    }
    return f"""\
<section class="live" aria-labelledby="live-title">
<h3 id="live-title">Try it: any t</h3>
<p>You choose; this page computes {formula} (Eq. 4) as you move t.
{left} says how much of the picture's variance is left after t steps.</p>
<div class="sum">
<figure>{canvases["x_0"]}<figcaption><b data-say="signal"></b> <i>x</i><sub>0</sub></figcaption>
</figure>
<span class="sign" aria-hidden="true">+</span>
<figure>{canvases["eps"]}<figcaption><b data-say="noise"></b> ε</figcaption></figure>
<span class="sign" aria-hidden="true">=</span>
<figure>{canvases["x_t"]}<figcaption><i>x</i><sub>t</sub></figcaption></figure>
</div>
<div class="controls"><label for="live-t">t</label><input id="live-t" type="range" min="0" \
max="1000" value="200" step="1"><output for="live-t"></output></div>
<div class="controls"><label for="live-digit">Digit</label><select id="live-digit">{digits}</select>
<label for="live-noise">Noise</label><select id="live-noise">{noises}</select></div>
<dl class="numbers"><div><dt>{words("ᾱ_t")}</dt><dd data-say="alpha_bar"></dd></div>
<div><dt>{words("√ᾱ_t")}</dt><dd data-say="signal"></dd></div>
<div><dt>{words("√(1 - ᾱ_t)")}</dt><dd data-say="noise"></dd></div>
<div><dt>{words("ᾱ_t / (1 - ᾱ_t)")}</dt><dd data-say="snr"></dd></div>
</dl>
<script type="application/json">{json.dumps(data)}</script>
</section>
"""


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()
