"""What answers are worth: 42 points of the assignment in all."""

from ddpm_tutor.course.lesson import Lesson
from ddpm_tutor.course.questions import Question, questions


def earned(lesson: Lesson, answers: dict[str, bool]) -> float:
    """The points of the questions that were answered rightly."""
    return sum(q.points for q in questions(lesson) if answers.get(q.key))


def worth(lesson: Lesson) -> float:
    """The points of all questions of the lesson."""
    return sum(q.points for q in questions(lesson))


def open_questions(lesson: Lesson, answers: dict[str, bool]) -> list[Question]:
    """The questions of the lesson whose points are still to be had, in its order."""
    return [q for q in questions(lesson) if q.points and not answers.get(q.key)]
