"""The report of :mod:`benchmarks.compare_methods`: the budget, the papers' tables, and verdicts
where intervals are apart.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.evaluation.report import round_value, table_line
from models.evaluation.run import TASKS, Options, open_held_out
from models.evaluation.runner import Runner
from models.plan.plan import Stage
from models.plan.sheet import first_items
from models.registry import load
from models.runtime.device import best_device
from models.training.run import lines_of

_BATCH = 16  # pictures of a timed forward
_FEWEST = 20  # pictures below which an interval is too narrow to be one
_SHARED = ("text_encoder", "image_encoder")  # frozen, the same for every method
_KINDS = ("center", "object")
_FRAME = {"l1": "l1", "PSNR, dB": "psnr", "TV": "tv", "SSIM": "ssim"}
# Metrics by column; one that ends with _ goes on with the name of the network that measures it.
_COLUMNS = {
    "manipulate": {"IS": "is_", "sim": "sim", "diff": "diff", "MP": "mp"},
    "inpaint": {f"{c}, {kind}": f"{m}_{kind}" for kind in _KINDS for c, m in _FRAME.items()},
    "synthesize": {"KID": "kid_", "FID": "fid_", "IS": "is_", "R-precision": "r_precision"},
}
# Rows that nothing was trained for.
_REFERENCES = {
    "manipulate": ("identity", "recolour", "real"),
    "inpaint": ("identity", "telea", "navier-stokes", "patchmatch", "real"),
    "synthesize": ("real",),
}
# Columns with a verdict; whether more is better. diff is least where nothing was done, TV best near
# that of real pictures, and FID of few pictures grows with their lack.
_MORE = {"IS": True, "sim": True, "MP": True, "R-precision": True, "KID": False}
_MORE |= {f"{c}, {k}": c != "l1" for k in _KINDS for c in ("l1", "PSNR, dB", "SSIM")}


@dataclass(frozen=True)
class Budget:
    """What every training gets. pictures: that it sees, with repeats; photos: different ones, 0 for
    all that the data set has; size: of them in pixels; samples: evaluated, of each task and kind of
    mask; batch: pictures of a step, 0 as in the presets.
    """

    data: str
    encoders: Path
    pictures: int
    photos: int
    size: int
    samples: int
    batch: int
    threads: int

    @property
    def described(self) -> dict[str, object]:
        """What must not change within a report; no path of this machine."""
        named = {"data": Path(self.data).name, "encoders": Bundle.open(self.encoders).sha256}
        return {k: v for k, v in (asdict(self) | named).items() if k != "threads"}


@dataclass(frozen=True)
class Cell:
    """The mean over seeds, the mean ends of the interval over pictures (infinite where there is
    none), and each seed's value.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, found: Sequence[Mapping[str, Any]]) -> Cell:
        """From each seed's estimate in ``details.json``."""
        low, high = (
            statistics.fmean(
                e[end] if e[end] is not None and e["n"] >= _FEWEST else none for e in found
            )
            for end, none in (("low", -math.inf), ("high", math.inf))
        )
        seeds = tuple(e["value"] for e in found)
        return cls(statistics.fmean(seeds), low, high, seeds)

    def above(self, other: Cell) -> bool:
        """Whether no picture and no seed puts this below the other."""
        return min(self.low, *self.seeds) > max(other.high, *other.seeds)

    def minus(self, other: Cell) -> Cell:
        """The difference of two means, taken as independent."""
        value = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        seeds = tuple(a - b for a, b in zip(self.seeds, other.seeds, strict=True))
        return Cell(value, value - below, value + above, seeds)

    def __str__(self) -> str:
        text = round_value(self.value)
        if self.low < self.high < math.inf:
            text += f" [{round_value(self.low)}, {round_value(self.high)}]"
        several = f"; seeds {round_value(min(self.seeds))} to {round_value(max(self.seeds))}"
        return text + (several if len(self.seeds) > 1 else "")


