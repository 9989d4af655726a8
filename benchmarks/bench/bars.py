"""What must hold, read from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bench.bundles import served
from benchmarks.service.claims import BAR, USUAL

Parts = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """name: in words. path: where its value is in the parts, keys separated by dots. most: the
    bound is from above.
    """

    name: str
    path: str
    bound: float
    most: bool = False
    unit: str = ""

    def row(self, parts: Parts) -> dict[str, Any]:
        """``{name, value, bar, ok}``; value None when it was not measured."""
        value = lookup(parts, self.path)
        holds = value is not None and (value <= self.bound if self.most else value >= self.bound)
        shown = f"{'≤' if self.most else '≥'} {self.bound:g}{self.unit}"
        return {
            "name": self.name,
            "value": None if value is None else round(value, 3),
            "bar": shown,
            "ok": holds,
        }


def lookup(parts: Parts, path: str) -> float | None:
    """The number at a path; None when there is none, or no finite one."""
    here: Any = parts
    for key in path.split("."):
        if not isinstance(here, Mapping) or key not in here:
            return None
        here = here[key]
    return here if isinstance(here, int | float) and math.isfinite(here) else None


def _against(subject: str, what: str, raw: float) -> tuple[Bar, ...]:
    place = f"{subject}.ratios"
    return (
        Bar(f"{what}: jobs/s, of the raw loop on one core", f"{place}.rate/raw", raw),
        Bar(f"{what}: jobs/s, of LitServe", f"{place}.rate/litserve", 0.97),
        Bar(f"{what}: p95, of LitServe's", f"{place}.p95/litserve", 1.1, most=True),
    )


BARS: tuple[Bar, ...] = (
    *_against("sleep10", "model of 10 ms a picture", 0.95),
    *_against("demo", "demo bundle, 64 px", 0.9),
    *_against("net256", "published network, 256 px", 0.9),
    Bar("hard case: jobs/s over HTTP", "hard.closed.service.rate", 700),
    Bar("hard case: jobs/s, of LitServe", "hard.ratios.rate/litserve", 1.0),
    Bar("hard case: jobs/s, of one-at-a-time Flask", "hard.ratios.rate/flask", 2.0),
    Bar("demo bundle, 64 px: jobs/s, of one-at-a-time Flask", "demo.ratios.rate/flask", 2.0),
    Bar("idle: p50 over the model", "latency.idle.p50", 5, most=True, unit=" ms"),
    Bar("submit: jobs/s on one gateway", "latency.submit_rate", 380),
    Bar("submit: p99 at 300/s", "latency.submit_p99", 50, most=True, unit=" ms"),
    Bar("wait: p95 from a job's end to its client", "latency.woken.p95", 5, most=True, unit=" ms"),
    Bar(
        f"claim of {USUAL} jobs while 100,000 wait: p99 of Redis",
        f"claims.many.{USUAL}.redis.p99",
        BAR,
        most=True,
        unit=" ms",
    ),
    *(
        Bar(
            f"{bundle}: one picture, /{task}, p95",
            f"bundles.times.{bundle} {task}.p95",
            120,
            True,
            " ms",
        )
        for bundle, task in served()
    ),
    Bar("workers: 4 of 1, a model of 20 ms", "workers.speedup", 3.8),
)


def rows(parts: Parts, bars: Sequence[Bar] = BARS) -> list[dict[str, Any]]:
    """All bars' rows."""
    return [bar.row(parts) for bar in bars]


def verdict(found: Sequence[Mapping[str, Any]]) -> str:
    """The last line of a run."""
    return f"bench: {sum(bool(row['ok']) for row in found)}/{len(found)} bars hold"
