"""The report as Markdown, and its tables of numbers for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.evaluation.estimates import Estimate
from models.evaluation.results import TaskReport
from models.evaluation.tables import PAPERS, Table


def markdown(reports: Sequence[TaskReport], facts: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    parts = [f"# Evaluation of {facts['bundle']} on {facts['data']} ({facts['split']})", ""]
    parts += [_facts(facts), ""]
    for report in reports:
        parts += [f"## {report.task}", "", f"{len(report.cases)} samples.", ""]
        parts += [table(report), ""]
        parts += [f"- {note}" for note in report.notes]
        parts.append("")
        for paper in PAPERS.get(report.task, ()):
            parts += [_paper(paper), ""]
    return "\n".join(parts).rstrip() + "\n"


def _facts(facts: Mapping[str, Any]) -> str:
    lines = [
        f"- bundle sha256 `{facts['bundle_sha256'][:12]}`, data `{facts['data_fingerprint']}`, "
        f"{facts['samples']} samples asked for, seed {facts['seed']}",
        f"- {' '.join(legend(facts))}",
    ]
    for name, told in facts["judges"].items():
        lines.append(f"- {name}: " + ", ".join(f"{k} `{v}`" for k, v in told.items()))
    return "\n".join([*lines, *(f"- {note}" for note in facts["notes"])])


def legend(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """How the numbers are to be read."""
    final = "Final numbers: nothing is chosen by them." if facts["final"] else "Not final."
    return (
        f"Split {facts['split']}. {final} Intervals are 95 %. Rates are fractions.",
        "†: better than real pictures by this metric, so it is no headline.",
        "(small): of fewer than 2,048 pictures.",
    )


def metrics_of(report: TaskReport) -> list[str]:
    """Every metric of any row, in the order of first appearance."""
    return list(dict.fromkeys(m for row in report.rows.values() for m in row.estimates))


def rounded(value: float) -> str:
    """Four significant digits, at most four decimals."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def shown(estimate: Estimate | None, mark: str = "") -> str:
    """A number with its interval."""
    if estimate is None:
        return "–"
    value = rounded(estimate.value) + mark
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{rounded(estimate.low)}, {rounded(estimate.high)}]"


def mark(report: TaskReport, method: str, metric: str) -> str:
    """What :func:`legend` explains, behind a number."""
    estimate = report.rows[method].estimates.get(metric)
    small = " (small)" if estimate and estimate.small else ""
    return ("†" if report.beats_real(method, metric) else "") + small


def table(report: TaskReport) -> str:
    """Every metric of every row with sample counts and intervals, as Markdown."""
    methods = [m for m, row in report.rows.items() if row.estimates]
    lines = ["| metric | n | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    for metric in metrics_of(report):
        found = {m: report.rows[m].estimates.get(metric) for m in methods}
        n = next((e.n for e in found.values() if e), 0)
        cells = [shown(e, mark(report, m, metric)) for m, e in found.items()]
        lines.append(f"| {metric} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _paper(table: Table) -> str:
    head = f"{table.title}\n\n| model | " + " | ".join(table.columns) + " |\n"
    head += "|---|" + "---|" * len(table.columns) + "\n"
    rows = [f"| {name} | " + " | ".join(cells) + " |" for name, *cells in table.rows]
    return head + "\n".join(rows) + f"\n\n{table.note}"
