"""The words of this suite: a fault, its bar, and what a trial of it found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """What one trial found. ``lost``: accepted jobs without an end; ``duplicated``: jobs with two
    ends or two sets of pictures; ``seconds``: from the fault until all was well; ``broken``: a
    sentence for everything else that did not hold; ``notes``: what was measured beside.
    """

    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def but(self, *broken: str, notes: Sequence[str] = ()) -> Finding:
        """The same, and more that did not hold."""
        return Finding(
            self.lost,
            self.duplicated,
            self.seconds,
            self.broken + broken,
            self.notes + tuple(notes),
        )


@dataclass(frozen=True)
class Fault(Generic[T]):
    """``trial`` inflicts it once on the family's service. ``bar`` says what must hold beside: no
    job lost, none duplicated, all well within ``seconds``. ``runs``, ``quick_runs``: how often.
    """

    name: str
    bar: str
    trial: Callable[[T], Finding]
    seconds: float = math.inf
    runs: int = 1
    quick_runs: int = 1


@dataclass(frozen=True)
class Family(Generic[T]):
    """Faults that are inflicted one after the other on what ``opened`` yields: it is given a folder
    and whether the run is a quick one. ``alone``: nothing else may run meanwhile.
    """

    name: str
    opened: Callable[[Path, bool], AbstractContextManager[T]]
    faults: Sequence[Fault[T]]
    alone: bool = False


@dataclass
class Tally:
    """All trials of one fault."""

    fault: Fault[object]
    findings: list[Finding] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return sum(f.lost for f in self.findings)

    @property
    def duplicated(self) -> int:
        return sum(f.duplicated for f in self.findings)

    @property
    def seconds_max(self) -> float:
        return max((f.seconds for f in self.findings), default=0.0)

    @property
    def broken(self) -> list[str]:
        """Every sentence once."""
        return list(dict.fromkeys(s for f in self.findings for s in f.broken))

    @property
    def notes(self) -> list[str]:
        """What the last trial measured."""
        return list(self.findings[-1].notes) if self.findings else []

    @property
    def ok(self) -> bool:
        """Whether the fault holds: it was tried, and every trial kept the bar."""
        kept = not self.lost and not self.duplicated and not self.broken
        return bool(self.findings) and kept and self.seconds_max <= self.fault.seconds
