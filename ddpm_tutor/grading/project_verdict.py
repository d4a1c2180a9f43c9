"""What a trial of somebody's project has found, in a form that passes between processes."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

# it is right; it does what a known mistake does; it differs, in no known way; it stops with an
# error; it is not known how to call it
State = Literal["right", "mistake", "differs", "failed", "not called"]
FAULTS = ("mistake", "differs", "failed")


@dataclass(frozen=True)
class Finding:
    """How one piece did."""

    kind: str  # one of `PIECES`, or "schedule", or "together"
    name: str  # as the learner calls it
    state: State
    says: str
    line: int | None = None
    mistake: str = ""  # the name of the known mistake
    exercise: int = 0  # whose mistake that is, or that asks for the same
    leads_to: str = ""  # what comes of it
    numbers: str = ""  # where it shows
    notes: tuple[str, ...] = ()  # its conventions, and what is not wrong but to be known
    shift: int | None = None  # the paper's step is its t plus this

    @property
    def is_fault(self) -> bool:
        """Whether something is to be mended."""
        return self.state in FAULTS


@dataclass(frozen=True)
class Examined:
    """How a file did."""

    convention: str  # "t from 0, T = 1000, β from 0.0001 to 0.02, linear"
    findings: list[Finding]
    missing: dict[str, str] = field(default_factory=dict)  # pieces not found, in words
    left_out: list[tuple[int, str]] = field(default_factory=list)  # lines that were not run
    stood_in: list[str] = field(default_factory=list)  # packages that are not installed
    failed: list[str] = field(default_factory=list)  # classes that could not be made
    stopped: str = ""  # why there is no more

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Examined":
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            saved = json.loads(text)
            saved["findings"] = [
                Finding(**{**one, "notes": tuple(one["notes"])}) for one in saved["findings"]
            ]
            saved["left_out"] = [(int(line), str(why)) for line, why in saved["left_out"]]
            return cls(**saved)
        except (TypeError, KeyError) as error:
            raise ValueError("not what a trial leaves") from error
