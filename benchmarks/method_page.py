"""``docs/comparison.md`` from the results of a comparison: the budget, the papers' tables with ours
beside them, verdicts where intervals are apart, and what can't be concluded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import fill
from typing import Any

from benchmarks.method_cells import COLUMNS, KINDS, Cells, Column, published, read_cells
from benchmarks.method_text import (
    BUDGET,
    CELLS,
    COMMAND,
    INTRODUCTION,
    NOTES,
    ONE_SEED,
    OUTLINES,
    PUBLISHED_PICTURES,
    QUESTIONS,
    SAME,
    SHEETS,
)
from benchmarks.method_verdicts import published_order, unlike_references, verdicts
from models.evaluation.report import table_line

_WIDTH = 120
Printed = Mapping[str, Mapping[str, float]]  # by row and metric
_HEADLINES = ("kid_", "mp", "l1_center", "l1_object")
_TITLES = {"synthesize": "Synthesis", "manipulate": "Manipulation", "inpaint": "Inpainting"}


def page(results: Mapping[str, Any]) -> str:
    """The whole page; results: of :func:`benchmarks.method_report.results`."""
    tasks = results["tasks"]
    parts = ["# All methods on one budget", *_head(results), *_short(tasks)]
    for task, title in _TITLES.items():
        if task in tasks:
            parts += [f"## {title}", *_task(task, tasks[task])]
    parts += ["## Open questions", *_questions(tasks)]
    return "\n\n".join(_wrapped(part) for part in parts if part) + "\n"


def _wrapped(part: str) -> str:
    """A paragraph at the width of the documentation; tables, lists and blocks as they are."""
    if part.lstrip().startswith(("|", "#", "!", "`" * 3)) or "\n\n" in part:
        return part
    lines = part.splitlines() if part.startswith("- ") else [" ".join(part.split())]
    indent = "  " if part.startswith("- ") else ""
    return "\n".join(
        fill(x, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for x in lines
    )


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    budget = results["budget"]
    trained = [r for rows in results["tasks"].values() for r in rows.values() if "seeds" in r]
    seeds = sorted({row["seeds"] for row in trained}) or [0]
    minutes = [row["costs"]["minutes"] for row in trained] or [0.0]
    words = {
        **budget,
        "photos": results["photos"],
        "fewest": min(minutes),
        "most": max(minutes),
        "seeds": " or ".join(map(str, seeds)),
        "times": PUBLISHED_PICTURES / budget["pictures"],
    }
    paragraphs = (INTRODUCTION, COMMAND, BUDGET, SAME, CELLS)
    yield from (text.format(**words) for text in paragraphs)
    yield from (
        text for text, needed in ((OUTLINES, results["outlined"]), (ONE_SEED, 1 in seeds)) if needed
    )
    if results["failed"]:
        yield f"**Incomplete.** {results['failed']}"


def _short(tasks: Mapping[str, Any]) -> Iterator[str]:
    """What training brought, by each task's first measure."""
    said = [
        f"- {title}: {line}"
        for task, title in _TITLES.items()
        for column in COLUMNS[task]
        if task in tasks and column.metric in _HEADLINES
        for line in unlike_references(task, [column], read_cells(task, tasks[task]))
    ]
    if said:
        yield "In short, as far as intervals tell:"
        yield "\n".join(said)


def _task(task: str, rows: Mapping[str, Any]) -> Iterator[str]:
    columns, cells, printed = COLUMNS[task], read_cells(task, rows), published(task)
    if task == "inpaint":
        for kind, title in KINDS.items():
            own = [c for c in columns if c.metric.endswith(kind)]
            yield f"{title}:\n\n{_table(own, cells, printed)}"
        yield (
            "Centre less object masks (published: of the two tables above, without sign):\n\n"
            f"{_table(*_differences(columns, cells), _published_differences(printed))}"
        )
    else:
        yield _table(columns, cells, printed)
    yield NOTES[task]
    said = (verdicts, unlike_references, published_order)
    yield "\n".join(f"- {line}" for found in said for line in found(task, columns, cells))
    yield _costs(rows)
    yield f"![{_TITLES[task]}, first samples](pictures/compare-{task}.webp)"
    yield SHEETS[task]


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


def _questions(tasks: Mapping[str, Any]) -> Iterator[str]:
    """The questions that the project began with, and what is measured of each."""
    yield "\n".join(f"- {line}" for line in QUESTIONS)
    rows = tasks.get("synthesize", {})
    pair = ("efficient-t2i-interpolated", "efficient-t2i")
    if all(row in rows for row in pair):
        cells = read_cells("synthesize", {row: rows[row] for row in pair})
        said = [f"- {line}" for line in verdicts("synthesize", COLUMNS["synthesize"], cells)]
        if said:
            yield "Interpolation, as measured here:"
            yield "\n".join(said)
