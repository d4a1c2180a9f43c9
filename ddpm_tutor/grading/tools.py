"""What an exercise file uses: `from ddpm_tutor.grading.tools import a_digit, ...`."""

from ddpm_tutor.grading.coefficients import Probe, fit, schedule_at
from ddpm_tutor.grading.drawing import quick_drawing
from ddpm_tutor.grading.refusals import refuse_other_numbers
from ddpm_tutor.grading.trials import Draw, WrongKind, a_digit, copied, named, noise_of

__all__ = [
    "Draw",
    "Probe",
    "WrongKind",
    "a_digit",
    "copied",
    "fit",
    "named",
    "noise_of",
    "quick_drawing",
    "refuse_other_numbers",
    "schedule_at",
]
