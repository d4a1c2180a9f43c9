"""The noise schedule of anybody's project: its arrays by what they are called, and are they right?

`betas`, `alphas_cumprod`, `alpha_hat`, `sqrtmab`: there are many names for few things. Each array
that has a known name is compared with what follows from the betas; where it is another, it is said
what it is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import known_as, told_apart
from ddpm_tutor.grading.recorded_chance import tensor_of
from ddpm_tutor.science.schedule import Schedule, cosine_schedule

MIN_T = 4  # entries: less is no schedule
CLOSE = 2e-3  # of their size: float32 and long products part by less
OVER = 2e-3  # of ᾱ: by so much a β_0 that should not count lowers all of them
MAX_BETA = 0.99  # of the cosine schedule, clipped at 0.999, the last few are larger
MUCH_LEFT = 0.1  # of the picture's variance at T: more shows in what is drawn

# what common names come down to: each is replaced in turn
WORDS = (
    (r"alphas?_?(cum_?prods?|cumulative|cum|bars?|hats?|prods?)|abar|a_bar|alphabars?|alphas_bar"
     r"|cum_?prod_alphas?", "alpha_bar"),
    (r"\bab\b|\bab_t\b|^gammas?_bar$", "alpha_bar"),
    (r"alphas\b|alphas(?=_)", "alpha"),
    (r"betas\b|betas(?=_)", "beta"),
    (r"alpha_bars", "alpha_bar"),
)  # fmt: skip
SHORT = {  # the names of a well-known small implementation, and the like
    "sqrtab": "sqrt_alpha_bar", "sqrtmab": "sqrt_one_minus_alpha_bar", "b": "beta", "a": "alpha",
    "oneover_sqrta": "sqrt_recip_alpha", "sqrt_beta": "sqrt_beta", "alpha_bar_sqrt":
    "sqrt_alpha_bar", "one_minus_alpha_bar_sqrt": "sqrt_one_minus_alpha_bar", "alphabar":
    "alpha_bar", "one_by_sqrt_alpha": "sqrt_recip_alpha", "beta_tilde": "posterior_variance",
    "sqrt_1m_alpha_bar": "sqrt_one_minus_alpha_bar", "alpha_bar_p": "alpha_bar_prev",
}  # fmt: skip


def canonical(name: str) -> str:
    """What a common name for an array of a schedule stands for, such as "alpha_bar"."""
    word = name.lower().strip("_")
    for pattern, instead in WORDS:
        word = re.sub(pattern, instead, word)
    word = word.removesuffix("_t").removesuffix("_schedule")
    return SHORT.get(word, word)


# what each is to be, of beta, alpha, alpha_bar and the alpha_bar before (T,), in words and numbers
Formula = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ARRAYS: dict[str, tuple[str, Formula]] = {
    "beta": ("β_t", lambda b, a, ab, p: b),
    "alpha": ("α_t", lambda b, a, ab, p: a),
    "alpha_bar": ("ᾱ_t", lambda b, a, ab, p: ab),
    "alpha_bar_prev": ("ᾱ_{t-1}", lambda b, a, ab, p: p),
    "sqrt_beta": ("√β_t", lambda b, a, ab, p: b.sqrt()),
    "sqrt_alpha": ("√α_t", lambda b, a, ab, p: a.sqrt()),
    "one_minus_alpha_bar": ("1 - ᾱ_t", lambda b, a, ab, p: 1 - ab),
    "sqrt_alpha_bar": ("√ᾱ_t", lambda b, a, ab, p: ab.sqrt()),
    "sqrt_one_minus_alpha_bar": ("√(1 - ᾱ_t)", lambda b, a, ab, p: (1 - ab).sqrt()),
    "sqrt_recip_alpha": ("1 / √α_t", lambda b, a, ab, p: a.rsqrt()),
    "sqrt_recip_alpha_bar": ("1 / √ᾱ_t", lambda b, a, ab, p: ab.rsqrt()),
    "sqrt_recipm1_alpha_bar": (
        "√(1 - ᾱ_t) / √ᾱ_t", lambda b, a, ab, p: ((1 - ab) / ab).sqrt()
    ),
    "posterior_variance": (
        "β_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)", lambda b, a, ab, p: b * (1 - p) / (1 - ab)
    ),
    "posterior_mean_coef1": (
        "√ᾱ_{t-1} β_t / (1 - ᾱ_t)", lambda b, a, ab, p: p.sqrt() * b / (1 - ab)
    ),
    "posterior_mean_coef2": (
        "√α_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)", lambda b, a, ab, p: a.sqrt() * (1 - p) / (1 - ab)
    ),
}  # fmt: skip
ALWAYS_MEANT = frozenset({"beta", "alpha", "alpha_bar"})


@dataclass(frozen=True)
class WrongArray:
    """An array that is not what its name says."""

    name: str  # as the learner calls it
    wanted: str  # what it is to be, such as "ᾱ_t"
    known_as: str  # what it is, or ""
    at: int  # the paper's t where it shows
    yours: float
    expected: float

    def in_words(self) -> str:
        """What is wrong with it."""
        yours, expected = told_apart(self.yours, self.expected)
        mine = f"{yours} (= {self.known_as})" if self.known_as else yours
        return f"{self.name} at t = {self.at} is {mine} where {expected} (= {self.wanted}) belongs."


@dataclass(frozen=True)
class OwnSchedule:
    """A project's schedule, counted as the paper does: index 0 is no noise, index t is step t."""

    schedule: Schedule
    padded: bool  # its arrays have an entry for t = 0, so that t counts from 1
    named: dict[str, str] = field(default_factory=dict)  # what its arrays are called, by meaning
    wrong: tuple[WrongArray, ...] = ()
    taken: Schedule | None = None  # what its own functions go by, where ᾱ is not what it should be

    @property
    def is_unusable(self) -> bool:
        """Whether its ᾱ is no part of a variance, so that nothing can be made with it."""
        return self.taken is None and any(canonical(one.name) == "alpha_bar" for one in self.wrong)

    @property
    def shift(self) -> int:
        """The paper's step is a function's t plus this, by how the arrays are laid out."""
        return 0 if self.padded else 1

    def in_words(self) -> str:
        """ "T = 1000, β from 0.0001 to 0.02, linear"."""
        beta = self.schedule.beta[1:]
        ends = f"β from {float(beta[0]):.3g} to {float(beta[-1]):.3g}"
        return f"T = {len(beta)}, {ends}, {shape_of(beta)}"

    def notes(self) -> list[str]:
        """What is to be known of it, though it is not wrong."""
        left = float(self.schedule.alpha_bar[-1])
        if left <= MUCH_LEFT**2:
            return []
        words = "The picture is far from gone" if left > MUCH_LEFT else "A trace is left"
        return [
            f"ᾱ_T is {left:.3g}: {words} at t = T, and sampling starts from noise without it. "
            "With T = 1000, β from 1e-4 to 0.02, it is 0.00004."
        ]


