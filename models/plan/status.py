"""How far a plan is on this machine: from the progress file, the run folders, and bundles that were
committed after a stage.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.files import json_lines
from models.plan.plan import Plan, Stage

_METRICS = 4  # shown of a stage


class Progress:
    """``progress.jsonl``: what a queue did, one line an event. Appended to by one queue at a time;
    read by anybody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, stage: str, event: str, **more: Any) -> None:
        """Append a line, which is on the disk when this returns. event: started, trained, finished,
        interrupted or failed.
        """
        head = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage}
        line = json.dumps({**head, "event": event, **more})
        with self.path.open("ab") as file:
            # A line that a kill tore must not swallow this one.
            torn = file.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            file.write(((b"\n" if torn else b"") + line.encode()) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def last(self) -> dict[str, dict[str, Any]]:
        """Stage -> its last event."""
        return {line["stage"]: line for line in json_lines(self.path, "event")}


@dataclass(frozen=True)
class Status:
    """done: nothing is left to do; state: in a word or two; hours: spent on this machine; metrics:
    of the last evaluation.
    """

    done: bool
    state: str
    hours: float
    metrics: Mapping[str, float]


class Workspace:
    """Where a plan is worked on: runs: the folder of run folders; weights: of committed bundles."""

    def __init__(self, plan: Plan, runs: Path, weights: Path) -> None:
        self.plan, self.runs = plan, runs
        self.progress = Progress(runs / "progress.jsonl")
        self._committed_bundles = _committed_bundles(weights)

    def run(self, stage: Stage) -> Path:
        return self.runs / stage.name

    def status(self, stage: Stage) -> Status:
        last = self.progress.last().get(stage.name, {})
        event, metrics = last.get("event", ""), last.get("metrics", {})
        trained = json_lines(self.run(stage) / "stats.jsonl", "seconds")
        hours = max((line["seconds"] for line in trained), default=0.0) / 3600
        if event == "finished" and last.get("minutes", stage.minutes) >= stage.minutes:
            return Status(True, "finished", hours, metrics)
        if (shipped := self._shipped(stage)) is not None:
            return Status(True, f"in {shipped.parent.name}/{shipped.name}", hours, metrics)
        if event == "failed":
            return Status(False, f"failed: {last.get('reason', '')}", hours, metrics)
        if event in ("trained", "started", "interrupted") or hours:
            return Status(False, event or "begun", hours, metrics)
        return Status(False, "waits", hours, metrics)

    def init_for(self, stage: Stage) -> Path | None:
        """The bundle for ``--init``: of the stage before, from this machine or committed; the
        chain's own for its first stage. Raises KeyError when the stage before isn't done.
        """
        return stage.init if stage.before is None else self._bundle_of(stage.before)

    def encoders_for(self, stage: Stage) -> Path | None:
        """The bundle for ``--encoders``. Raises KeyError when the stage that trains them isn't
        done.
        """
        name = stage.encoders
        return self._bundle_of(name) if isinstance(name, str) else name

    def _bundle_of(self, name: str) -> Path:
        """What a finished stage left, on this machine or committed; else KeyError."""
        stage = self.plan.find(name)
        if stage and self.progress.last().get(name, {}).get("event") == "finished":
            return self.run(stage) / "bundle"
        return self._committed_bundles[name]

    def is_ready(self, stage: Stage) -> bool:
        """Whether what the stage begins with is there."""
        try:
            self.init_for(stage)
            self.encoders_for(stage)
        except KeyError:
            return False
        return True

    def _shipped(self, stage: Stage) -> Path | None:
        """The committed bundle that holds this stage or a later one of its chain."""
        for name, folder in self._committed_bundles.items():
            chain, _, number = name.rpartition("-")
            if chain == stage.chain and number.isdecimal() and int(number) >= stage.number:
                return folder
        return None


def _committed_bundles(weights: Path) -> dict[str, Path]:
    """Stage -> the bundle under ``weights`` with a task that says it came from there."""
    found = {}
    for manifest in sorted(weights.glob("*/bundle.json")):
        for task in _json(manifest).get("tasks", {}).values():
            if task.get("stage"):
                found[str(task["stage"])] = manifest.parent
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def metrics_of(report: Path, bundle: Path) -> dict[str, float]:
    """The first numbers of the bundle's own method in a ``report.json``."""
    numbers = _json(report)
    for task, spec in _json(bundle / "bundle.json").get("tasks", {}).items():
        found = numbers.get(task, {}).get(spec.get("method"), {})
        kept = {k: v for k, v in found.items() if isinstance(v, int | float)}
        if kept:
            return dict(list(kept.items())[:_METRICS])
    return {}


def table(workspace: Workspace) -> str:
    """One line a stage: hours planned and spent, state, last metrics; the sum below."""
    rows = [("stage", "planned h", "spent h", "state", "on validation")]
    spent = 0.0
    for stage in workspace.plan.stages:
        status = workspace.status(stage)
        spent += status.hours
        metrics = "  ".join(f"{k} {v:.3f}" for k, v in status.metrics.items())
        rows.append(
            (stage.name, f"{stage.hours:.1f}", f"{status.hours:.1f}", status.state, metrics)
        )
    planned = sum(stage.hours for stage in workspace.plan.stages)
    rows.append(("all", f"{planned:.1f}", f"{spent:.1f}", "", ""))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = (
        "  ".join((*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4])).rstrip()
        for row in rows
    )
    return "\n".join(lines)
