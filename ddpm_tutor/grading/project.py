"""Somebody's own project, tried piece by piece in its own conventions, and its pieces together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ddpm_tutor.grading.project_arguments import Piece, Place
from ddpm_tutor.grading.project_encodings import try_gather, try_time_encoding
from ddpm_tutor.grading.project_files import (
    Project,
    Source,
    TookTooLong,
    run_project,
    why_stopped,
)
from ddpm_tutor.grading.project_guidance import try_guidance
from ddpm_tutor.grading.project_loss import Training, try_loss
from ddpm_tutor.grading.project_match import Match
from ddpm_tutor.grading.project_names import PIECES, is_ddim
from ddpm_tutor.grading.project_parts import pieces_of, places_of
from ddpm_tutor.grading.project_sampler import Loop, try_sampler
from ddpm_tutor.grading.project_schedule import ALWAYS_MEANT, OwnSchedule, WrongArray, canonical
from ddpm_tutor.grading.project_steps import try_step
from ddpm_tutor.grading.project_trials import MEND_SCHEDULE, checking_of, try_equation
from ddpm_tutor.grading.project_verdict import Examined, Finding
from ddpm_tutor.grading.recorded_chance import Chance, recording

# what there is to a model, in words, by piece: those that are told where they are not found
WANTED = {
    "schedule": "the noise schedule (betas)",
    "q_sample": "q_sample (Eq. 4)",
    "loss": "the loss (Eq. 14)",
    "step": "the reverse step (Algorithm 2, line 4)",
    "sampler": "the sampling loop (Algorithm 2)",
}
Noted = Callable[[Examined], None]


def examine(
    source: Source, path: Path, mapped: Mapping[str, str], noted: Noted = lambda _: None
) -> Examined:
    """Runs a file as far as it defines things, and tries the pieces that are found in it.

    Args:
        mapped: what the file calls a piece, by the piece.
        noted: is given what has been found so far, after each piece.
    """
    with recording(Chance()):
        project = run_project(source, path)
    places, failed = places_of(project, mapped)
    pieces = pieces_of(places, project, mapped)
    findings = [f for place in places if (f := of_schedule(place, places))]
    told = Examined(
        convention_of(places), findings, left_out=project.left_out,
        stood_in=sorted(project.stood_in), failed=failed,
    )  # fmt: skip
    told = replace(told, failed=[*failed, *not_there(mapped, pieces, project)])
    noted(replace(told, stopped="It was stopped at the first piece."))
    for place in places:
        of_place = [piece for piece in pieces if piece.place is place]
        findings += findings_of(of_place, project)
        noted(replace(told, findings=findings, stopped="It was stopped before all was tried."))
    kinds = {finding.kind for finding in findings}
    # what is written out in another piece is seen there
    kinds |= {"step"} if "sampler" in kinds else set()
    kinds |= {"q_sample"} if "loss" in kinds else set()
    missing = {kind: words for kind, words in WANTED.items() if kind not in kinds}
    convention = told.convention
    if convention and len(counts := {counted(f) for f in findings if f.shift is not None}) == 1:
        convention = f"t from {counts.pop()}, {convention}"
    return replace(told, convention=convention, findings=in_order(findings), missing=missing)


def load_exercises() -> None:
    """Reads the exercises whose checks are used, and what is right in each."""
    for number in (2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 24):
        checking_of(number)


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in the order in which a model is made."""
    order = ["schedule", *PIECES, "together"]
    return sorted(findings, key=lambda finding: order.index(finding.kind))


def not_there(mapped: Mapping[str, str], pieces: Sequence[Piece], project: Project) -> list[str]:
    """Names of --map that stand for nothing."""
    found = {piece.kind for piece in pieces}
    return [
        f"There is no {name} in {project.path.name} that could be {kind}."
        for kind, name in mapped.items()
        if kind not in found and kind in PIECES
    ]


def convention_of(places: Sequence[Place]) -> str:
    """The schedule in words, the first that was found."""
    own = next((place.schedule for place in places if place.schedule), None)
    return own.in_words() if own else ""


def of_schedule(place: Place, places: Sequence[Place]) -> Finding | None:
    """What to say of a place's schedule; None where it has none of its own."""
    own = place.schedule
    earlier = places[: places.index(place)]
    if place.impossible and not any(p.schedule or p.impossible for p in earlier):
        says, name = place.impossible.in_words(), place.impossible.name
        return Finding("schedule", name, "differs", says, exercise=2)
    if own is None or any(other.schedule is own for other in earlier):
        return None
    owners = [p.name for p in places if p.schedule is own and p.owns and p.name]
    name = ", ".join(own.named.values())
    if owners:
        name = f"{owners[0]}: {name}"
    notes = tuple(own.notes())
    if not own.wrong:
        return Finding("schedule", name, "right", own.in_words(), notes=notes)
    says = " ".join(one.in_words() for one in first_causes(own))
    return Finding("schedule", name, "differs", says, exercise=2, notes=notes)


def first_causes(own: OwnSchedule) -> list[WrongArray]:
    """The wrong arrays that no other one explains: those made of a wrong ᾱ are left out."""
    meant = [one for one in own.wrong if canonical(one.name) in ALWAYS_MEANT]
    return list(meant or own.wrong)


