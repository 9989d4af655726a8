"""The results: ``bench.json`` for programs, ``bench.md`` for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.bars import rows
from benchmarks.bench.machine import described
from benchmarks.peers.pipelines import SUBJECTS, Subject
from benchmarks.service.claims import table
from models.tables import markdown_table

Row = Mapping[str, Any]


class Results:
    """One folder. A run of some parts replaces those and keeps the others, each with the machine
    that it was measured on. Rows that other benchmarks leave in ``<name>.json`` under ``bars``
    stand in the same table.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / "bench.json"
        self.parts: dict[str, Any] = json.loads(path.read_text())["parts"] if path.exists() else {}

    def keep(self, part: str, found: Row, machine: Row) -> list[dict[str, Any]]:
        """Put a part in and write both files; returns all rows."""
        self.parts[part] = {**found, "machine": machine}
        bars = [*rows(self.parts), *self._others()]
        self._folder.mkdir(parents=True, exist_ok=True)
        data = finite({"bars": bars, "parts": self.parts})
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        (self._folder / "bench.json").write_text(f"{text}\n")
        (self._folder / "bench.md").write_text(markdown(bars, data["parts"]))
        return bars

    def _others(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if path.stem.startswith("bench"):
                continue
            data = json.loads(path.read_text())
            if isinstance(data, dict) and isinstance(data.get("bars"), list):
                found += [
                    {k: row[k] for k in ("name", "value", "bar", "ok")} for row in data["bars"]
                ]
        return found


def finite(value: Any) -> Any:
    """The same without infinite numbers, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def markdown(bars: Sequence[Row], parts: Mapping[str, Any]) -> str:
    """Everything on one page."""
    shown = [
        [b["name"], _number(b["value"]), b["bar"], "yes" if b["ok"] else "**no**"] for b in bars
    ]
    text = ["# Bars", "", markdown_table(["what", "measured", "bar", "holds"], shown)]
    for name, part in parts.items():
        title = SUBJECTS[name].title if name in SUBJECTS else name
        text += ["", f"# {title[0].upper()}{title[1:]}", "", described(part["machine"]), ""]
        text += _contest(part, SUBJECTS[name]) if name in SUBJECTS else _PAGES[name](part)
    return "\n".join(text) + "\n"


def _contest(part: Row, subject: Subject) -> list[str]:
    names = ("jobs/s", "p50 ms", "p95 ms", "p99 ms", "service's jobs/s to it", "its CPU µs a job")
    closed = []
    for name, found in part["closed"].items():
        ratio = part["ratios"].get(f"rate/{name}")
        times = [None] * 3 if name == "raw" else [found[p] for p in ("p50", "p95", "p99")]
        costs = ", ".join(f"{kind} {used:.0f}" for kind, used in part["costs"][name].items())
        closed.append([name, *map(_number, (found["rate"], *times, ratio)), costs])
    text = [f"{subject.clients} clients that wait, batches of up to {subject.batch}:", ""]
    text.append(markdown_table(["who", *names], closed))
    if part["open"]:
        text += ["", "Jobs that arrive at random, however the server does:", "", _open(part)]
    return text


def _open(part: Row) -> str:
    cells = []
    for row in part["open"]:
        for name in ("service", "litserve"):
            found = row[name]
            offered = f"{row['offered']:.0f} ({row['load']:.0%} of the loop)"
            values = (found[k] for k in ("rate", "p50", "p95", "p99", "failures"))
            cells.append([offered, name, *map(_number, values)])
    head = ["offered jobs/s", "who", "jobs/s", "p50 ms", "p95 ms", "p99 ms", "unanswered"]
    return markdown_table(head, cells)


def _latency(part: Row) -> list[str]:
    cells = [
        ["idle, over the model", *map(_number, part["idle"].values())],
        ["from a job's end to its client", *map(_number, part["woken"].values())],
    ]
    submitted = (
        f"Submissions: {part['submit_rate']:.0f}/s from 8 clients; p99 "
        f"{_number(part['submit_p99'])} ms at {part['submit_offered']:.0f}/s."
    )
    return [markdown_table(["what", "p50 ms", "p95 ms", "p99 ms"], cells), "", submitted]


def _rates(part: Row) -> list[str]:
    rates = [[name, _number(rate)] for name, rate in part["rates"].items()]
    return [markdown_table(["number", "jobs/s"], rates)]


def _claims(part: Row) -> list[str]:
    what = f"Claims where none, and where {part['jobs']:,} jobs of {part['owners']:,} owners wait"
    return [f"{what} behind those that are claimed:", "", table(part)]


def _bundles(part: Row) -> list[str]:
    rows = [[k, *map(_number, found.values())] for k, found in part["times"].items()]
    return [
        "One at a time, 256×256 pixels unless it says another size:",
        "",
        markdown_table(["what", "p50 ms", "p95 ms"], rows),
    ]


_PAGES = {"latency": _latency, "workers": _rates, "claims": _claims, "bundles": _bundles}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
