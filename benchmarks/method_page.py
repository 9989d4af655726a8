"""``docs/comparison.md`` from the results of a comparison: the budget, the papers' tables with ours
beside them, and verdicts where intervals are apart. The page is its own template: what stands
between ``<!-- NAME -->`` and ``<!-- / -->`` is written anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

from benchmarks.method_cells import COLUMNS, KINDS, Cells, Column, published, read_cells
from benchmarks.method_verdicts import published_order, unlike_references, verdicts
from models.tables import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "comparison.md"
_ITEMS = TextWrapper(120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
PUBLISHED_PICTURES = 600 * 8855  # of ManiGAN, TAGAN and SISGAN
Printed = Mapping[str, Mapping[str, float]]  # by row and metric
_HEADLINES = ("kid_", "mp", "l1_center", "l1_object")
_TASKS = {"Synthesis": "synthesize", "Manipulation": "manipulate", "Inpainting": "inpaint"}
_COMMAND = """\
```sh (not run: takes hours)
python -m benchmarks.compare_methods --data {data} --pictures {pictures} --batch {batch} \\
    --samples {samples} --out comparison --ship
```"""
_BUDGET = (
    "**Each training sees {pictures:,} pictures of {size} pixels (with repeats, of {photos:,} "
    "photos), which takes {fewest:.1f} to {most:.1f} minutes of wall time on {threads} thread(s); "
    "seeds of each row: {seeds}.** ManiGAN, TAGAN and SISGAN were published after 600 epochs of "
    "8,855 photos, {times:,.0f} times as many.",
    "Frozen encoders of every row: `weights/{encoders}`. Evaluated: {samples} pictures of the "
    "split *validation*, of each kind of mask.",
)
_OUTLINES = (
    "Object masks are estimates: what GrabCut cuts out of the middle of a photo, as this copy of "
    "the data has no segmentations (`benchmarks/object_masks.py`). Where it finds nothing, the "
    "photo is left out."
)
_ONE_SEED = (
    "**No verdict goes by rows of a single seed**, whose ± is that of pictures alone: another "
    "training may differ by more than rows do."
)


def page(results: Mapping[str, Any]) -> str:
    """The whole page; results: of :func:`benchmarks.method_report.results`."""
    head, *sections = re.split(r"(?<=\n)(?=## )", PAGE.read_text(encoding="utf-8"))
    parts = [_filled(head, _head(results))]
    for section in sections:
        task = _TASKS.get(section[3 : section.index("\n")])
        rows = results["tasks"].get(task)
        blocks = _task(task, rows) if task and rows else defaultdict(lambda: "Not measured here.")
        parts.append(_filled(section, blocks))
    return "".join(parts)


def _filled(text: str, blocks: Mapping[str, str]) -> str:
    def block(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n\n{blocks[found[1]]}\n\n<!-- / -->"

    return re.sub(r"<!-- (\w+) -->.*?<!-- / -->", block, text, flags=re.DOTALL)


def _head(results: Mapping[str, Any]) -> dict[str, str]:
    budget, tasks = results["budget"], results["tasks"]
    trained = [r for rows in tasks.values() for r in rows.values() if "seeds" in r]
    seeds = sorted({row["seeds"] for row in trained}) or [0]
    minutes = [row["costs"]["minutes"] for row in trained] or [0.0]
    facts = {
        **budget,
        "photos": results["photos"],
        "fewest": min(minutes),
        "most": max(minutes),
        "seeds": " or ".join(map(str, seeds)),
        "times": PUBLISHED_PICTURES / budget["pictures"],
    }
    remarks = [text.format(**facts) for text in _BUDGET]
    remarks += [_OUTLINES] if results["outlined"] else []
    remarks += [_ONE_SEED] if 1 in seeds else []
    remarks += [f"**Incomplete.** {results['failed']}"] if results["failed"] else []
    return {"command": _COMMAND.format(**facts), "budget": _list(remarks), "short": _short(tasks)}


def _short(tasks: Mapping[str, Any]) -> str:
    """What training brought, by each task's first measure."""
    return _list(
        f"{title}: {line}"
        for title, task in _TASKS.items()
        for column in COLUMNS[task]
        if task in tasks and column.metric in _HEADLINES
        for line in unlike_references(task, [column], read_cells(task, tasks[task]))
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(_ITEMS.fill(f"- {line}") for line in lines)


def _task(task: str, rows: Mapping[str, Any]) -> dict[str, str]:
    """What the section of a task is filled with."""
    columns, cells, printed = COLUMNS[task], read_cells(task, rows), published(task)
    tables = _mask_tables if task == "inpaint" else _table
    said = (verdicts, unlike_references, published_order)
    return {
        "tables": tables(columns, cells, printed),
        "verdicts": _list(line for found in said for line in found(task, columns, cells)),
        "costs": _costs(rows),
    }


def _mask_tables(columns: Sequence[Column], cells: Cells, printed: Printed) -> str:
    """Of each kind of masks, and of their difference."""
    parts = []
    for kind, title in KINDS.items():
        own = [c for c in columns if c.metric.endswith(kind)]
        parts += [f"{title}:", _table(own, cells, printed)]
    parts.append("Centre less object masks (published: of the two tables above, without sign):")
    parts.append(_differences(columns, cells, printed))
    return "\n\n".join(parts)


def _differences(columns: Sequence[Column], cells: Cells, printed: Printed) -> str:
    """Of both kinds of masks, where a row has both; published ones as printed, without sign."""
    a, b = KINDS
    centre = [replace(c, arrow="") for c in columns if c.metric.endswith(a)]
    pairs = [(c.metric, c.metric.removesuffix(a) + b) for c in centre]
    found = {
        row: {one: own[one].minus(own[two]) for one, two in pairs if one in own and two in own}
        for row, own in cells.items()
        if row != "real"
    }
    theirs = {row: {x: abs(own[x] - own[y]) for x, y in pairs} for row, own in printed.items()}
    return _table(centre, {row: own for row, own in found.items() if own}, theirs)


def _table(columns: Sequence[Column], cells: Cells, printed: Printed) -> str:
    theirs = [c for c in columns if any(c.metric in own for own in printed.values())]
    heads = [f"{c.title} {c.arrow}".strip() for c in columns]
    heads.append("published †: " + ", ".join(c.title.split(",")[0] for c in theirs))
    lines = []
    for row, found in cells.items():
        own = [str(found[c.metric]) if c.metric in found else "–" for c in columns]
        numbers = [f"{printed.get(row, {}).get(c.metric, 0):.4g}" for c in theirs]
        lines.append([row, *own, ", ".join(numbers) if row in printed else "–"])
    return markdown_table(["", *heads], lines)


def _costs(rows: Mapping[str, Any]) -> str:
    heads = ("seeds", "steps", "pictures a step", "minutes trained", "parameters, million")
    lines = []
    for label, row in rows.items():
        if "costs" in row:
            cost = row["costs"]
            counts = (str(row[k]) for k in ("seeds", "steps", "batch"))
            numbers = (f"{cost['minutes']:.1f}", f"{cost['parameters']:.2f}", f"{cost['ms']:.1f}")
            lines.append([label, *counts, *numbers])
    return markdown_table(["", *heads, "CPU ms a picture"], lines)
