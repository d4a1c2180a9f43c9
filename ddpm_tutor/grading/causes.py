"""What is known of the causes of bad drawings: what they are, and where they are taught and tried.

A cause is a known mistake of an exercise, by its name, or one of those here: mistakes in showing
pictures, in labels and in t, which no exercise is about, and too short a training.
"""

from dataclasses import dataclass
from functools import cache

from ddpm_tutor.commands import command
from ddpm_tutor.course.exercise import Exercise, Mistake, all_exercises
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.evaluation.diagnosis import RIGHT

# the step of a lesson that teaches what an exercise asks for, by the exercise's number
TAUGHT = {
    2: (2, "Two factors"),
    3: (2, "A training batch"),
    4: (3, "Telling it the time"),
    5: (2, "Going back, if you knew the noise"),
    6: (3, "Algorithm 1, line by line"),
    7: (4, "If you knew the picture"),
    8: (4, "Write line 4"),
    9: (4, "All thousand steps"),
    11: (4, "The right way without noise"),
    14: (5, "What guidance does"),
}
OF_TRAINING = (6, 3)  # exercises whose mistakes show in a loss; of equal names the first's is meant
RANGE = (1, "From -1 to +1")


@dataclass(frozen=True)
class Cause:
    """A cause of bad drawings."""

    name: str
    what: str  # what is wrong, in a sentence
    check: str  # what to look at in one's own code
    exercise: Exercise | None = None
    draws: bool = False  # whether `gif --bug` draws with it
    step: tuple[int, str] | None = None  # the number of a lesson, and the title of a step

    def leads(self) -> dict[str, str]:
        """What to type next, by what for."""
        found = {}
        step = self.step or (TAUGHT.get(self.exercise.number) if self.exercise else None)
        if step:
            found["Read"] = lesson_command(*step)
        if self.exercise:
            found["Write it"] = command("exercise", "start", self.exercise.number)
        if self.draws:
            words = ["gif", "--digit", 7, "--bug", self.name]
            if self.exercise and self.exercise.function == "ddim_step":
                words += ["--steps", 50]
            found["See it"] = command(*words)
        return found


OTHERS = {
    "range_grey": Cause(
        "range_grey",
        "Values in [0, 1] are taken for [-1, 1]: black, 0, comes out grey.",
        "Train on x / 127.5 - 1 and show (x + 1) / 2. Is it done once each: not never, not twice?",
        step=RANGE,
    ),
    "negative_cut": Cause(
        "negative_cut",
        "Values in [-1, 1] are shown as if they were in [0, 1]: all below 0 is cut off to black.",
        "Show (x + 1) / 2, clamped to [0, 1]. Strokes lose their soft edges otherwise.",
        step=RANGE,
    ),
    "wrapped": Cause(
        "wrapped",
        "Values beyond the range wrap round as bytes: a little over white comes out black.",
        "Clamp to [-1, 1] before bytes are made: (x.clamp(-1, 1) + 1) * 127.5, and then uint8.",
        step=RANGE,
    ),
    "inverted": Cause(
        "inverted",
        "Black and white are swapped: MNIST's digits are white on black.",
        "Is the colour map the right one (cmap='gray', not 'binary'), or the sign of x_0?",
        step=RANGE,
    ),
    "undertrained": Cause(
        "undertrained",
        "The network has not learned for long enough: so drew the shipped one in its first epoch.",
        "Look at the loss: ddpm-tutor doctor loss.csv. Train for more epochs, and draw with the "
        "averaged weights once there are a thousand steps.",
        step=(3, "Two losses"),
    ),
    RIGHT: Cause(RIGHT, "Nothing is wrong that can be seen.", ""),
}


# what pixels do not show, but labels beside them, or a loss
UNSEEN = {
    "label_ignored": Cause(
        "label_ignored",
        "The label does not reach the network, or has not been learned: one in ten is right.",
        "Does another label change the prediction for the same x_t? Is it passed while training, "
        "and dropped in one of ten, not in all?",
        step=(5, "Does the label help?"),
    ),
    "label_order": Cause(
        "label_order",
        "Labels and pictures are not in one order: shuffled, sorted, or saved apart.",
        "Save x, label pairs as they were drawn; do not shuffle one alone.",
        step=(5, "Training with labels"),
    ),
    "label_names": Cause(
        "label_names",
        "Each label stands for another digit: a table of names, or counting, is off.",
        "Print a few (label, picture) pairs of the training set. Are labels 0 to 9, unsorted?",
        step=(5, "A label is a vector"),
    ),
    "t_large": Cause(
        "t_large",
        "t is always large, or always T: there x_t is all but the noise, and easy to predict.",
        "t = torch.randint(1, T + 1, (batch,)): one for each picture, drawn anew in each step.",
        step=TAUGHT[3],
    ),
}

exercises = cache(all_exercises)  # each is asked for by many causes
lessons = cache(all_lessons)


def find_cause(name: str) -> Cause:
    """The cause of that name.

    Raises:
        KeyError: there is none.
    """
    if name in OTHERS or name in UNSEEN:
        return OTHERS.get(name) or UNSEEN[name]
    for exercise in exercises():
        for mistake in exercise.mistakes:
            if mistake.name == name and mistake.when == "draws":
                return of_mistake(exercise, mistake)
    for number in OF_TRAINING:
        exercise = next(e for e in exercises() if e.number == number)
        for mistake in exercise.mistakes:
            if mistake.name == name:
                return of_mistake(exercise, mistake)
    raise KeyError(name)


def cause_of(number: int, name: str) -> Cause:
    """A known mistake of the exercise of that number as a cause; without a name, any slip in what
    that exercise asks for.
    """
    exercise = next(e for e in exercises() if e.number == number)
    for mistake in exercise.mistakes:
        if mistake.name == name:
            return of_mistake(exercise, mistake)
    return Cause("", "", "", exercise, step=TAUGHT.get(number))


def of_mistake(exercise: Exercise, mistake: Mistake) -> Cause:
    """A known mistake as a cause."""
    check = f"Compare your {exercise.function} with exercise {exercise.number}: {exercise.title}."
    return Cause(mistake.name, mistake.what, check, exercise, mistake.when == "draws")


def lesson_command(number: int, title: str) -> str:
    """The command that opens a lesson at the step of that title, or at its start without one."""
    lesson = next(lesson for lesson in lessons() if lesson.number == number)
    step = next((i for i, s in enumerate(lesson.steps, 1) if s.title == title), 1)
    return command("lesson", number, *(["--from", step] if step > 1 else []))
