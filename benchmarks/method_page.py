"""``docs/comparison.md`` from the results of a comparison: the budget, the papers' tables with ours
beside them, verdicts where intervals are apart, and what can't be concluded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.method_cells import COLUMNS, KINDS, Cells, Column, published, read_cells
from benchmarks.method_verdicts import published_order, unlike_references, verdicts
from models.evaluation.report import table_line

_TEMPLATE = Path(__file__).with_name("comparison.md")  # sections of tasks begin with their titles
_WIDTH = 120
PUBLISHED_PICTURES = 600 * 8855  # of ManiGAN, TAGAN and SISGAN
Printed = Mapping[str, Mapping[str, float]]  # by row and metric
_HEADLINES = ("kid_", "mp", "l1_center", "l1_object")
_TITLES = {"synthesize": "Synthesis", "manipulate": "Manipulation", "inpaint": "Inpainting"}
_OUTLINES = """
Object masks are estimates: what GrabCut cuts out of the middle of a photo, as this copy of the data
has no segmentations (`benchmarks/object_masks.py`). Where it finds nothing, the photo is left out.
"""
_ONE_SEED = """
**No verdict goes by rows of a single seed**, whose ± is that of pictures alone: another training
may differ by more than rows do.
"""


def page(results: Mapping[str, Any]) -> str:
    """The whole page; results: of :func:`benchmarks.method_report.results`."""
    tasks = results["tasks"]
    head, *sections = re.split(r"\n(?=## )", _TEMPLATE.read_text(encoding="utf-8"))
    own = {f"## {title}\n": task for task, title in _TITLES.items()}
    parts = [head.format(**_head(results))]
    for section in sections:
        task = own.get(section[: section.index("\n") + 1])
        if task is None:
            parts.append(section.format(interpolation=_interpolation(tasks)))
        elif task in tasks:
            parts.append(section.format(**_task(task, tasks[task])))
    paragraphs = "\n\n".join(parts).strip().split("\n\n")
    return "\n\n".join(_wrapped(part.strip("\n")) for part in paragraphs if part.strip()) + "\n"


def _wrapped(part: str) -> str:
    """A paragraph at the width of the documentation; tables, lists and blocks as they are."""
    if part.startswith(("|", "#", "!", "`" * 3)):
        return part
    items = part.startswith("- ")
    lines = re.split(r"\n(?=- )", part) if items else [part]
    indent = "  " if items else ""
    return "\n".join(
        fill(
            " ".join(x.split()),
            _WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for x in lines
    )


def _head(results: Mapping[str, Any]) -> dict[str, Any]:
    budget, tasks = results["budget"], results["tasks"]
    trained = [r for rows in tasks.values() for r in rows.values() if "seeds" in r]
    seeds = sorted({row["seeds"] for row in trained}) or [0]
    minutes = [row["costs"]["minutes"] for row in trained] or [0.0]
    remarks = [_OUTLINES] if results["outlined"] else []
    remarks += [_ONE_SEED] if 1 in seeds else []
    remarks += [f"**Incomplete.** {results['failed']}"] if results["failed"] else []
    return {
        **budget,
        "photos": results["photos"],
        "fewest": min(minutes),
        "most": max(minutes),
        "seeds": " or ".join(map(str, seeds)),
        "times": PUBLISHED_PICTURES / budget["pictures"],
        "remarks": "\n\n".join(remarks),
        "short": _short(tasks),
    }


def _short(tasks: Mapping[str, Any]) -> str:
    """What training brought, by each task's first measure."""
    said = [
        f"{title}: {line}"
        for task, title in _TITLES.items()
        for column in COLUMNS[task]
        if task in tasks and column.metric in _HEADLINES
        for line in unlike_references(task, [column], read_cells(task, tasks[task]))
    ]
    return f"In short, as far as intervals tell:\n\n{_list(said)}" if said else ""


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _task(task: str, rows: Mapping[str, Any]) -> dict[str, str]:
    """What the section of a task is filled with."""
    columns, cells, printed = COLUMNS[task], read_cells(task, rows), published(task)
    tables = _mask_tables if task == "inpaint" else _table
    said = (verdicts, unlike_references, published_order)
    return {
        "tables": tables(columns, cells, printed),
        "verdicts": _list([line for found in said for line in found(task, columns, cells)]),
        "costs": _costs(rows),
    }


def _mask_tables(columns: Sequence[Column], cells: Cells, printed: Printed) -> str:
    """Of each kind of masks, and of their difference."""
    parts = []
    for kind, title in KINDS.items():
        own = [c for c in columns if c.metric.endswith(kind)]
        parts += [f"{title}:", _table(own, cells, printed)]
    parts.append("Centre less object masks (published: of the two tables above, without sign):")
    parts.append(_table(*_differences(columns, cells), _published_differences(printed)))
    return "\n\n".join(parts)


def _differences(columns: Sequence[Column], cells: Cells) -> tuple[list[Column], Cells]:
    """Of both kinds of masks, where a row has both."""
    a, b = KINDS
    both = [(c.metric, c.metric.removesuffix(a) + b) for c in columns if c.metric.endswith(a)]
    found = {
        row: {one: own[one].minus(own[two]) for one, two in both if one in own and two in own}
        for row, own in cells.items()
    }
    kept = [replace(c, arrow="") for c in columns if c.metric.endswith(a)]
    return kept, {row: own for row, own in found.items() if own and row != "real"}


def _published_differences(printed: Printed) -> Printed:
    """As the papers print them, without sign."""
    a, b = KINDS
    return {
        row: {k: abs(v - own[k.removesuffix(a) + b]) for k, v in own.items() if k.endswith(a)}
        for row, own in printed.items()
    }


def _table(columns: Sequence[Column], cells: Cells, printed: Printed) -> str:
    theirs = [c for c in columns if any(c.metric in own for own in printed.values())]
    heads = [f"{c.title} {c.arrow}".strip() for c in columns]
    heads.append("published †: " + ", ".join(c.title.split(",")[0] for c in theirs))
    lines = [table_line("", *heads), "|---" * (2 + len(columns)) + "|"]
    for row, found in cells.items():
        own = [str(found[c.metric]) if c.metric in found else "–" for c in columns]
        numbers = [f"{printed.get(row, {}).get(c.metric, 0):.4g}" for c in theirs]
        lines.append(table_line(row, *own, ", ".join(numbers) if row in printed else "–"))
    return "\n".join(lines)


def _costs(rows: Mapping[str, Any]) -> str:
    heads = ("seeds", "steps", "pictures a step", "minutes trained", "parameters, million")
    lines = [table_line("", *heads, "CPU ms a picture"), "|---" * (2 + len(heads)) + "|"]
    for label, row in rows.items():
        if "costs" in row:
            cost = row["costs"]
            counts = (str(row[k]) for k in ("seeds", "steps", "batch"))
            numbers = (f"{cost['minutes']:.1f}", f"{cost['parameters']:.2f}", f"{cost['ms']:.1f}")
            lines.append(table_line(label, *counts, *numbers))
    return "\n".join(lines)


def _interpolation(tasks: Mapping[str, Any]) -> str:
    """Of the questions that the project began with, the one that rows answer."""
    rows = tasks.get("synthesize", {})
    pair = ("efficient-t2i-interpolated", "efficient-t2i")
    if not all(row in rows for row in pair):
        return ""
    cells = read_cells("synthesize", {row: rows[row] for row in pair})
    said = _list(list(verdicts("synthesize", COLUMNS["synthesize"], cells)))
    return f"Interpolation, as measured here:\n\n{said}" if said else ""
