"""What a text may ask of a fake pipeline beside a picture: to fail, and to take its time.

* ``fail:CODE`` fails the job, with any code of :class:`jobs.job.ErrorCode`
* ``fail:partial`` fails every other picture of the job, the second first
* ``fail:slow=5`` takes so many seconds, in which no other picture is made
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.job import ErrorCode
from models.errors import InputProblem
from models.item import Item

MAX_SECONDS = 60.0  # seconds; a worker that hangs for longer is ended
_DIRECTIVE = re.compile(r"\bfail:(\w+)(?:=(\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class FakeDirectives:
    """``seconds``: to be taken; ``code``: of the failure wanted, if any."""

    seconds: float = 0.0
    code: ErrorCode | None = None

    @classmethod
    def parse(cls, item: Item) -> FakeDirectives:
        """Those of the item's texts. Raises InputProblem for one that there is not."""
        seconds, code = 0.0, None
        for name, number in _DIRECTIVE.findall(" ".join(text for text, _ in item.blend)):
            if name == "slow":
                seconds = min(float(number or 1), MAX_SECONDS)
            elif name == "partial":
                code = ErrorCode.model_error if item.index % 2 else code
            else:
                code = _code(name)
        return cls(seconds, code)

    def raise_failure(self) -> None:
        """Raise InputProblem if failure is wanted."""
        if self.code:
            raise InputProblem(self.code.value, f"The text asks for this failure: {self.code}.")


def _code(name: str) -> ErrorCode:
    if name in ErrorCode.__members__:
        return ErrorCode(name)
    known = ", ".join(["slow=SECONDS", "partial", *ErrorCode])
    raise InputProblem("bad_input", f"There is no fail:{name}; there are: {known}.")
