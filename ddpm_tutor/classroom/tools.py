"""What a lesson file uses of the classroom: `from ddpm_tutor.classroom.tools import show, ...`."""

from ddpm_tutor.classroom.questions import ask_choice, ask_number
from ddpm_tutor.classroom.session import (
    note,
    save_film,
    save_grid,
    save_moments,
    save_strip,
    say,
    show,
    show_curves,
    show_download,
    show_images,
    show_runs,
    show_table,
    so_far,
    track,
)
from ddpm_tutor.grading.known_mistakes import find_bug
from ddpm_tutor.pictures.figures import figure, loss_curve, sheet
from ddpm_tutor.pictures.film_strips import moment_name
from ddpm_tutor.pictures.films import FRAMES, frames_of, noising
from ddpm_tutor.screen.bits import PUBLISHED
from ddpm_tutor.screen.curves import Curves

__all__ = [
    "FRAMES",
    "PUBLISHED",
    "Curves",
    "ask_choice",
    "ask_number",
    "figure",
    "find_bug",
    "frames_of",
    "loss_curve",
    "moment_name",
    "noising",
    "note",
    "save_film",
    "save_grid",
    "save_moments",
    "save_strip",
    "say",
    "sheet",
    "show",
    "show_curves",
    "show_download",
    "show_images",
    "show_runs",
    "show_table",
    "so_far",
    "track",
]
