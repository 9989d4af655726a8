"""A training plan: chains of stages, each beginning with what the one before left, and the order in
which a machine works through them.

A chain trains one part by one preset. Its stages are PRESET/PART-1, PRESET/PART-2 …, which is also
where their run folders lie.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.errors import ModelsError

LONGEST = 2.0  # hours: what a lost machine costs at most

_CHAIN = {"preset": str, "part": str, "data": str, "encoders": str, "init": str, "samples": int}
_NEEDED = ("preset", "part", "data")
_STAGE = {
    "minutes": (int, float),
    "steps": int,
    "hours": (int, float),
    "set": list,
    "generated": str,
}


class PlanError(ModelsError):
    """The plan can't be read or makes no sense; the text says what to change."""


@dataclass(frozen=True)
class Stage:
    """One training run. number: its place in the chain, from 1; data: the data set's name, whose
    folder the machine knows; overrides: KEY=VALUE for ``--set``; init: the bundle that the first
    stage of a chain begins with, or None; encoders: the bundle that has them, or the stage that
    trains them; minutes, steps: limits, 0 for none; hours: planned; samples: of the validation
    split to evaluate on, 0 for no evaluation; label: what the chain is named after, the preset
    unless given; generated: the bundle whose pictures a detail stage learns from as well, or None.
    """

    preset: str
    part: str
    number: int
    data: str
    overrides: tuple[str, ...]
    init: Path | None
    encoders: Path | str | None
    minutes: float
    steps: int
    hours: float
    samples: int
    label: str = ""
    generated: Path | None = None

    @property
    def chain(self) -> str:
        return f"{self.label or self.preset}/{self.part}"

    @property
    def name(self) -> str:
        return f"{self.chain}-{self.number}"

    @property
    def before(self) -> str | None:
        """The stage that this one begins with."""
        return f"{self.chain}-{self.number - 1}" if self.number > 1 else None


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they are done."""

    stages: tuple[Stage, ...]

    def find(self, name: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.name == name), None)


def read_plan(path: Path) -> Plan:
    """Read a plan file. Raises PlanError for keys that nothing reads, for stages that are too long
    or without an end, and for an order that leaves a stage out or turns a chain around.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"{path} can't be read as a TOML file: {error}.") from error
    _check(table, {"set": list, "order": list, "chain": list}, str(path))
    # Paths in a plan are meant from the folder above the one that it lies in: weights/NAME.
    root = path.resolve().parent.parent
    found: dict[str, Stage] = {}
    for chain in table.get("chain", []):
        for stage in _stages(chain, tuple(table.get("set", [])), root):
            if stage.name in found:
                raise PlanError(f"{path} has two chains {stage.chain}; make them one.")
            found[stage.name] = stage
    found = {name: _with_encoders(stage, found, root) for name, stage in found.items()}
    return Plan(tuple(_in_order(found, table.get("order", list(found)), path)))


def _with_encoders(stage: Stage, found: Mapping[str, Stage], root: Path) -> Stage:
    """``encoders`` names a chain of the plan, of which the last stage counts, or a bundle."""
    of_chain = [name for name, other in found.items() if other.chain == stage.encoders]
    if of_chain or stage.encoders is None:
        return replace(stage, encoders=of_chain[-1] if of_chain else None)
    return replace(stage, encoders=root / stage.encoders)


def _stages(chain: Mapping[str, Any], common: tuple[str, ...], root: Path) -> list[Stage]:
    where = f"chain {chain.get('preset')}/{chain.get('part')}"
    _check(chain, {**_CHAIN, "set": list, "stage": list}, where)
    if missing := [name for name in _NEEDED if name not in chain]:
        raise PlanError(f"{where} lacks {', '.join(missing)}.")
    own = (*common, *chain.get("set", []))
    return [
        _stage(chain, number, stage, own, root) for number, stage in enumerate(chain["stage"], 1)
    ]


def _stage(
    chain: Mapping[str, Any],
    number: int,
    raw: Mapping[str, Any],
    common: tuple[str, ...],
    root: Path,
) -> Stage:
    where = f"stage {chain['preset']}/{chain['part']}-{number}"
    _check(raw, _STAGE, where)
    minutes, steps = float(raw.get("minutes", 0)), int(raw.get("steps", 0))
    hours = float(raw.get("hours", minutes / 60))
    if not (minutes > 0 or steps > 0) or minutes < 0 or steps < 0:
        raise PlanError(f"{where} needs an end: minutes or steps.")
    if not (math.isfinite(hours) and 0 < hours <= LONGEST):
        raise PlanError(
            f"{where} is planned for {hours:g} hours; say hours above 0, and {LONGEST:g} at most: "
            "a lost machine loses a stage."
        )
    # Every stage of a chain sees other batches than the one before.
    seed = f"loop.seed={number - 1}"
    return Stage(
        preset=chain["preset"],
        part=chain["part"],
        number=number,
        data=chain["data"],
        overrides=(seed, *common, *raw.get("set", [])),
        init=root / chain["init"] if number == 1 and "init" in chain else None,
        encoders=chain.get("encoders"),
        minutes=minutes,
        steps=steps,
        hours=hours,
        samples=chain.get("samples", 0),
        generated=root / raw["generated"] if "generated" in raw else None,
    )


def _check(table: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Raises PlanError for unknown keys and for values of another type."""
    for key, value in table.items():
        if key not in known:
            raise PlanError(f"{where} has no key {key!r}; there are {', '.join(known)}.")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise PlanError(f"{where}: {key} has a value of the wrong type, {value!r}.")


def _in_order(found: Mapping[str, Stage], order: list[str], path: Path) -> list[Stage]:
    if sorted(order) != sorted(found):
        different = sorted(set(order) ^ found.keys()) or "a stage twice"
        raise PlanError(f"{path}: order must name every stage once; look at {different}.")
    stages = [found[name] for name in order]
    for place, stage in enumerate(stages):
        for needed in (stage.before, stage.encoders):
            if isinstance(needed, str) and needed not in order[:place]:
                raise PlanError(f"{path}: order has {stage.name} before {needed}.")
    return stages
