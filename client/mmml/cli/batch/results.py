"""``results.csv``: what became of every row."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from mmml.cli.batch.journal import Journal
from mmml.cli.batch.rows import Row

NAME = "results.csv"
COLUMNS = ("row", "task", "text", "status", "seed", "files", "job", "warnings", "error")


def write(folder: Path, rows: Sequence[Row], journal: Journal) -> Path:
    """All rows in the file's order; one that was not reached is ``waiting``. Replaces the file in
    one step.
    """
    path = folder / NAME
    beside = path.with_suffix(".part")
    with beside.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow(COLUMNS)
        table.writerows(_cells(row, journal) for row in rows)
    os.replace(beside, path)  # noqa: PTH105 (the very call that is atomic)
    return path


def _cells(row: Row, journal: Journal) -> list[object]:
    state = journal.state(row)
    return [
        row.number,
        row.task,
        row.fields["text"],
        state.status or "waiting",
        "" if state.seed is None else state.seed,
        " ".join(state.files),
        state.job,
        " ".join(state.warnings),
        state.error,
    ]
