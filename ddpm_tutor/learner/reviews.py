"""When a question is asked again: the longer it has stayed, the later."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from random import Random

from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.questions import questions
from ddpm_tutor.course.review import (
    Item,
    all_items,
    in_place_of,
    items_of_review,
    review_pages,
    stands_alone,
)
from ddpm_tutor.learner.progress import (
    Answer,
    LessonProgress,
    Progress,
    Review,
    at,
    change_progress,
    now,
)

DAYS = (1, 3, 7, 16, 35, 80)  # to wait after so many right answers in a row
SLACK = timedelta(days=1)  # a clock may be so far off, and no more


def due_at(review: Review) -> datetime | None:
    """When its question is due; None for at once."""
    if not review.when:
        return None
    return at(review.when) + timedelta(days=DAYS[min(review.successes, len(DAYS) - 1)])


def is_due(review: Review, moment: datetime) -> bool:
    """Whether its question is due.

    One that was asked in the future is: the clock was wrong then, or is now.
    """
    due = due_at(review)
    return due is None or moment >= due or at(review.when) > moment + SLACK


def after(review: Review, right: bool, when: str) -> Review:
    """What is kept after another answer. One that comes before it is due makes no wait longer."""
    if not right:
        return Review(0, when)
    return Review(review.successes + 1, when) if is_due(review, at(when)) else review


def standing(
    item: Item, progress: Progress, finished: set[int], missed: Mapping[str, str]
) -> Review | None:
    """How well a question stays; None where the learner has not come to it.

    Before its first review that follows from the last answer in the lesson: one that was missed or
    skipped is due at once.

    Args:
        finished: the numbers of the lessons that are done.
        missed: see `missed_in_lessons`.
    """
    kept = progress.reviews.get(item.key)
    if not item.name:
        if item.key in missed and (kept is None or missed[item.key] > kept.when):
            return Review()
        read = progress.lessons.get(f"paper/{'_'.join(map(str, item.place[1:]))}")
        come_to = bool(finished & {*item.taught}) or bool(read and read.finished)
        return kept or (Review() if come_to else None)
    mine, key = progress.lesson(item.name), item.question.key
    if key not in mine.answers:
        return kept
    last = last_answer(mine, key)
    if kept and (last.right or last.when <= kept.when):
        return kept
    return Review(1, when_of(last)) if last.right else Review()


def last_answer(mine: LessonProgress, key: str) -> Answer:
    """The last answer to a question of a lesson that has been answered."""
    return mine.given.get(key, [Answer("", mine.answers[key], "", True)])[-1]


def missed_in_lessons(progress: Progress) -> dict[str, str]:
    """The keys of questions made for review that stand for one that was missed in a lesson.

    Returns:
        when it was missed, in UTC; "" where that is not known.
    """
    made = [item for page in review_pages() for item in items_of_review(page)]
    found: dict[str, str] = {}
    for lesson in all_lessons():
        mine = progress.lessons.get(lesson.key)
        if mine is None or not mine.answers:
            continue
        for question in questions(lesson):
            if question.key not in mine.answers or stands_alone(question):
                continue
            last = last_answer(mine, question.key)
            item = None if last.right else in_place_of(lesson, question, made)
            if item:
                found[item.key] = max(when_of(last), found.get(item.key, ""))
    return found


def when_of(answer: Answer) -> str:
    """When it was given; "" where that cannot be read."""
    with contextlib.suppress(ValueError):
        at(answer.when)
        return answer.when
    return ""


def learned(progress: Progress) -> Iterator[tuple[Item, Review]]:
    """The questions that the learner has come to, in a page or a review; how well each stays."""
    begun = {name for name, mine in progress.lessons.items() if mine.answers or mine.finished}
    begun |= {key.partition(": ")[0] for key in progress.reviews}  # `review --all` asks any
    if not begun:
        return
    finished = {lesson.number for lesson in all_lessons() if progress.lesson(lesson.key).finished}
    missed = missed_in_lessons(progress)
    for item in all_items(lambda name: name in begun):
        review = standing(item, progress, finished, missed)
        if review is not None:
            yield item, review


def due_items(progress: Progress, moment: datetime) -> list[tuple[Item, Review]]:
    """The questions that are due at this moment."""
    return [(item, review) for item, review in learned(progress) if is_due(review, moment)]


def in_order(
    due: Iterable[tuple[Item, Review]], progress: Progress, random: Random
) -> list[tuple[Item, Review]]:
    """What was missed comes first, then what is due again, then what is new; else by chance."""
    missed = missed_in_lessons(progress)

    def rank(pair: tuple[Item, Review]) -> tuple[int, float]:
        item, review = pair
        known = item.key in (progress.reviews.keys() | missed) or bool(item.name)
        return (0 if known and review.successes == 0 else 1 if known else 2), random.random()

    return sorted(due, key=rank)


def answered(item: Item, before: Review, right: bool, when: str = "") -> None:
    """Keeps that a question was answered in a review.

    Args:
        before: how well it stayed when it was chosen; another terminal may have asked it since.
        when: UTC, as `now` gives it, which is also the default.
    """
    when = when or now()

    def change(progress: Progress) -> None:
        known = progress.reviews.get(item.key, before) if before.when else before
        progress.reviews[item.key] = after(known, right, when)

    change_progress(change)