def shape_of(beta: Tensor) -> str:
    """What kind of schedule it is, in a word."""
    T = len(beta)

    def like(other: Tensor) -> bool:
        return bool(torch.allclose(beta, other, rtol=0.02, atol=1e-6))

    if like(torch.linspace(float(beta[0]), float(beta[-1]), T, dtype=beta.dtype)):
        return "linear" if beta[0] != beta[-1] else "constant"
    roots = torch.linspace(float(beta[0]) ** 0.5, float(beta[-1]) ** 0.5, T, dtype=beta.dtype)
    if like(roots**2):
        return "linear in √β"
    cosine = cosine_schedule(T).beta[1:]
    inner = slice(T // 10, -max(1, T // 10))
    if torch.allclose(beta[inner], cosine[inner], rtol=0.05):
        return "cosine"
    if torch.allclose(1 - (1 - beta[inner]) ** 2, cosine[inner], rtol=0.05):
        return "cosine, but not squared: that of Nichol and Dhariwal is cos²"
    middle = (beta - beta.min()) / (beta.max() - beta.min())
    bends = torch.logit(middle[1:-1].clamp(1e-4, 1 - 1e-4))
    inner_bends = bends[T // 10 : -max(1, T // 10)].diff()
    if len(inner_bends) and float(inner_bends.std()) < 0.3 * float(inner_bends.mean().abs()):
        return "sigmoid"
    return "of a shape of its own"


def arrays_of(things: Mapping[str, Any]) -> dict[str, tuple[str, Tensor]]:
    """The arrays among some things that have a known name: its own name and (T,), by meaning."""
    found: dict[str, tuple[str, Tensor]] = {}
    for name, value in things.items():
        meaning = canonical(name) if isinstance(name, str) else ""  # a dict's key may be anything
        if meaning not in ARRAYS or isinstance(value, int | float):
            continue
        if isinstance(value, list | tuple) and all(isinstance(v, float | int) for v in value):
            value = torch.tensor(value)
        values = tensor_of(value)
        if values is None or values.numel() < MIN_T or values.numel() != max(values.shape):
            continue
        if not values.is_floating_point():
            continue
        found.setdefault(meaning, (name, values.detach().double().cpu().flatten()))
    return found


def schedule_of(things: Mapping[str, Any]) -> OwnSchedule | None:
    """The schedule that is among some things, by their names; None where there is none."""
    arrays = arrays_of(things)
    values = {meaning: value for meaning, (_, value) in arrays.items()}
    beta = betas_of(values)
    if beta is None:
        return None
    bar = values.get("alpha_bar")
    # some make arrays of T + 1 entries and then write ᾱ_0 = 1 over the first
    over = bar is not None and len(bar) == len(beta) and bool(bar[0] == 1)
    padded = bool(beta[0] == 0) or over
    beta = beta[1:] if padded else beta
    if len(beta) < MIN_T or not bool(((beta > 0) & (beta < 1)).all()):
        return None
    all_beta = torch.cat([beta.new_zeros(1), beta])
    alpha = 1 - all_beta
    schedule = Schedule(all_beta, alpha, alpha.cumprod(0))
    if over and bar is not None and torch.allclose(bar, schedule.alpha_bar, rtol=OVER):
        schedule = Schedule(all_beta, alpha, bar)  # with the β_0 that was there before
    wrong = tuple(wrong_arrays(schedule, arrays, padded))
    return OwnSchedule(
        schedule, padded, {m: n for m, (n, _) in arrays.items()}, wrong,
        as_taken(schedule, values, wrong, padded),
    )  # fmt: skip


@dataclass(frozen=True)
class ImpossibleBetas:
    """Betas that are no schedule."""

    name: str  # as the learner calls them
    lowest: float
    highest: float

    def in_words(self) -> str:
        """What is wrong with them."""
        says = (
            f"β goes from {self.lowest:.4g} to {self.highest:.4g}. Each β_t is a variance: more "
            "than 0, and less than 1 (Eq. 2)."
        )
        if self.lowest > 0 and self.highest == 1:
            says += " The cosine schedule ends with 1 unless it is clipped, at 0.999 usually."
        return says


def impossible_betas(things: Mapping[str, Any]) -> ImpossibleBetas | None:
    """The betas among some things that no schedule can have; None where they may be one."""
    name, beta = arrays_of(things).get("beta", ("", torch.zeros(0)))
    if not name.lower().strip("_").startswith("beta"):
        return None  # `b` may be anything
    beta = beta[1:] if len(beta) and beta[0] == 0 else beta  # an entry for t = 0
    if len(beta) < MIN_T or bool(((beta > 0) & (beta < 1)).all()):
        return None
    return ImpossibleBetas(name, float(beta.min()), float(beta.max()))


def betas_of(values: Mapping[str, Tensor]) -> Tensor | None:
    """The betas, or what they must have been; with a 0 in front where t = 0 has an entry."""
    bar = values.get("alpha_bar")
    if bar is None and "sqrt_alpha_bar" in values:
        bar = values["sqrt_alpha_bar"].square()
    if "beta" in values:
        beta = values["beta"]
    elif "alpha" in values:
        beta = 1 - values["alpha"]
    elif bar is not None:
        beta = 1 - bar / torch.cat([bar.new_ones(1), bar[:-1]])
    else:
        return None
    if bar is not None and len(bar) == len(beta) + 1 and float(bar[0]) == 1:
        return torch.cat([beta.new_zeros(1), beta])  # only ᾱ has an entry for t = 0
    return torch.where(beta.abs() < 1e-12, 0.0, beta)


def wrong_arrays(
    schedule: Schedule, arrays: Mapping[str, tuple[str, Tensor]], padded: bool
) -> Iterator[WrongArray]:
    """The arrays that are not what their names say."""
    beta, alpha, bar = schedule.beta[1:], schedule.alpha[1:], schedule.alpha_bar[1:]
    before = schedule.alpha_bar[:-1]
    atoms = {"β_t": beta, "α_t": alpha, "ᾱ_t": bar, "ᾱ_{t-1}": before}
    for meaning, (name, values) in arrays.items():
        words, formula = ARRAYS[meaning]
        yours = values[1:] if len(values) == len(beta) + 1 else values
        if len(yours) != len(beta):
            continue
        expected = formula(beta, alpha, bar, before)
        # the first entry is a matter of taste: ᾱ_0 may be missing, a variance of 0 be clipped
        off = (yours - expected).abs() > CLOSE * expected.abs() + 1e-9
        off[0] = False
        off[beta.cummax(0).values > MAX_BETA] = False  # where β is clipped, ᾱ may not be
        if not bool(off.any()) or (meaning == "posterior_variance" and is_beta(yours, beta)):
            continue
        if meaning == "alpha" and torch.allclose(yours, bar, rtol=CLOSE):
            continue  # as in papers that write α for ᾱ
        i = int(off.nonzero()[len(off.nonzero()) // 2])
        known = sums_of(yours, beta, alpha)
        known = known or known_as(yours[1:], {n: v[1:] for n, v in atoms.items()}, words)
        yield WrongArray(name, words, known, i + 1, float(yours[i]), float(expected[i]))


def is_beta(yours: Tensor, beta: Tensor) -> bool:
    """Whether a variance is the other one that the paper allows (Section 3.2)."""
    return bool(torch.allclose(yours, beta, rtol=CLOSE))


def sums_of(yours: Tensor, beta: Tensor, alpha: Tensor) -> str:
    """Whether it is a sum or product over all steps, of what does not belong there."""
    made = {
        "the sum of all α": alpha.cumsum(0),
        "the sum of all β": beta.cumsum(0),
        "1 - the sum of all β": 1 - beta.cumsum(0),
        "the product of all β": beta.cumprod(0),
        "the sum of all log α": alpha.log().cumsum(0),
        "√ of the product of all α": alpha.cumprod(0).sqrt(),
    }
    first = slice(0, 6)  # later on, products of small numbers are no numbers any more
    return next(
        (
            n
            for n, v in made.items()
            if torch.allclose(yours[first], v[first], rtol=CLOSE, atol=0)
            and torch.allclose(yours, v, rtol=CLOSE)
        ),
        "",
    )


def as_taken(
    schedule: Schedule, values: Mapping[str, Tensor], wrong: tuple[WrongArray, ...], padded: bool
) -> Schedule | None:
    """The schedule with the project's own ᾱ, where that is wrong: its functions go by it.

    Returns:
        None, too, where it is not from 0 to 1.
    """
    bar = values.get("alpha_bar")
    if bar is None or not any(canonical(one.name) == "alpha_bar" for one in wrong):
        return None
    bar = bar[1:] if len(bar) == schedule.T + 1 else bar
    if not bool(((bar >= 0) & (bar <= 1)).all()):
        return None
    return Schedule(schedule.beta, schedule.alpha, torch.cat([bar.new_ones(1), bar]))
