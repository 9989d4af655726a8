"""The numbers of a comparison: each metric over seeds with its interval, as stored and as read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.evaluation import papers

_FEWEST = 20  # pictures below which an interval is too narrow to be one
# Student's t, 97.5 %, by degrees of freedom; the last for all beyond.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
# Rows that nothing was trained for.
REFERENCES = {
    "synthesize": ("blurred-8", "real"),
    "manipulate": ("identity", "recolour", "real"),
    "inpaint": ("identity", "telea", "navier-stokes", "patchmatch", "real"),
}
KINDS = {"center": "Centre masks", "object": "Object masks"}


@dataclass(frozen=True)
class Column:
    """scale: from the stored metric to the table's unit; arrow: which direction is better;
    judged: whether verdicts go by it.
    """

    title: str
    metric: str
    arrow: str
    scale: float = 1.0
    judged: bool = True

    @property
    def more(self) -> bool:
        """Whether more is better."""
        return self.arrow == "↑"

    @property
    def name(self) -> str:
        """In a sentence, with the kind of mask."""
        kind = next((f" ({k})" for k in KINDS if self.metric.endswith(k)), "")
        return self.title.split(",")[0] + kind


# diff is least where nothing was done, TV best near that of real pictures, and FID of few pictures
# grows with their lack: no verdict goes by these.
COLUMNS = {
    "synthesize": (
        Column("KID", "kid_", "↓"),
        Column("FID", "fid_", "↓", judged=False),
        Column("IS", "is_", "↑"),
        Column("R-precision", "r_precision", "↑"),
    ),
    "manipulate": (
        Column("IS", "is_", "↑"),
        Column("sim", "sim", "↑"),
        Column("diff", "diff", "↓", judged=False),
        Column("MP", "mp", "↑"),
    ),
    "inpaint": tuple(
        column
        for kind in KINDS
        for column in (
            Column("l1, %", f"l1_{kind}", "↓", 100),
            Column("PSNR, dB", f"psnr_{kind}", "↑"),
            Column("TV, %", f"tv_{kind}", "as real", 100, judged=False),
            Column("SSIM, %", f"ssim_{kind}", "↑", 100),
        )
    ),
}


@dataclass(frozen=True)
class Cell:
    """The mean over seeds, half the width of its 95 % interval (infinite where there is none), and
    each seed's value.
    """

    value: float
    half: float
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, found: Sequence[Mapping[str, Any]]) -> Cell:
        """From each seed's estimate in ``details.json``: the spread of trainings (Student's t) and
        that of pictures (mean of the seeds' intervals), taken as independent.
        """
        seeds = tuple(e["value"] for e in found)
        known = all(e["low"] is not None and e["n"] >= _FEWEST for e in found)
        pictures = math.inf
        if known:
            pictures = statistics.fmean((e["high"] - e["low"]) / 2 for e in found)
        return cls(statistics.fmean(seeds), math.hypot(pictures, _spread(seeds)), seeds)

    @classmethod
    def read(cls, stored: Mapping[str, Any], scale: float) -> Cell:
        """What :attr:`stored` wrote, in the table's unit."""
        half = math.inf if stored["half"] is None else stored["half"]
        seeds = tuple(scale * v for v in stored["seeds"])
        return cls(scale * stored["value"], scale * half, seeds)

    @property
    def stored(self) -> dict[str, Any]:
        half = float(f"{self.half:.4g}") if math.isfinite(self.half) else None
        seeds = [float(f"{v:.5g}") for v in self.seeds]
        return {"value": float(f"{self.value:.5g}"), "half": half, "seeds": seeds}

    def above(self, other: Cell) -> bool:
        """Whether the whole interval lies above the other's."""
        return self.value - self.half > other.value + other.half

    def minus(self, other: Cell) -> Cell:
        """The difference of two means, taken as independent."""
        seeds = tuple(a - b for a, b in zip(self.seeds, other.seeds, strict=True))
        return Cell(self.value - other.value, math.hypot(self.half, other.half), seeds)

    def __str__(self) -> str:
        digits = 1 if abs(self.value) >= 100 else 2 if abs(self.value) >= 1 else 3
        text = f"{self.value:.{digits}f}"
        return f"{text} ± {self.half:.{digits}f}" if 0 < self.half < math.inf else text


def _spread(seeds: Sequence[float]) -> float:
    """Half of the interval of the seeds' mean; none of a single one."""
    n = len(seeds)
    if n < 2:
        return 0.0
    t = _STUDENT[min(n - 2, len(_STUDENT) - 1)]
    return t * statistics.stdev(seeds) / math.sqrt(n)


Cells = dict[str, dict[str, Cell]]  # by row and by metric


def read_cells(task: str, rows: Mapping[str, Any]) -> Cells:
    """Of all rows that have a metric, in the table's units."""
    scales = {c.metric: c.scale for c in COLUMNS[task]}
    cells = {
        label: {m: Cell.read(v, scales[m]) for m, v in row["metrics"].items()}
        for label, row in rows.items()
    }
    return {label: found for label, found in cells.items() if found}


def published(task: str) -> dict[str, dict[str, float]]:
    """What the papers print of these methods on CUB, by row and column's metric, in the table's
    units.
    """
    ablations = papers.ABLATIONS if task == "manipulate" else {}
    found = {name.lower(): row for name, row in papers.columns(task, "CUB").items()}
    found |= {f"manigan-{name.replace('_', '-')}": row for name, row in ablations.items()}
    return {
        row: {
            column.metric: round(column.scale * value, 4)
            for column in COLUMNS[task]
            for metric, value in numbers.items()
            if _is_of(column, metric)
        }
        for row, numbers in found.items()
    }


def _is_of(column: Column, metric: str) -> bool:
    """Whether a paper's metric is the column's, whatever network or protocol measures it."""
    if column.metric.endswith("_"):
        return metric.startswith(column.metric)
    return metric.removesuffix("_upstream") == column.metric