Cells = dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Trial(Stage):
    """One training of one row. batch: pictures of a step."""

    label: str
    seed: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.label}/seed-{self.seed}"


@dataclass(frozen=True)
class Trained:
    """A finished trial, its folder, and what :func:`costs` measured."""

    trial: Trial
    run: Path
    costs: Mapping[str, float]

    @cached_property
    def details(self) -> tuple[str, dict[str, Any]]:
        """The task, and its estimates by row and metric."""
        text = (self.run / "evaluation" / "details.json").read_text(encoding="utf-8")
        ((task, rows),) = json.loads(text)["tasks"].items()
        return task, rows

    @cached_property
    def method(self) -> str:
        return Bundle.open(self.run / "bundle").task(self.details[0]).method


Rows = Mapping[str, Sequence[Trained]]


def costs(run: Path, budget: Budget) -> dict[str, float]:
    """``minutes`` trained; ``parameters`` of what is served without the shared encoders, in
    millions; ``ms`` a picture in batches of 16. Measured once and kept in ``cost.json``.
    """
    path = run / "cost.json"
    if not path.exists():
        seconds = [line["seconds"] for line in lines_of(run / "stats.jsonl") if "seconds" in line]
        bundle = Bundle.open(run / "bundle")
        task = next(t for t in bundle.tasks if t in TASKS)
        roles = [r for r in bundle.task(task).files if r not in _SHARED]
        count = sum(v.numel() for r in roles for v in bundle.state(task, r).values())
        found = {"minutes": seconds[-1] / 60, "parameters": count / 1e6}
        found["ms"] = _milliseconds(run / "bundle", task, budget)
        path.write_text(json.dumps(found) + "\n", encoding="utf-8")
    measured: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return measured


def _milliseconds(folder: Path, task: str, budget: Budget) -> float:
    runner = Runner(load(folder, task, None, best_device("auto")), _BATCH)
    data = open_held_out(budget.data, Bundle.open(folder), Options())
    _, asked = first_items(runner, data, task, _BATCH)
    times = []
    for _ in range(4):
        started = time.perf_counter()
        runner.run(asked)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:]) / len(asked)


