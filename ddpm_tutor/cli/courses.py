"""What the commands of lessons and exercises share: the course that --course names."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ddpm_tutor.cli.shared_options import a_path
from ddpm_tutor.commands import command
from ddpm_tutor.errors import UsageError

if TYPE_CHECKING:
    from ddpm_tutor.course.courses import Course

CourseOption = Annotated[
    str | None,
    typer.Option(
        "--course",
        metavar="DIR",
        callback=a_path,
        help="A folder with lessons and exercises of your own; '' for none.",
        envvar="DDPM_TUTOR_COURSE",
        show_envvar=True,
        show_default=False,
    ),
]


def no_course_before(ctx: typer.Context) -> None:
    """Refuses a --course that stands before the command that is to take it.

    Raises:
        UsageError: it does.
    """
    source = ctx.get_parameter_source("course")
    if source and source.name == "COMMANDLINE":
        named = ctx.params["course"]
        again = command(ctx.invoked_subcommand, "...", "--course", Path(named))
        raise UsageError(f"Put --course behind the command: {again}")


def chosen_course(named: str | None) -> "Course | None":
    """The course that --course names; None where it names none.

    Raises:
        UsageError: there is nothing in that folder.
    """
    from ddpm_tutor.course.courses import open_course

    return open_course(Path(named)) if named else None


def courses_to_list(named: str | None, *, brief: bool = False) -> "list[Course]":
    """The course that --course names, and what came with the package; `brief`: its lessons."""
    from ddpm_tutor.course.courses import own_course

    chosen, own = chosen_course(named), own_course(brief=brief)
    return [own] if chosen is None else [chosen, own]


def say_left_out(courses: "list[Course]") -> bool:
    """Names the files that no list can show, on stderr; whether there are any."""
    bad = [each for course in courses for each in course.left_out]
    for each in bad:
        print(f"Left out: {each.why}", file=sys.stderr)
    return bool(bad)
