"""The quick run: a few ratios against those that are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOLERANCE = 0.2


def guarded_ratios(parts: Mapping[str, Any]) -> dict[str, float]:
    """What must not get worse; of each, more is better. Costs are those of an echo by plain FastAPI
    on the same machine, over the service's.
    """
    found: dict[str, float] = {}
    for subject in ("sleep10", "hard", "demo"):
        if subject in parts:
            found |= _rates(subject, parts[subject])
    if "hard" in parts:
        found |= _costs(parts["hard"])
    return found


def _rates(subject: str, part: Mapping[str, Any]) -> dict[str, float]:
    given = part["ratios"]
    return {
        f"{subject}: jobs/s, of the raw loop": given["rate/raw"],
        f"{subject}: jobs/s, of LitServe": given["rate/litserve"],
        f"{subject}: LitServe's p95, of the service's": _over(1.0, given["p95/litserve"]),
    }


def _costs(part: Mapping[str, Any]) -> dict[str, float]:
    costs, echo = part["costs"]["service"], part["costs"]["echo"]["fastapi"]
    return {
        f"hard: an echo's CPU, of the {k}'s": _over(echo, costs[k]) for k in ("gateway", "worker")
    }


def _over(value: float, other: float) -> float:
    """Their ratio; 0, which no baseline allows, when there is nothing to compare with."""
    return value / other if other else 0.0


def regressions(
    stored: Mapping[str, float], now: Mapping[str, float], tolerance: float = TOLERANCE
) -> list[str]:
    """A sentence for each stored ratio that is more than ``tolerance`` below, or not there."""
    found = []
    for name, before in stored.items():
        after = now.get(name)
        if after is None:
            found.append(f"{name}: not measured")
        elif not after >= before * (1 - tolerance):
            found.append(f"{name}: {after:.3f}, stored {before:.3f} ({after / before - 1:+.0%})")
    return found


def best(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Ratio by ratio the better of two runs: what regressed for real does so twice."""
    return {n: max(run[n] for run in (first, second) if n in run) for n in {**first, **second}}


class Baseline:
    """The stored ratios: ``{"machine", "ratios"}``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ratios(self) -> dict[str, float]:
        """Raises FileNotFoundError with what to do."""
        if not self._path.exists():
            raise FileNotFoundError(f"There is no {self._path}: store one with --store.")
        return json.loads(self._path.read_text())["ratios"]

    def store(self, ratios: Mapping[str, float], machine: Mapping[str, Any]) -> None:
        shown = {name: round(value, 4) for name, value in ratios.items()}
        data = {"machine": machine, "ratios": shown}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
