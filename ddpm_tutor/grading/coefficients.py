"""What a learner's function multiplies its inputs by, where it is linear in them.

Nobody can list all that goes wrong. But most of the paper's equations are sums of pictures, each
times a number that depends on t alone: x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε. Pictures of random numbers
tell what these numbers are in any such function, by least squares; and so a learner can be told
"you multiply eps by 0.72 (= 1 - √ᾱ_t) where 0.96 (= √(1 - ᾱ_t)) belongs". Where the function is
not linear, as one that clips or draws its own noise, nothing is said.

An exercise file switches it on in its cell `check`, with the inputs that the right function is
linear in, and what each is to be multiplied by, in words:

    linear_in = {"x_0": "√ᾱ_t", "eps": "√(1 - ᾱ_t)"}

That is all where the function takes `t` and these inputs, and returns what is linear in them. The
name of a further result, one number for each picture, may stand there too ("beta_tilde" in
exercise 7), and "" for what is added to every pixel, if that is not nothing (exercise 16). The
numbers that are right are not written down: they are those of `right`.

Where the pictures do not go in as arguments (a loop asks a network for them, say), a function
`probe(function, inputs)` calls it once and returns a `Probe`. `inputs` is what `inputs(draw)` gave.
For a function that asks a network for eps, with and without the label:

    linear_in = {"ε with the label": "g", "ε without": "1 - g"}

    def probe(guided_eps, inputs):
        with_label, without = torch.randn(2, *inputs["x_t"].shape, dtype=inputs["x_t"].dtype)
        asked = lambda x_t, t, label: torch.where(at(label == inputs["null_label"]), without, ...)
        g = inputs["guidance"]
        result = guided_eps(**inputs | {"model": asked})
        given = {"ε with the label": with_label, "ε without": without}
        at, g = [f"g = {g}"] * len(result), torch.full((len(result),), g)
        return Probe(result, given, at, {"g": g})

`schedule_at(schedule, t)` gives the numbers of a schedule, for a probe that makes several steps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.trials import Draw, copied

TOLERANCE = 1e-3  # how far two numbers may part, of their size, and still be the same coefficient
# how much of a result, in root mean square, may be left unexplained in a linear function
MAX_REST = 1e-4
ZERO = 1e-6  # beside coefficients of about 1, no more than rounding
PLAIN = 0.1  # so far off, of its size, a coefficient is plainly another
ENOUGH = 3  # different t: fewer do not tell an expression from another that is as large by chance
MAX_ROWS = 3  # coefficients in a table, of each input

# on the paper's schedule are the numbers to tell; on the short one, no two expressions are close
PROBES = (
    Draw(7, batch=5, height=8, width=6, dtype=torch.float64),
    Draw(8, batch=12, height=6, width=8, T=10, dtype=torch.float64),
)

Function = Callable[..., Any]


@dataclass(frozen=True)
class Probe:
    """One call of a function that may be linear, and what went into it."""

    result: Tensor  # (B, ...)
    inputs: Mapping[str, Tensor]  # of independent random numbers, each shaped like the result
    at: Sequence[str]  # (B,) where each picture stands, such as "t = 500"; "" for all alike
    # (B,) each: what a coefficient may be made of, by name, such as "ᾱ_t"
    numbers: Mapping[str, Tensor] = field(default_factory=dict)
    further: Mapping[str, Tensor] = field(default_factory=dict)  # (B,) each: results on their own


@dataclass(frozen=True)
class Coefficient:
    """What one input is multiplied by, picture by picture."""

    of: str  # the input; "" for what is added to every pixel
    name: str  # what it should be, such as "√ᾱ_t"
    at: list[str]
    expected: list[float]
    yours: list[float]
    known_as: str  # what the learner's is, such as "ᾱ_t", or ""
    of_the_first: bool = False  # the learner's is that of the first picture, in all of them
    of_all: bool = False  # the learner's is one number for all pictures, and no whole one
    alone: bool = False  # it is no factor, but a result of its own

    def plain(self) -> int:
        """A picture in which it is plainly off, or the one in which it is furthest off."""
        pairs = zip(self.expected, self.yours, strict=True)
        off = [abs(y - e) / max(abs(e), 0.05) for e, y in pairs]
        return next((i for i, one in enumerate(off) if one > PLAIN), off.index(max(off)))

    def is_wrong(self, i: int) -> bool:
        """Whether it is, in picture `i`."""
        expected = self.expected[i]
        return abs(self.yours[i] - expected) > TOLERANCE * abs(expected) + ZERO

    def in_words(self, i: int) -> str:
        """What is wrong with it, in picture `i`."""
        yours, expected = told_apart(self.yours[i], self.expected[i])
        mine = yours if self.known_as in ("", "0", "1", "-1") else f"{yours} (= {self.known_as})"
        mine = f"{yours}, that of the first picture," if self.of_the_first else mine
        mine = f"{yours}, the same in all pictures," if self.of_all else mine
        none = self.expected[i] == 0  # at t = 1, say, where z = 0, whatever σ_t is
        right = f"{expected} (= {self.name})" if self.name and not none else expected
        if not self.of:
            added = f"you add {mine} to every pixel"
            return f"{added} where {right} belongs" if self.expected[i] or self.name else added
        if self.alone:
            return f"{self.of} is {mine} where {right} belongs"
        if self.known_as == "0":
            return f"{self.of} is missing, which is to be multiplied by {right}"
        return f"you multiply {self.of} by {mine} where {right} belongs"


def wrong_coefficients(checking: Mapping[str, Any], function: Function) -> list[Coefficient] | None:
    """Those coefficients of a learner's function that are not right.

    Args:
        checking: the variables of the exercise's cell `check`.

    Returns:
        None where the function is not linear; an empty list where all are right, where it fails,
        and where the exercise declares nothing.
    """
    names = checking.get("linear_in")
    if not names:
        return []
    fitted: list[tuple[Probe, dict[str, Tensor], dict[str, Tensor]]] = []
    for draw in PROBES:
        inputs = checking["inputs"](Draw(**arguments_of(draw)))
        try:
            mine, right = (
                probed(checking, f, {n: copied(v) for n, v in inputs.items()})
                for f in (function, checking["right"])
            )
            pair = fit(mine), fit(right)
        except (Exception, SystemExit):
            return []
        if pair[0] is None or pair[1] is None:
            return None
        fitted.append((mine, pair[0], pair[1]))
    each = {"": ""} | names  # what is added comes first
    return [c for of in each if (c := compared(of, each, fitted))]


def arguments_of(draw: Draw) -> dict[str, Any]:
    """What makes the same draw once more."""
    names = ("seed", "batch", "height", "width", "T", "dtype", "device")
    return {name: getattr(draw, name) for name in names}


def probed(checking: Mapping[str, Any], function: Function, inputs: dict[str, Any]) -> Probe:
    """One call, as the exercise's own `probe` makes it, or of a function with `t`."""
    with torch.no_grad():
        if "probe" in checking:
            probe: Probe = checking["probe"](function, inputs)
            return probe
        result = function(*(copied(value) for value in inputs.values()))
    first, *others = result if isinstance(result, tuple | list) else [result]
    t, t_prev = inputs["t"], inputs.get("t_prev")
    T = inputs["schedule"].T
    at = [f"t = {int(i)}" if T == PROBES[0].T else f"t = {int(i)} of {T}" for i in t]
    if t_prev is not None:
        at = [f"{one}, t_prev = {int(i)}" for one, i in zip(at, t_prev, strict=True)]
    return Probe(
        first,
        {name: inputs[name] for name in checking["linear_in"] if name in inputs},
        at,
        schedule_at(inputs["schedule"], t, t_prev),
        dict(zip(checking.get("results", ())[1:], others, strict=True)),
    )


