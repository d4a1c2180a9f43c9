"""What people see when something is wrong, in their words, and which causes each may have."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ddpm_tutor.evaluation.diagnosis import RIGHT, load_table


@dataclass(frozen=True)
class Complaint:
    """A symptom in words."""

    title: str
    causes: tuple[str, ...]  # names, the likeliest first
    checks: tuple[str, ...] = ()  # what else to look at
    shows: bool = True  # whether drawings show it


COMPLAINTS = (
    Complaint(
        "Grey background, or a veil",
        ("range_grey", "clamped", "x_0_not_rescaled"),
        ("The schedule: ᾱ_T is to be 0.00004. β from 1e-4 to 0.02 belongs to T = 1000.",),
    ),
    Complaint(
        "All black",
        ("root_alpha_bar", "all_off_by_one"),
        ("Is there a NaN in the pictures? Print x.isfinite().all() after each step.",),
    ),
    Complaint(
        "Pure noise",
        ("always_T", "no_step", "upwards", "no_root"),
        (
            "Are the trained weights loaded, in eval mode, and averaged over enough steps?",
            "Is t told as in training: counted from 1, one for each picture, not divided by T?",
        ),
    ),
    Complaint(
        "Digits, but noise is left in them",
        ("x_0_no_root", "undertrained", "ddim_never_clean", "stops_early"),
        ("Where steps are skipped, σ² is β̃, not β: β puts back too much noise.",),
    ),
    Complaint(
        "Blown out: all pixels black or white",
        ("sign", "fresh_noise", "off_by_one"),
        ("Look at x.std() as t falls: it begins at 1, and stays between 0.5 and 1.1.",),
    ),
    Complaint(
        "Specks, or black on white",
        ("wrapped", "inverted"),
        ("Print the least and the greatest value of x_0: which of them is black, which white?",),
    ),
    Complaint(
        "Misshapen, faded or thin",
        ("x_0_not_rescaled", "ddim_no_root", "ddim_jump", "no_noise"),
    ),
    Complaint(
        "All the same, or other digits than those asked for",
        ("guidance_swapped", "away_from_the_label", "not_subtracted"),
        (
            "Is the seed set anew for each picture, or one x_T used for all?",
            "Do labels reach the network? Another one must change its answer to the same x_t.",
        ),
        shows=False,
    ),
    Complaint(
        "The loss is NaN, flat, or too high",
        ("no_zero_grad", "fresh_noise", "summed", "target_x_0"),
        (
            "NaN: a third of the learning rate, a warm-up, gradients clipped to a norm of 1.",
            "Stays at 1.0: that is what saying zero costs. Does the network see x_t, with that ε?",
            "Stays at 0.1: is it x_0 that is predicted, does the network get t?",
        ),
        shows=False,
    ),
)


def groups_of(complaint: Complaint, pictures: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drawings of each group that a complaint's causes are in, by the name of the first cause."""
    if not complaint.shows:
        return {}
    found: dict[str, Tensor] = {}
    seen = set()
    tell = [group for group in load_table().groups if RIGHT not in group.causes]
    groups = {cause: group.name for group in tell for cause in group.causes}
    for cause in complaint.causes:
        group = groups.get(cause)
        if group is not None and group not in seen:
            seen.add(group)
            found[cause] = pictures[group]
    return found


def picture_of(complaint: Complaint, pictures: Mapping[str, Tensor]) -> Tensor | None:
    """Drawings that show a complaint, (PICTURED, 1, 28, 28); None where none does."""
    return next(iter(groups_of(complaint, pictures).values()), None)
