"""Known mistakes: to recognise one in a learner's function, and to draw with one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ddpm_tutor.course.exercise import Exercise, Mistake, all_exercises
from ddpm_tutor.errors import UsageError
from ddpm_tutor.grading.drawing import draw_with
from ddpm_tutor.science.sampling import ALGORITHM_2, ChainState, Method, SamplingOptions
from ddpm_tutor.storage.checkpoints import Checkpoint


def recognised(
    exercise: Exercise, does_the_same: Callable[[Callable[..., Any]], bool]
) -> Mistake | None:
    """The known wrong version that does the same as the learner's function, if there is one.

    Args:
        does_the_same: says of a function whether it does, in every case that was tried.
    """
    for mistake in exercise.mistakes:
        if does_the_same(exercise.load(mistake.code)):
            return mistake
    return None


@dataclass(frozen=True)
class Bug:
    """A known mistake that shows in a drawn digit."""

    exercise: Exercise
    mistake: Mistake

    @property
    def name(self) -> str:
        return self.mistake.name

    @property
    def method(self) -> Method:
        """The sampler that makes it."""
        return "ddim" if self.exercise.function == "ddim_step" else "ddpm"

    def draw(
        self,
        loaded: Checkpoint,
        labels: Tensor | None,
        options: SamplingOptions = ALGORITHM_2,
        *,
        seed: int,
        indices: Sequence[int],
        wrong: bool = True,
    ) -> Iterator[ChainState]:
        """`draw_with` this mistake, or with the solution in its place: all else is the same.

        What is not finite is drawn black.
        """
        code = self.mistake.code if wrong else self.exercise.solution
        # the estimate of x_0 counts only where it is clipped, and the noise follows from it
        clip = True if self.exercise.function == "predict_x_0" else None
        states = draw_with(
            {self.exercise.function: self.exercise.load(code)}, loaded.model, loaded.schedule,
            labels, replace(options, method=self.method, clip=clip), seed=seed, indices=indices,
        )  # fmt: skip
        for t, x_t, x_0_hat in states:
            yield ChainState(t, x_t.nan_to_num(-1.0), x_0_hat.nan_to_num(-1.0))


def bugs() -> list[Bug]:
    """The known mistakes of all exercises that show in a drawn digit."""
    return [
        Bug(exercise, mistake)
        for exercise in all_exercises()
        for mistake in exercise.mistakes
        if mistake.when == "draws"
    ]


def find_bug(name: str) -> Bug:
    """The known mistake of that name.

    Raises:
        UsageError: there is none.
    """
    for bug in bugs():
        if bug.name == name:
            return bug
    raise UsageError(f"There is no mistake {name!r}. List them: ddpm-tutor gif --bug list")
