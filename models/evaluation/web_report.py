"""``report.html``: what came out in a sentence and a table each, then every number beside the
papers', then the first pictures. One file beside its pictures; nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from html import escape
from typing import Any

from models.evaluation import papers
from models.evaluation.estimates import Estimate
from models.evaluation.names import decimals, is_better, metric_label
from models.evaluation.results import Row, TaskReport

SHOWN = 12  # samples with their pictures
# The numbers of a task that a summary gives, as far as they were measured: what leads comes first.
_HEADLINES = {
    "synthesize": ("one_bird", "*_ratio*", "kid_*", "attribute_accuracy", "r_precision"),
    "manipulate": ("edited_attribute_accuracy", "target_l1", "mp", "r_precision"),
    "inpaint": ("psnr_hole", "ssim_center", "ssim_object", "label_miou_*", "attribute_accuracy"),
}
_CONTROLS = {
    "real": "real pictures",
    "no-text": "no caption",
    "shuffled-text": "another caption",
    "blurred-8": "real, blurred to 8×8",
    "identity": "input unchanged",
    "recolour": "whole photo recoloured",
}
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { max-width: 96rem; margin: 2rem auto; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0 }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8884 }
th { font-weight: 600; vertical-align: bottom } td { white-space: nowrap }
td:first-child, th:first-child, .said th, .said td { text-align: left }
small, .paper, .dim { color: light-dark(#666, #aaa) } small { display: block }
.own { background: light-dark(#eef4ff, #1b2740) }
.paper { font-style: italic }
.grid td:first-child { max-width: 16rem; white-space: normal } .grid th { text-align: center }
img { width: 128px; height: auto; image-rendering: pixelated; display: block; margin: auto }
""".strip()


