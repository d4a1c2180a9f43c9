"""What the learner has done: where each lesson was left, and which answers were right."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import replacing

VERSION = 1


@dataclass
class LessonProgress:
    """Progress in one lesson."""

    step: int = 1  # where to go on, from 1
    finished: bool = False
    answers: dict[str, bool] = field(default_factory=dict)  # question -> answered rightly


@dataclass
class Progress:
    """The learner's progress in all lessons, kept in a small JSON file."""

    lessons: dict[str, LessonProgress] = field(default_factory=dict)

    def lesson(self, name: str) -> LessonProgress:
        """Progress in the lesson whose file is called `name`."""
        return self.lessons.setdefault(name, LessonProgress())


def progress_file() -> Path:
    """Where progress is kept for this user."""
    from platformdirs import user_data_path

    return user_data_path("ddpm-tutor") / "progress.json"


def load_progress() -> Progress:
    """The progress so far; none where there is no file.

    A file that cannot be read is set aside as progress.json.old, not overwritten.
    """
    path = progress_file()
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["version"] != VERSION:
            raise ValueError("unknown version")
        return Progress({k: LessonProgress(**v) for k, v in saved["lessons"].items()})
    except OSError:
        return Progress()
    except (ValueError, KeyError, TypeError, AttributeError):
        path.replace(path.with_suffix(".json.old"))
        return Progress()


def save_progress(progress: Progress) -> None:
    """Writes the progress, whole or not at all. Where that cannot be, a lesson still goes on."""
    try:
        with replacing(progress_file()) as temporary:
            text = json.dumps({"version": VERSION, **asdict(progress)}, indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")
    except TutorError:
        return


class Bookmark:
    """A learner's place in one lesson; each step and each answer is kept as it comes."""

    def __init__(self, name: str) -> None:
        """The place in the lesson whose file is called `name`."""
        self.progress = load_progress()
        self.lesson = self.progress.lesson(name)
        self.told: set[str] = set()  # questions whose answer was shown in this sitting

    def at_step(self, number: int) -> None:
        """The learner has come to this step; opening a lesson is not yet starting over."""
        if number > 1:
            self.lesson.step = number
            save_progress(self.progress)

    def answered(self, question: str, right: bool) -> bool:
        """The learner has answered, or skipped the question, which tells the answer as well.

        The first answer of a sitting counts, and what was earned stays.

        Returns:
            whether the question's points are earned.
        """
        earned = self.lesson.answers.get(question, False)
        if question not in self.told:
            self.told.add(question)
            earned = self.lesson.answers[question] = earned or right
            save_progress(self.progress)
        return earned

    def finished(self) -> None:
        """The learner has come to the end: the next time starts over."""
        self.lesson.step, self.lesson.finished = 1, True
        save_progress(self.progress)