def schedule_at(schedule: Any, t: Tensor, t_prev: Tensor | None = None) -> dict[str, Tensor]:
    """What coefficients are made of at t, (B,) each, by name."""
    found = {
        "β_t": schedule.beta[t],
        "α_t": schedule.alpha[t],
        "ᾱ_t": schedule.alpha_bar[t],
    }
    if t_prev is not None:
        return found | {
            "ᾱ_{t_prev}": schedule.alpha_bar[t_prev],
            "ᾱ_{t-1}": schedule.alpha_bar[t - 1],
        }
    before = {"β_{t-1}": schedule.beta, "α_{t-1}": schedule.alpha, "ᾱ_{t-1}": schedule.alpha_bar}
    return found | {name: values[t - 1] for name, values in before.items()}


def fit(probe: Probe) -> dict[str, Tensor] | None:
    """The coefficients (B,) of each input, and "" for what is added to every pixel; or None where
    the result is not linear in the inputs. What is not finite stays so.
    """
    result = probe.result.detach().double().cpu().flatten(1)  # (B, N)
    given = [value.detach().double().cpu().flatten(1) for value in probe.inputs.values()]
    if any(value.shape != result.shape for value in given):
        return None
    whole = result.isfinite().all(1)  # (B,)
    found = torch.full((len(result), len(given) + 1), torch.nan, dtype=torch.float64)
    columns = torch.stack([*given, torch.ones_like(result)], dim=2)[whole]  # (B', N, inputs + 1)
    wanted = result[whole, :, None]
    solved = torch.linalg.lstsq(columns, wanted).solution  # (B', inputs + 1, 1)
    rest = (columns @ solved - wanted).square().mean((1, 2)).sqrt()
    if not whole.any() or bool((rest > MAX_REST * wanted.square().mean((1, 2)).sqrt()).any()):
        return None
    found[whole] = solved[..., 0]
    coefficients = dict(zip([*probe.inputs, ""], found.unbind(1), strict=True))
    for name, value in probe.further.items():
        if value.numel() != len(result):
            return None
        coefficients[name] = value.detach().double().cpu().flatten()
    return coefficients


