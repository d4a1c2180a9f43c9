"""What answers are worth: 42 points of the assignment in all."""

from ddpm_tutor.course.lesson import Lesson
from ddpm_tutor.course.questions import questions


def earned(lesson: Lesson, answers: dict[str, bool]) -> float:
    """The points of the questions that were answered rightly."""
    return sum(q.points for q in questions(lesson) if answers.get(q.key))


def worth(lesson: Lesson) -> float:
    """The points of all questions of the lesson."""
    return sum(q.points for q in questions(lesson))
