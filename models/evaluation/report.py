"""Writes ``--out DIR``: ``report.json``, ``details.json``, ``samples.json``, ``report.md``,
``report.html`` and the grids' pictures under ``images/TASK/METHOD/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.report_html import page
from models.evaluation.report_markdown import markdown
from models.evaluation.results import TaskReport

SHOWN = 12  # samples in a grid


def write(
    out: Path, reports: Sequence[TaskReport], facts: Mapping[str, Any], *, everything: bool
) -> None:
    """Write all files."""
    out.mkdir(parents=True, exist_ok=True)
    _json(out / "report.json", {r.task: r.numbers() for r in reports})
    _json(
        out / "details.json",
        {"facts": dict(facts), "tasks": {r.task: r.details() for r in reports}},
    )
    samples = json.dumps({r.task: r.samples() for r in reports}, allow_nan=False)
    (out / "samples.json").write_text(samples + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(reports, facts), encoding="utf-8")
    (out / "report.html").write_text(page(reports, facts, SHOWN), encoding="utf-8")
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