def write_report(out: Path, budget: Budget, done: Sequence[Trained], failed: str) -> None:
    """``report.md``, and beside it the sheets of the first seed's first samples."""
    (out / "sheets").mkdir(exist_ok=True)
    labels = dict.fromkeys(run.trial.label for run in done)
    rows = {label: [run for run in done if run.trial.label == label] for label in labels}
    for label, runs in rows.items():
        shutil.copy(runs[0].run / "sheet.webp", out / "sheets" / f"{label}.webp")
    lines = ["# Methods compared", *_head(budget, rows, failed)]
    for task, columns in _COLUMNS.items():
        own = {label: runs for label, runs in rows.items() if runs[0].details[0] == task}
        if own:
            lines += [f"## {task}", *_task(_cells(task, own, columns), own)]
    (out / "report.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _head(budget: Budget, rows: Rows, failed: str) -> Iterator[str]:
    seeds = ", ".join(sorted({str(len(runs)) for runs in rows.values()}))
    minutes = [run.costs["minutes"] for runs in rows.values() for run in runs] or [0.0]
    yield (
        f"**Budget: each training sees {budget.pictures:,} pictures of {budget.size} pixels (of "
        f"{budget.photos or 'all'} different ones) and takes {min(minutes):.1f} to "
        f"{max(minutes):.1f} minutes on {budget.threads} threads; seeds: {seeds}.** Published "
        "trainings see millions: this says how far a method comes on this budget, no more."
    )
    yield (
        f"Data {Path(budget.data).name}, frozen encoders of {budget.encoders.name}, small networks "
        f"of the presets for photos (against ImageNet features for manigan, tdanet and "
        "efficient-t2i, as published for the others), "
        f"{budget.samples:,} validation samples (of each kind of mask). "
        "A cell is the mean, its 95 % interval over pictures, and the range over seeds. "
        + ("One seed: nothing tells how far another training would differ." * (seeds == "1"))
    )
    if failed:
        yield f"**Incomplete.** {failed}"


def _task(cells: Cells, rows: Rows) -> Iterator[str]:
    if next(iter(rows.values()))[0].details[0] == "inpaint":
        for kind in _KINDS:
            yield _table(cells, kind)
        yield _table(_differences(cells))
    else:
        yield _table(cells)
    yield "\n".join(f"- {line}" for line in verdicts(cells))
    yield _costs(rows)
    for label in rows:
        yield f"{label}, the first samples, not chosen:\n\n![{label}](sheets/{label}.webp)"


def _differences(cells: Cells) -> Cells:
    """Of centre and object masks, where a row has both."""
    a, b = (f", {kind}" for kind in _KINDS)
    both = {x: [c for c in _FRAME if c + a in f and c + b in f] for x, f in cells.items()}
    return {
        x: {f"{c}{a} - object": cells[x][c + a].minus(cells[x][c + b]) for c in columns}
        for x, columns in both.items()
    }


def _cells(task: str, rows: Rows, columns: Mapping[str, str]) -> Cells:
    """By row and column; references are those of the first row's first run."""
    asked = {label: (runs, runs[0].method) for label, runs in rows.items()}
    if "tdanet" in rows:
        asked["tdanet, asked without text"] = (rows["tdanet"], "no-text")
    asked |= {name: (next(iter(rows.values()))[:1], name) for name in _REFERENCES[task]}
    cells: Cells = {}
    for label, (runs, row) in asked.items():
        found = {c: [_estimate(run, row, metric) for run in runs] for c, metric in columns.items()}
        cells[label] = {c: Cell.of([e for e in es if e]) for c, es in found.items() if all(es)}
    return {label: found for label, found in cells.items() if found}


def _estimate(run: Trained, row: str, metric: str) -> Mapping[str, Any] | None:
    found: dict[str, Mapping[str, Any]] = run.details[1].get(row, {})
    named = [k for k in found if k == metric or (metric.endswith("_") and k.startswith(metric))]
    return found[named[0]] if named else None


def verdicts(cells: Cells) -> Iterator[str]:
    """Of each column that is judged: which rows are better than which, as far as that is sure."""
    for column, more in _MORE.items():
        found = {row: c[column] for row, c in cells.items() if column in c and row != "real"}
        said = []
        for row in sorted(found, key=lambda row: found[row].value, reverse=more):
            one = found[row]
            beaten = [x for x, e in found.items() if (one.above(e) if more else e.above(one))]
            said += [f"{row} is better than {', '.join(beaten)}"] if beaten else []
        if len(found) > 1:
            yield f"{column}: {'; '.join(said) or 'no intervals are apart'}."


def _table(cells: Cells, kind: str = "") -> str:
    """kind: of mask, where columns of one are wanted."""
    named = (c for found in cells.values() for c in found if c.endswith(kind))
    columns = list(dict.fromkeys(named))
    head = [table_line("", *columns), "|---" * (1 + len(columns)) + "|"]
    rows = (table_line(x, *(str(f.get(c, "–")) for c in columns)) for x, f in cells.items() if f)
    return "\n".join([*head, *rows])


def _costs(rows: Rows) -> str:
    columns = ("steps", "pictures a step", "minutes trained", "parameters, million", "ms a picture")
    lines = [table_line("", *columns), "|---" * (1 + len(columns)) + "|"]
    for label, runs in rows.items():
        minutes, million, ms = (
            statistics.fmean(run.costs[k] for run in runs) for k in ("minutes", "parameters", "ms")
        )
        one = runs[0].trial
        cells = (str(one.steps), str(one.batch), f"{minutes:.1f}", f"{million:.2f}")
        lines.append(table_line(label, *cells, f"{ms:.1f}"))
    return "\n".join(lines)