def web_page(reports: Sequence[TaskReport], facts: Mapping[str, Any]) -> str:
    """The whole page."""
    title = f"{facts['bundle']} on {facts['data']}, split {facts['split']}"
    parts = [f"<h1>{escape(title)}</h1>", *_summary(reports, facts)]
    for report in reports:
        parts += [f"<h2>{report.task}</h2>", _numbers(report, str(facts["data"]))]
        parts += [_list(report.notes), "<h3>The first samples, not chosen</h3>", _grid(report)]
    parts += ["<h2>How it was measured</h2>", _list(fact_lines(facts))]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    meta = '<meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en"><head>{head}{meta}</head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """What was measured, by what."""
    final = "Final numbers: nothing is chosen by them." if facts["final"] else "Not final."
    lines = [
        f"bundle sha256 {facts['bundle_sha256'][:12]}, data {facts['data_fingerprint']}, "
        f"{facts['samples']} samples asked for, seed {facts['seed']}",
        f"Split {facts['split']}. {final} Intervals are 95 %. Rates are fractions. †: better than "
        "real pictures by this metric, so no headline. (small): of fewer than 2,048 pictures.",
    ]
    for name, values in facts["judges"].items():
        lines.append(f"{name}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    return [*lines, *facts["notes"]]


def _summary(reports: Sequence[TaskReport], facts: Mapping[str, Any]) -> Iterator[str]:
    """The leading numbers of each task, each with what it is to be compared with."""
    final = "Final numbers." if facts["final"] else "Not final: things are chosen by this split."
    yield f"<p>{final} ↑ higher is better, ↓ lower is better, → 1 is best at 1.</p>"
    rows = [row for report in reports for row in _headlines(report)]
    heads = ("task", "metric", "this bundle", "real pictures", "best of the other rows", "verdict")
    yield _table(heads, rows, "said")


def _headlines(report: TaskReport) -> Iterator[tuple[str, ...]]:
    found = report.rows[report.own].estimates if report.rows else {}
    for pattern in _HEADLINES.get(report.task, ()):
        for metric in (name for name in found if fnmatchcase(name, pattern)):
            digits = _digits(found[metric])
            real = report.rows.get("real", Row()).estimates.get(metric)
            best = _best_other(report, metric)
            yield (
                escape(f"{report.task} by {report.own}"),
                _metric(metric),
                f"<b>{_cell(found[metric], digits)}</b>",
                _cell(real, digits),
                f"{_cell(best[1], digits)}{escape(_label(best[0]))}" if best else "–",
                escape(_verdict(report, metric, best)),
            )


def _best_other(report: TaskReport, metric: str) -> tuple[str, Estimate] | None:
    """The best of what nothing was trained for, and of the method without the right caption."""
    others = [
        (method, row.estimates[metric])
        for method, row in report.rows.items()
        if method not in (report.own, "real") and metric in row.estimates
    ]
    best = None
    for method, estimate in others:
        if best is None or is_better(metric, estimate.value, best[1].value):
            best = method, estimate
    return best


def _verdict(report: TaskReport, metric: str, best: tuple[str, Estimate] | None) -> str:
    """What the intervals say."""
    own = report.rows[report.own].estimates[metric]
    said = []
    if best is not None:
        better = "better" if is_better(metric, own.value, best[1].value) else "worse"
        said = [better if apart(own, best[1]) else "no clear difference"]
    real = report.rows.get("real", Row()).estimates.get(metric)
    if real and report.beats_real(report.own, metric) and apart(own, real):
        said.append("above real pictures, so no proof of looking real")
    return "; ".join(said)


def apart(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals do not touch; a number without one is a point."""
    low, high = _ends(one)
    other_low, other_high = _ends(other)
    return low > other_high or high < other_low


def _ends(estimate: Estimate) -> tuple[float, float]:
    low, high, value = estimate.low, estimate.high, estimate.value
    return value if low is None else low, value if high is None else high


def _numbers(report: TaskReport, data: str) -> str:
    """Every metric of every row; the papers' columns stand beside the bundle's own."""
    rows = report.estimates
    paper = papers.columns(report.task, data)
    lines = []
    for metric in _metrics(rows, paper):
        found = [e[metric] for e in rows.values() if metric in e]
        digits = _digits(found[0]) if found else 2
        n = found[0].n if found else 0
        cells = [
            _cell(e.get(metric), digits, report.beats_real(m, metric), n) for m, e in rows.items()
        ]
        theirs = [f"{c[metric]:.4g}" if metric in c else "–" for c in paper.values()]
        lines.append((_metric(metric), str(n or ""), *cells[:1], *theirs, *cells[1:]))
    names = [_label(method) for method in rows]
    heads = ("metric", "n", *names[:1], *(f"{name}, paper" for name in paper), *names[1:])
    kinds = ("", "", "own", *("paper" for _ in paper), *("" for _ in names[1:]))
    note = f'<p class="dim">{papers.NOTE}</p>' if paper else ""
    return _table(heads, lines, "", kinds) + note


def _metrics(rows: Mapping[str, Mapping[str, Estimate]], paper: papers.Columns) -> list[str]:
    """What was measured; what papers have measured instead, where nothing is the same."""
    own = dict.fromkeys(name for found in rows.values() for name in found)
    theirs = dict.fromkeys(name for found in paper.values() for name in found)
    return [*own, *([] if own.keys() & theirs.keys() else theirs)]


def _digits(estimate: Estimate) -> int:
    return decimals(estimate.value, estimate.low, estimate.high)


def _metric(metric: str) -> str:
    found = metric_label(metric)
    return f"{escape(found.text)} {found.better}<small>{escape(metric)}</small>"


def _label(method: str) -> str:
    return _CONTROLS.get(method, method)


def _cell(
    estimate: Estimate | None, digits: int, beats_real: bool = False, n: int | None = None
) -> str:
    """A number with its marks, its interval below it; with its count where that is not ``n``."""
    if estimate is None:
        return "–"
    marks = ("†" if beats_real else "") + (" (small)" if estimate.small else "")
    marks += "" if n in (None, estimate.n) else f" (n {estimate.n})"
    value = f"{estimate.value:.{digits}f}{marks}"
    low, high = (f"{end:.{digits}f}" for end in _ends(estimate))
    return value if low == high else f"{value}<small>{low} to {high}</small>"


def _grid(report: TaskReport) -> str:
    rows = [
        (escape(case.caption), *(_image(report.task, m, k) for m in report.pictures))
        for k, case in enumerate(report.cases[:SHOWN])
    ]
    return _table(("caption", *map(_label, report.pictures)), rows, "grid")


def _image(task: str, method: str, index: int) -> str:
    place = f"images/{task}/{method}/{index:05d}.png"
    return f'<img loading="lazy" alt="{escape(_label(method))}" src="{place}">'


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], name: str, kinds: Sequence[str] = ()
) -> str:
    """kinds: the class of each column. Cells are HTML, heads are text."""
    kinds = kinds or [""] * len(heads)
    head = "".join(f'<th class="{k}">{escape(h)}</th>' for h, k in zip(heads, kinds, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{k}">{c}</td>' for c, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table class="{name}"><tr>{head}</tr>\n{body}</table></div>'


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
