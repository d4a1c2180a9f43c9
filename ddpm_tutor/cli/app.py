"""The Typer application: its commands, and what happens when one fails."""

import ast
import errno
import inspect
import io
import logging
import os
import re
import sys
import traceback
import warnings
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from ddpm_tutor import __version__
from ddpm_tutor.cli import exercise
from ddpm_tutor.cli.advice import with_advice
from ddpm_tutor.cli.courses import CourseOption, no_course_before
from ddpm_tutor.cli.doctor import doctor
from ddpm_tutor.cli.edit import edit
from ddpm_tutor.cli.evaluate import evaluate
from ddpm_tutor.cli.gif import gif
from ddpm_tutor.cli.grade import grade
from ddpm_tutor.cli.info import info
from ddpm_tutor.cli.lesson import lesson
from ddpm_tutor.cli.lessons import lessons
from ddpm_tutor.cli.notebook import notebook
from ddpm_tutor.cli.page import page
from ddpm_tutor.cli.paper import paper
from ddpm_tutor.cli.report import report
from ddpm_tutor.cli.review import review
from ddpm_tutor.cli.sample import sample
from ddpm_tutor.cli.signals import signals_by_name
from ddpm_tutor.cli.train import train
from ddpm_tutor.cli.welcome import welcome as show_welcome
from ddpm_tutor.errors import (
    INTERRUPTED,
    DeviceWarning,
    Stopped,
    TutorError,
    first_sentence,
    is_device_error,
    is_out_of_memory,
)
from ddpm_tutor.screen.keyboard import is_terminal

NO_ROOM = (errno.ENOSPC, errno.EROFS)


class Commands(TyperGroup):
    """Turns what goes wrong into one or two lines and an exit code; --debug shows where."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with signals_by_name():
                return super().invoke(ctx)
        except TutorError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            complain(with_advice(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            # a terminal shows the keys as ^C, at the beginning of a line
            complain("\rInterrupted." if is_terminal(sys.stderr) else "Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except Stopped as stopped:
            complain(str(stopped))
            raise typer.Exit(128 + stopped.number) from None
        except BrokenPipeError:
            # the reader, such as `head`, has gone: so shall we, without a word
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if is_usage_error(error):
                speak_of_values(error)
                raise
            if ctx.params.get("debug"):
                raise
            complain(in_words(error))
            raise typer.Exit(1) from None


def in_words(error: Exception) -> str:
    """What to say of an error that no command foresaw."""
    if is_out_of_memory(error):
        return "Too little memory. Ask for less at once: a smaller --count or --width."
    if is_device_error(error):
        said = first_sentence(error)
        return f"The device cannot compute this: {said}.\nUse the CPU: --device cpu"
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"Cannot write: {error.strerror}. Make room, or write elsewhere."
    if isinstance(error, OSError) and error.filename is not None:
        return f"Cannot use {error.filename}: {error.strerror}. Name another file or folder."
    return (
        f"Unexpected {type(error).__name__}: {error}\n"
        "Add --debug to see where. Please report it if it looks like our mistake."
    )


def is_usage_error(error: Exception) -> bool:
    """Whether Typer reports this error itself: its own copy of click differs between versions."""
    return hasattr(error, "exit_code") and hasattr(error, "show")


def speak_of_values(error: Any) -> None:
    """Words a refused value as people would: since 0.29 Typer passes on what pydantic says."""
    said = getattr(error, "message", None)
    if isinstance(said, str):
        said = said.replace("Value error, ", "")
        error.message = re.sub(
            r"Input should be (.*?)(, unable to parse .*)?$", r"it must be \1.", said
        )


def speak_plainly() -> None:
    """Lets a terminal that knows no √ show a question mark, and one that is closed show nothing."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks about where it caches fonts
    # PyTorch shows call stacks of its own of errors that are told in a line
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> str:
        ours = issubclass(category, DeviceWarning)  # and meant for the learner
        return f"{message}\n" if ours else usual(message, category, *place, **named)

    warnings.formatwarning = plain


def complain(message: str) -> None:
    """A message on stderr."""
    typer.echo(message, err=True)


app = typer.Typer(
    cls=Commands,
    help="Step through Denoising Diffusion Probabilistic Models with a real model.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ddpm-tutor {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def welcome(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    course: CourseOption = None,
) -> None:
    """Step through Denoising Diffusion Probabilistic Models with a real model."""
    if ctx.invoked_subcommand is None:
        show_welcome(course)
    else:
        no_course_before(ctx)


app.command("lessons")(lessons)
app.command("lesson")(lesson)
app.add_typer(exercise.app, name="exercise")
for command in (
    paper, page, notebook, review, gif, edit, sample, train, evaluate, doctor, report, grade, info,
):  # fmt: skip
    app.command()(command)


def keep_help(commands: typer.Typer) -> None:
    """Gives each command its docstring as help; from the source where -OO has dropped it."""
    for command in commands.registered_commands:
        function = command.callback
        if function is not None and not function.__doc__:
            definition = ast.parse(inspect.getsource(function)).body[0]
            command.help = ast.get_docstring(cast(ast.FunctionDef, definition))


if sys.flags.optimize > 1:
    for commands in (app, exercise.app):
        keep_help(commands)