def findings_of(pieces: Sequence[Piece], project: Project) -> list[Finding]:
    """Tries the pieces of one place, and how they go together."""
    if pieces and (own := pieces[0].place.schedule) and own.is_unusable:
        return [Finding(p.kind, p.name, "not called", MEND_SCHEDULE, p.line) for p in pieces]
    found: list[Finding] = []
    steps: list[tuple[Finding, Match | None]] = []
    loop: Loop | None = None
    training: Training | None = None
    by_kind = {kind: [p for p in pieces if p.kind == kind] for kind in PIECES}
    for kind in ("q_sample", "predict_x_0", "posterior"):
        found += [tried(p, lambda p=p: try_equation(p, project)) for p in by_kind[kind]]  # type: ignore[misc]
    q = next((f for f in found if f.kind == "q_sample"), None)
    for piece in by_kind["step"]:
        steps.append(try_step_safely(piece, project))
    found += [finding for finding, _ in steps]
    step = step_of("", steps)
    for piece in by_kind["sampler"]:
        try:
            finding, loop_here = try_sampler(
                piece, project, *(step_of(piece.name, steps) or (None, None))
            )
        except (Exception, TookTooLong) as error:
            finding, loop_here = gave_up(piece, error), Loop()
        found.append(finding)
        if loop_here.guidance is not None:
            found.append(loop_here.guidance)
        loop = loop or (loop_here if finding.state == "right" else None)
    match = (step and step[1]) or (loop and loop.match)
    predicts = match.predicts if match and match.mean == (0, "") else ""
    for piece in by_kind["loss"]:
        try:
            finding, training_here = try_loss(piece, project, q, predicts)
        except (Exception, TookTooLong) as error:
            finding, training_here = gave_up(piece, error), Training("", None, None)
        found.append(finding)
        training = training or (training_here if finding.state == "right" else None)
    for piece in by_kind["time_encoding"]:
        try:
            found += [one] if (one := try_time_encoding(piece)) is not None else []
        except (Exception, TookTooLong) as error:
            found.append(gave_up(piece, error))
    found += [tried(p, lambda p=p: try_gather(p)) for p in by_kind["gather"]]  # type: ignore[misc]
    found += [tried(p, lambda p=p: try_guidance(p, project)) for p in by_kind["guidance"]]  # type: ignore[misc]
    return found + together(found, training, loop)


def try_step_safely(piece: Piece, project: Project) -> tuple[Finding, Match | None]:
    """Tries a step; whatever else goes wrong on the way is told as not tried."""
    try:
        return try_step(piece, project)
    except (Exception, TookTooLong) as error:
        return gave_up(piece, error), None


def step_of(
    name: str, steps: Sequence[tuple[Finding, Match | None]]
) -> tuple[Finding, Match | None] | None:
    """The step that a loop of that name is taken to use, one of DDIM or of Algorithm 2: the first
    that could be tried.
    """
    alike = [one for one in steps if is_ddim(one[0].name) == is_ddim(name)]
    return next(
        (one for one in alike if one[0].state != "not called"), alike[-1] if alike else None
    )


def tried(piece: Piece, how: Callable[[], Finding]) -> Finding:
    """A finding; whatever else goes wrong on the way is told as not tried."""
    try:
        return how()
    except (Exception, TookTooLong) as error:
        return gave_up(piece, error)


def gave_up(piece: Piece, error: BaseException) -> Finding:
    """Of a piece whose trial itself did not come to an end."""
    says = f"It could not be tried ({why_stopped(error)})."
    return Finding(piece.kind, piece.name, "not called", says, piece.line)


def together(
    findings: Sequence[Finding], training: Training | None, loop: Loop | None
) -> list[Finding]:
    """Whether the pieces count t alike."""
    shifts = {f.kind: f for f in findings if f.state == "right" and f.shift is not None}
    q, step, sampler = (shifts.get(kind) for kind in ("q_sample", "step", "sampler"))
    if training and loop and (told := told_differently(training, loop)):
        return [told]
    if q and step and q.shift != step.shift:
        says = (
            f"t is off by one: {q.name} counts t from {counted(q)}, {step.name} from "
            f"{counted(step)}. Index t means another step in the one than in the other."
        )
        return [Finding("together", f"{q.name} and {step.name}", "mistake", says,
                        mistake="off_by_one", exercise=2)]  # fmt: skip
    if q and sampler and q.shift != sampler.shift and training is None:
        says = (
            f"t is off by one: {q.name} counts t from {counted(q)}, {sampler.name} from "
            f"{counted(sampler)}."
        )
        return [Finding("together", f"{q.name} and {sampler.name}", "mistake", says,
                        mistake="off_by_one", exercise=2)]  # fmt: skip
    return []


def told_differently(training: Training, loop: Loop) -> Finding | None:
    """Whether the network is told t in another way in sampling than in training."""
    if training.told is None or not training.scale:
        return None
    says = "The network is told another t in sampling than in training: "
    name = ""
    if abs(loop.scale / training.scale - 1) > 0.01:
        says += f"{times(training.scale)} is what it is trained with, {times(loop.scale)} what it "
        says += "is asked with."
    else:
        # what the network is told at the paper's step s is (s - this) times the scale
        trained = round((training.shift or 0) - training.told / training.scale)
        if loop.shift is None or trained == loop.shift:
            return None
        name = "told_one_less" if loop.shift - trained == 1 else ""
        says += (
            f"at the noise of the 10th step it is trained with t = {10 - trained}, and asked with "
            f"t = {10 - loop.shift}."
        )
    return Finding(
        "together", "training and sampling", "differs", says, mistake=name, exercise=9
    )  # fmt: skip


def times(scale: float) -> str:
    """t times a number, in words."""
    if abs(scale - 1) < 1e-3:
        return "t"
    return f"t / {round(1 / scale)}" if scale < 0.5 else f"{scale:g} t"


def counted(found: Finding) -> int:
    """From where a function counts t, in the project's own arrays."""
    return 1 - (found.shift or 0)
