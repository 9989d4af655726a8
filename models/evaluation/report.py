"""Writes ``--out DIR``: ``report.json``, ``details.json``, ``samples.json``, ``report.md``,
``report.html`` and the grids' pictures under ``images/TASK/METHOD/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.estimates import Estimate
from models.evaluation.report_html import page
from models.evaluation.results import TaskReport
from models.evaluation.tables import PAPERS, Table

SHOWN = 12  # samples in a grid


def write(
    out: Path, reports: Sequence[TaskReport], facts: Mapping[str, Any], *, everything: bool
) -> dict[str, Any]:
    """Write all files; the content of ``report.json``."""
    out.mkdir(parents=True, exist_ok=True)
    numbers = {r.task: r.numbers() for r in reports}
    _json(out / "report.json", numbers)
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
    return numbers


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _save_pictures(folder: Path, report: TaskReport, everything: bool) -> None:
    count = len(report.cases) if everything else SHOWN
    for method, pictures in report.pictures.items():
        (folder / method).mkdir(parents=True, exist_ok=True)
        for k, picture in enumerate(pictures[:count]):
            picture.save(folder / method / f"{k:05d}.png")


def markdown(reports: Sequence[TaskReport], facts: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    parts = [f"# Evaluation of {facts['bundle']} on {facts['data']} ({facts['split']})", ""]
    parts += [_facts(facts), ""]
    for report in reports:
        parts += [f"## {report.task}", "", f"{len(report.cases)} samples.", ""]
        parts += [_table(report), ""]
        parts += [f"- {note}" for note in report.notes]
        parts.append("")
        for table in PAPERS.get(report.task, ()):
            parts += [_paper(table), ""]
    return "\n".join(parts).rstrip() + "\n"


def _facts(facts: Mapping[str, Any]) -> str:
    lines = [
        f"- bundle sha256 `{facts['bundle_sha256'][:12]}`, data `{facts['data_fingerprint']}`, "
        f"{facts['samples']} samples asked for, seed {facts['seed']}",
        "- Intervals are 95 %. Rates are fractions. Snapshots are chosen with "
        "`--split validation` and reported with `--split test`.",
    ]
    for name, told in facts["judges"].items():
        lines.append(f"- {name}: " + ", ".join(f"{k} `{v}`" for k, v in told.items()))
    return "\n".join([*lines, *(f"- {note}" for note in facts["notes"])])


def metrics_of(report: TaskReport) -> list[str]:
    """Every metric of any row, in the order of first appearance."""
    return list(dict.fromkeys(m for row in report.rows.values() for m in row.estimates))


def rounded(value: float) -> str:
    """Four significant digits, at most four decimals."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def shown(estimate: Estimate | None) -> str:
    """A number with its interval."""
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return rounded(estimate.value)
    return f"{rounded(estimate.value)} [{rounded(estimate.low)}, {rounded(estimate.high)}]"


def _table(report: TaskReport) -> str:
    methods = [m for m, row in report.rows.items() if row.estimates]
    lines = ["| metric | n | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    for metric in metrics_of(report):
        cells = [report.rows[m].estimates.get(metric) for m in methods]
        n = next((c.n for c in cells if c), 0)
        lines.append(f"| {metric} | {n} | " + " | ".join(map(shown, cells)) + " |")
    return "\n".join(lines)


def _paper(table: Table) -> str:
    head = f"{table.title}\n\n| model | " + " | ".join(table.columns) + " |\n"
    head += "|---|" + "---|" * len(table.columns) + "\n"
    rows = [f"| {name} | " + " | ".join(cells) + " |" for name, *cells in table.rows]
    return head + "\n".join(rows) + f"\n\n{table.note}"
