"""The report as one HTML page that needs nothing else: pictures are data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image

from models.evaluation.estimates import Estimate
from models.evaluation.report_markdown import legend, mark
from models.evaluation.results import TaskReport
from models.evaluation.tables import PAPERS, Table

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d8dde2;
  --paper: #fbfbfa; --card: #fff; --mark: #0b6bcb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a3acb5; --line: #343a41;
  --paper: #15181b; --card: #1d2125; --mark: #7db8ff; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; background: var(--card);
  font-size: .88rem; }
th, td { padding: .35rem .6rem; border: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; } td small { color: var(--soft); display: block; }
caption { text-align: left; color: var(--soft); padding: .3rem 0; }
.grid td, .grid th { text-align: left; white-space: normal; vertical-align: middle; }
.grid img { width: 96px; height: auto; display: block; border-radius: 4px; }
.grid .caption { max-width: 18rem; }
ul { color: var(--soft); padding-left: 1.2rem; } code { font-size: .85em; overflow-wrap: anywhere; }
a { color: var(--mark); }
"""


def page(reports: Sequence[TaskReport], facts: Mapping[str, Any], shown: int) -> str:
    """The whole page; ``shown`` samples per grid."""
    title = escape(f"{facts['bundle']} on {facts['data']} ({facts['split']})")
    links = " · ".join(f'<a href="#{r.task}">{r.task}</a>' for r in reports)
    body = "\n".join(_section(r, shown) for r in reports)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evaluation: {title}'
        f'</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><main><h1>Evaluation of {title}</h1>"
        f"<nav>{links}</nav>{_facts(facts)}\n{body}</main></body></html>\n"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    told = [
        f"bundle sha256 <code>{escape(facts['bundle_sha256'][:12])}</code>, data "
        f"<code>{escape(facts['data_fingerprint'])}</code>, {facts['samples']} samples asked for, "
        f"seed {facts['seed']}",
        escape(" ".join(legend(facts))),
    ]
    for name, values in facts["judges"].items():
        said = ", ".join(f"{escape(k)} <code>{escape(str(v))}</code>" for k, v in values.items())
        told.append(f"Judge: {escape(name)}: {said}")
    return _list([*told, *map(escape, facts["notes"])])


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>" if lines else ""


def _section(report: TaskReport, shown: int) -> str:
    papers = "".join(_paper(t) for t in PAPERS.get(report.task, ()))
    return (
        f'<section><h2 id="{report.task}">{report.task}</h2>{_numbers(report)}'
        f"{_list([escape(n) for n in report.notes])}{_grid(report, shown)}{papers}</section>"
    )


def _numbers(report: TaskReport) -> str:
    methods = [m for m, row in report.rows.items() if row.estimates]
    head = "".join(f'<th scope="col">{escape(m)}</th>' for m in methods)
    metrics = dict.fromkeys(k for m in methods for k in report.rows[m].estimates)
    rows = []
    for metric in metrics:
        found = [report.rows[m].estimates.get(metric) for m in methods]
        n = next((e.n for e in found if e), 0)
        cells = "".join(
            f"<td>{_cell(e, mark(report, m, metric))}</td>"
            for m, e in zip(methods, found, strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(metric)}</th><td>{n}</td>{cells}</tr>')
    return (
        f'<div class="scroll"><table><caption>{len(report.cases)} samples; small print: 95 % '
        f'interval</caption><thead><tr><th scope="col">metric</th><th scope="col">n</th>{head}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(estimate: Estimate | None, marked: str) -> str:
    if estimate is None:
        return "–"
    digits = 4 if abs(estimate.value) < 10 else 2
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}{marked}"
    ends = f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
    return f"{estimate.value:.{digits}f}{marked}<small>{ends}</small>"


def _grid(report: TaskReport, shown: int) -> str:
    head = "".join(f'<th scope="col">{escape(m)}</th>' for m in report.pictures)
    rows = []
    for k, case in enumerate(report.cases[:shown]):
        cells = "".join(
            f'<td><img alt="{escape(method)}, sample {k}" src="{data_url(pictures[k])}"></td>'
            for method, pictures in report.pictures.items()
        )
        said = f"{escape(case.caption)}<br><small>seed {case.seed}</small>"
        rows.append(f'<tr><th scope="row" class="caption">{said}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="grid"><caption>The first samples, not chosen</caption>'
        f'<thead><tr><th scope="col">caption</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f"</table></div>"
    )


def data_url(picture: Image.Image) -> str:
    """The picture as a PNG inside a URL."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _paper(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(c)}</td>" for c in cells)
        + "</tr>"
        for name, *cells in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption><thead><tr>'
        f'<th scope="col">model</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<p><small>{escape(table.note)}</small></p>"
    )
