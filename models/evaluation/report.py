"""Writes ``--out DIR``: ``report.json``, ``details.json``, ``report.html`` and the pictures that it
shows, under ``images/TASK/METHOD/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.estimates import Estimate
from models.evaluation.results import TaskReport
from models.evaluation.web_report import SHOWN, web_page
from models.tables import markdown_table


def write(
    out: Path, reports: Sequence[TaskReport], facts: Mapping[str, Any], *, everything: bool
) -> None:
    """Write all files."""
    out.mkdir(parents=True, exist_ok=True)
    _json(out / "report.json", {r.task: r.numbers() for r in reports})
    tasks = {r.task: r.details() for r in reports}
    _json(out / "details.json", {"facts": dict(facts), "tasks": tasks})
    (out / "report.html").write_text(web_page(reports, facts), encoding="utf-8")
    for report in reports:
        _save_pictures(out / "images" / report.task, report, everything)


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _save_pictures(folder: Path, report: TaskReport, everything: bool) -> None:
    count = len(report.cases) if everything else SHOWN
    for method, pictures in report.pictures.items():
        (folder / method).mkdir(parents=True, exist_ok=True)
        for k, picture in enumerate(pictures[:count]):
            picture.save(folder / method / f"{k:05d}.png")


def table(report: TaskReport) -> str:
    """Every metric of every row with sample counts and intervals, as Markdown."""
    rows, lines = report.estimates, []
    for metric in dict.fromkeys(name for found in rows.values() for name in found):
        found = {m: estimates.get(metric) for m, estimates in rows.items()}
        n = next((e.n for e in found.values() if e), 0)
        cells = [_format_value(e, report.beats_real(m, metric), n) for m, e in found.items()]
        lines.append([metric, str(n), *cells])
    return markdown_table(["metric", "n", *rows], lines)


def _format_value(estimate: Estimate | None, beats_real: bool, n: int) -> str:
    """A number with its marks and its interval, and with its count where that is not ``n``."""
    if estimate is None:
        return "–"
    marks = ("†" if beats_real else "") + (" (small)" if estimate.small else "")
    marks += "" if estimate.n == n else f" (n {estimate.n})"
    value = round_value(estimate.value) + marks
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{round_value(estimate.low)}, {round_value(estimate.high)}]"


def round_value(value: float) -> str:
    """A metric as tables have it."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
