"""What an exercise file uses: `from ddpm_tutor.grading.tools import a_digit, ...`."""

from ddpm_tutor.grading.coefficients import Probe, fit, schedule_at
from ddpm_tutor.grading.drawing import quick_drawing
from ddpm_tutor.grading.loops import asked_at, moments_of, steps_in_words
from ddpm_tutor.grading.refusals import refuse_other_numbers, refuse_other_rows
from ddpm_tutor.grading.trials import Draw, WrongKind, a_digit, copied, named, noise_of

__all__ = [
    "Draw",
    "Probe",
    "WrongKind",
    "a_digit",
    "asked_at",
    "copied",
    "fit",
    "moments_of",
    "named",
    "noise_of",
    "quick_drawing",
    "refuse_other_numbers",
    "refuse_other_rows",
    "schedule_at",
    "steps_in_words",
]
