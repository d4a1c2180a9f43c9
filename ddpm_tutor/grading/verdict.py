"""What a check has found out, in a form that passes from one process to another."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

# passed; a gap is left; no Python; the function is not there; an error on the way; another result;
# the time was up; Python itself came to an end
Kind = Literal["passed", "gap", "syntax", "missing", "error", "wrong", "stopped", "ended"]


@dataclass(frozen=True)
class Picture:
    """A small picture: shades of grey from 0 to 255."""

    caption: str
    pixels: list[list[int]]


@dataclass(frozen=True)
class Verdict:
    """How the learner's code did."""

    kind: Kind
    says: str  # what was found, in a sentence or two
    line: int | None = None  # of the learner's file, from 1
    mistake: str = ""  # the name of the known wrong version that it is
    leads_to: str = ""  # what comes of it
    case: str = ""  # the inputs of the table below
    columns: list[str] = field(default_factory=list)
    rows: list[list[str | float]] = field(default_factory=list)
    shows: str = ""  # what the pictures below show
    pictures: list[Picture] = field(default_factory=list)  # the right ones, then the learner's
    notes: list[str] = field(default_factory=list)  # on dtypes and devices, beside the values
    cases: int = 0  # calls that were compared
    devices: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.kind == "passed"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            saved = json.loads(text)
            saved["pictures"] = [Picture(**picture) for picture in saved["pictures"]]
            return cls(**saved)
        except (TypeError, KeyError) as error:
            raise ValueError("not a verdict") from error