def compared(
    of: str,
    names: Mapping[str, str],
    fitted: Sequence[tuple[Probe, dict[str, Tensor], dict[str, Tensor]]],
) -> Coefficient | None:
    """One coefficient in all probes; None where it is right, or no number."""
    name = names.get(of, "")
    probes, mine, right = zip(*fitted, strict=True)
    expected, yours = (torch.cat([found[of] for found in one]) for one in (right, mine))
    if not bool(yours.isfinite().any()) or same(yours, expected):
        return None
    atoms = {
        n: torch.cat([probe.numbers[n].double().cpu() for probe in probes])
        for n in probes[0].numbers
    }
    of_the_first = all(
        same(m[of], r[of][:1].expand(len(m[of]))) for m, r in zip(mine, right, strict=True)
    )
    swapped = (  # it is what another input is to be multiplied by
        names[n]
        for n in names
        if n != of and names[n] and same(yours, torch.cat([found[n] for found in right]))
    )
    known = "" if of_the_first else next(swapped, "") or known_as(yours, atoms, name)
    of_all = not of_the_first and not known and one_for_all(mine, right, of)
    # the first schedule on which it shows
    k = next(k for k, (m, r) in enumerate(zip(mine, right, strict=True)) if not same(m[of], r[of]))
    kept = [i for i, value in enumerate(mine[k][of]) if value.isfinite()]
    expected_there, yours_there = (
        [rounded(found[k][of][i].item()) for i in kept] for found in (right, mine)
    )
    return Coefficient(
        of,
        name,
        [probes[k].at[i] for i in kept],
        expected_there,
        yours_there,
        known_as=known,
        of_the_first=of_the_first,
        of_all=of_all,
        alone=of in probes[0].further,
    )


def one_for_all(
    mine: Sequence[dict[str, Tensor]], right: Sequence[dict[str, Tensor]], of: str
) -> bool:
    """Whether each batch has one coefficient, no plain 2, say, where each picture has its own."""
    first = mine[0][of][0].item()
    return abs(first - round(first)) > TOLERANCE and all(
        same(m[of], m[of][:1].expand(len(m[of]))) and not same(r[of], r[of][:1].expand(len(r[of])))
        for m, r in zip(mine, right, strict=True)
    )


