"""Two evaluations beside each other: differences with intervals, and paired picture grids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.errors import ModelsError
from models.evaluation.estimates import (
    Estimate,
    Scores,
    independent_difference,
    paired_difference,
)
from models.evaluation.report_html import STYLE, data_url

_SHOWN = 12


class CompareError(ModelsError):
    """A folder is no evaluation; the text says what to run."""


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` wrote: facts, details by task, method and metric, and samples by task."""

    folder: Path
    facts: dict[str, Any]
    details: dict[str, dict[str, dict[str, dict[str, Any]]]]
    samples: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.facts['bundle']} {self.facts['bundle_sha256'][:8]}"


def read(folder: Path) -> Evaluation:
    """Read an evaluation. Raises CompareError when the folder holds none."""
    try:
        details = json.loads((folder / "details.json").read_text(encoding="utf-8"))
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        return Evaluation(folder, details["facts"], details["tasks"], samples)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CompareError(
            f"{folder} holds no evaluation ({error}); make one by "
            f"`python -m models evaluate BUNDLE --data aviary --out {folder}`."
        ) from error


Differences = dict[str, dict[str, dict[str, Estimate]]]


def compare(first: Path, second: Path, out: Path | None) -> str:
    """Markdown of B − A for every number that both have; with ``out`` also compare.html, .json."""
    a, b = read(first), read(second)
    found = differences(a, b)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.json").write_text(json.dumps(_plain(found), indent=1) + "\n")
        (out / "compare.html").write_text(_page(a, b, found), encoding="utf-8")
        (out / "compare.md").write_text(markdown(a, b, found), encoding="utf-8")
    return markdown(a, b, found)


def differences(a: Evaluation, b: Evaluation) -> Differences:
    """B − A by task, method and metric; paired where captions and seeds are the same."""
    found: Differences = {}
    for task in (t for t in a.details if t in b.details):
        same = all(a.samples[task][k] == b.samples[task][k] for k in ("captions", "seeds"))
        for method, metrics in a.details[task].items():
            others = b.details[task].get(method, {})
            for metric in (m for m in metrics if m in others):
                pair = _scores(a, task, method, metric), _scores(b, task, method, metric)
                one = _difference(metrics[metric], others[metric], pair if same else (None, None))
                found.setdefault(task, {}).setdefault(method, {})[metric] = one
    return found


def _difference(
    a: Mapping[str, Any], b: Mapping[str, Any], pair: tuple[Scores | None, Scores | None]
) -> Estimate:
    first, second = pair
    if first is not None and second is not None and len(first.values) == len(second.values):
        return paired_difference(second, first)
    return independent_difference(_estimate(b), _estimate(a))


def _estimate(raw: Mapping[str, Any]) -> Estimate:
    return Estimate(raw["value"], raw["low"], raw["high"], raw["n"], raw["by"])


def _scores(of: Evaluation, task: str, method: str, metric: str) -> Scores | None:
    values = of.samples[task]["values"].get(method, {}).get(metric)
    if values is None:
        return None
    weights = of.samples[task]["weights"].get(method, {}).get(metric, [1.0] * len(values))
    numbers = np.array([0.0 if v is None else v for v in values])
    return Scores(numbers, np.array(weights, np.float64))


def _plain(found: Differences) -> dict[str, Any]:
    return {
        t: {
            m: {
                k: {"difference": e.value, "low": e.low, "high": e.high, "n": e.n, "by": e.interval}
                for k, e in metrics.items()
            }
            for m, metrics in methods.items()
        }
        for t, methods in found.items()
    }


def _rows(a: Evaluation, b: Evaluation, found: Differences) -> list[tuple[str, ...]]:
    """(task, method, metric, A, B, B − A, interval, by) of each difference."""
    rows = []
    for task, methods in found.items():
        for method, metrics in methods.items():
            for metric, e in metrics.items():
                values = [x.details[task][method][metric]["value"] for x in (a, b)]
                ends = "–" if e.low is None else f"[{e.low:+.4f}, {e.high:+.4f}]"
                told = [f"{v:.4f}" for v in values]
                rows.append((task, method, metric, *told, f"{e.value:+.4f}", ends, e.interval))
    return rows


_HEAD = ("task", "method", "metric", "A", "B", "B − A", "95 %", "by")


def markdown(a: Evaluation, b: Evaluation, found: Differences) -> str:
    """The differences as a Markdown table."""
    lines = [f"A: {a.name}; B: {b.name}", "", "| " + " | ".join(_HEAD) + " |", "|---" * 8 + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(a, b, found)]
    return "\n".join(lines) + "\n"


def _page(a: Evaluation, b: Evaluation, found: Differences) -> str:
    head = "".join(f'<th scope="col">{h}</th>' for h in _HEAD)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>"
        for row in _rows(a, b, found)
    )
    grids = "".join(_grid(a, b, task) for task in found)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Comparison</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>Comparison</h1>"
        f"<p>A: {escape(a.name)}<br>B: {escape(b.name)}</p>{grids}<h2>Differences</h2>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></main></body></html>\n"
    )


def _grid(a: Evaluation, b: Evaluation, task: str) -> str:
    """The same samples by A and by B, where both kept pictures."""
    columns = [(label, e, m) for m in _made(a, task) for label, e in (("A", a), ("B", b))]
    head = "".join(f'<th scope="col">{lab} {escape(m)}</th>' for lab, _, m in columns)
    rows = []
    for k, caption in enumerate(a.samples[task]["captions"][:_SHOWN]):
        cells = [_picture(e.folder / "images" / task / m / f"{k:05d}.png") for _, e, m in columns]
        if all(cells) and caption == b.samples[task]["captions"][k]:
            said = f'<th scope="row" class="caption">{escape(caption)}</th>'
            rows.append(f"<tr>{said}{''.join(cells)}</tr>")
    if not rows:
        return ""
    return (
        f'<h2>{task}</h2><div class="scroll"><table class="grid"><thead><tr><th scope="col">'
        f"caption</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _made(of: Evaluation, task: str) -> list[str]:
    """The columns worth comparing: what the bundle itself made, after the input."""
    folder = of.folder / "images" / task
    methods = [m for m in ("input", "efficient-t2i", "manigan", "tdanet") if (folder / m).is_dir()]
    return methods or sorted(p.name for p in folder.glob("*"))[:2]


def _picture(path: Path) -> str:
    if not path.exists():
        return ""
    with Image.open(path) as picture:
        return f'<td><img alt="{escape(path.parent.name)}" src="{data_url(picture)}"></td>'