def rounded(value: float) -> float:
    """Without what computing adds to zero."""
    return 0.0 if abs(value) < ZERO else value


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two coefficients (B,) are one; what is not finite in the first is left out."""
    return bool(near(a, b)[a.isfinite()].all())


def near(a: Tensor, b: Tensor) -> Tensor:
    """Where two coefficients are as good as one."""
    size = max(1.0, b[b.isfinite()].abs().max().item()) if b.isfinite().any() else 1.0
    return (a - b).abs() <= TOLERANCE * b.abs() + ZERO * size


def known_as(yours: Tensor, atoms: Mapping[str, Tensor], wanted: str) -> str:
    """What a coefficient (B,) is in terms of `atoms`, or "".

    Of several ways to write it comes first the one that is nearest to `wanted`, then the shortest.
    """
    whole = yours.isfinite()
    yours = yours[whole]
    if bool((yours.abs() <= ZERO).all()):
        return "0"
    sign = "-" if bool((yours < 0).all()) else ""
    size = yours.abs() if sign else yours
    made = list(expressions({n: value[whole] for n, value in atoms.items()}))
    found = [name for names, values in made for name in matching(size, names, values)]
    for factor, written in ((0.5, "{} / 2"), (2.0, "2 {}")) if made and not found else ():
        plainest = (with_brackets(name) for name in matching(size / factor, *made[0]))
        found += [written.format(name) for name in plainest if name != "1"]
    strangers = {name: sum(atom in name and atom not in wanted for atom in atoms) for name in found}
    if atoms and torch.stack([*atoms.values()]).unique(dim=1).shape[1] < ENOUGH:
        # what a single t says may be chance
        found = [name for name in found if not strangers[name] or name in made[0][0]]
    best = min(found, key=lambda name: (strangers[name], len(name)), default="")
    return sign + with_brackets(best) if sign and best else best


def matching(yours: Tensor, names: Sequence[str], values: Tensor) -> Iterator[str]:
    """The names of those `values` (N, B) that are `yours` (B,)."""
    off = (values - yours).abs() > TOLERANCE * yours.abs() + ZERO
    for i in (~off & values.isfinite()).all(1).nonzero().flatten().tolist():
        yield names[i]


def expressions(atoms: Mapping[str, Tensor]) -> Iterator[tuple[list[str], Tensor]]:
    """What people make of these numbers (B,): roots, differences from 1, products, quotients.

    Yields:
        (names, values): N of each; the values are (N, B).
    """
    forms: dict[str, Tensor] = {}
    for name, value in atoms.items():
        forms |= {name: value, f"√{name}": value.sqrt()}
        forms |= {f"(1 - {name})": 1 - value, f"√(1 - {name})": (1 - value).sqrt()}
        forms |= {f"(1 - √{name})": 1 - value.sqrt(), f"(1 + {name})": 1 + value}
    if not forms:
        return
    singles, of_singles = ["1", *forms], torch.stack([value**0 for value in atoms.values()][:1])
    of_singles = torch.cat([of_singles, torch.stack([*forms.values()])])  # (N, B)
    yield [without_brackets(name) for name in singles], of_singles
    i, j = torch.triu_indices(len(forms), len(forms)) + 1
    pairs = [f"{singles[a]} {singles[b]}" for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    of_pairs = of_singles[i] * of_singles[j]
    yield pairs, of_pairs
    above, of_above = [*singles, *pairs], torch.cat([of_singles, of_pairs])
    for name, value in forms.items():
        yield [f"{one} / {name}" for one in above], of_above / value
    for name, value in zip(singles, of_singles, strict=True):
        yield [f"{name} / ({two})" for two in pairs], value / of_pairs


def without_brackets(name: str) -> str:
    """ "1 - ᾱ_t" of "(1 - ᾱ_t)"."""
    return name[1:-1] if name[0] == "(" else name


def with_brackets(name: str) -> str:
    """ "(1 - ᾱ_t)" of "1 - ᾱ_t"."""
    return f"({name})" if name.startswith(("1 - ", "1 + ")) else name


def told_apart(*values: float) -> list[str]:
    """Numbers with as many digits as it takes to see that they differ, four at least."""
    for digits in range(4, 12):
        words = [f"{value:.{digits}g}" for value in values]
        if len(set(words)) == len(words):
            break
    return [word.replace("-0", "0") if float(word) == 0 else word for word in words]


def sentence(found: Sequence[Coefficient]) -> str:
    """What is wrong with the learner's coefficients, at the picture where it shows."""
    i = found[0].plain()
    together = [one for one in found if one.at == found[0].at and one.is_wrong(i)]
    if len(together) > 2:  # too much for one sentence
        at = f"At {found[0].at[i]}:" if found[0].at[i] else "In every picture:"
        return "\n".join([at, *(f"• {one.in_words(i)}" for one in together)])
    words = ", and ".join(one.in_words(i) for one in together)
    first, *others = words.split("you multiply ")
    words = first + "you multiply " * bool(others) + "".join(others)
    where = found[0].at[i]
    return f"At {where} {words}." if where else f"{words[:1].upper()}{words[1:]}."


def rows_of(found: Sequence[Coefficient]) -> tuple[list[str], list[list[str | float]]]:
    """The coefficients as a table: its columns and its rows."""
    rows: list[list[str | float]] = []
    for one in found:
        what = one.of if one.alone else f"by which {one.of} is multiplied" if one.of else "added"
        wrong: dict[str, int] = {}  # a picture for each t
        for i, at in enumerate(one.at):
            if one.is_wrong(i):
                wrong.setdefault(at, i)
        shown = list(wrong.values())[:MAX_ROWS]
        rows += [[what, one.at[i], one.expected[i], one.yours[i]] for i in shown]
    return ["", "", "expected", "yours"], rows
