"""What a comparison's intervals tell: which rows are better than which, which are better than doing
without training, and whether the published order holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from benchmarks.method_cells import REFERENCES, Cell, Cells, Column, published


def verdicts(task: str, columns: Sequence[Column], cells: Cells) -> Iterator[str]:
    """Of each column that is judged: which trained rows are better than which, as far as that is
    sure.
    """
    for column in _judged(columns):
        found = {r: c for r, c in _own(task, column, cells).items() if r not in REFERENCES[task]}
        if len(found) < 2:
            continue
        ordered = sorted(found, key=lambda row: found[row].value, reverse=column.more)
        said = [
            f"{row} is better than {', '.join(beaten)}"
            for row in ordered
            if (beaten := [x for x in ordered if _better(column, found[row], found[x])])
        ]
        yield f"{column.name}: {'; '.join(said) or 'no intervals are apart'}."


def unlike_references(task: str, columns: Sequence[Column], cells: Cells) -> Iterator[str]:
    """Of each judged column: which trained rows are better than every row without training."""
    for column in _judged(columns):
        found = _own(task, column, cells)
        untrained = [r for r in REFERENCES[task] if r in found and r != "real"]
        trained = [r for r in found if r not in REFERENCES[task]]
        ahead = [r for r in trained if all(_better(column, found[r], found[x]) for x in untrained)]
        if untrained and trained:
            yield (
                f"{column.name}, better than each of {', '.join(untrained)}: "
                f"{', '.join(ahead) or 'no trained row'}."
            )


def published_order(task: str, columns: Sequence[Column], cells: Cells) -> Iterator[str]:
    """How many pairs of rows that intervals tell apart stand in the papers' order."""
    held, turned, rows = 0, [], published(task)
    for column in _judged(columns):
        found = _own(task, column, cells)
        printed = {row: own[column.metric] for row, own in rows.items() if column.metric in own}
        for a, b in permutations([r for r in printed if r in found], 2):
            if _better(column, found[a], found[b]):
                agrees = (printed[a] > printed[b]) == column.more
                held += agrees
                turned += [] if agrees else [f"{a} before {b} by {column.name}"]
    if held or turned:
        against = f"; against it: {'; '.join(turned)}" if turned else ""
        pairs = f"{held} of {held + len(turned)} pairs with intervals apart stand in the published"
        yield f"{pairs} order{against}."


def _judged(columns: Sequence[Column]) -> list[Column]:
    return [c for c in columns if c.judged]


def _own(task: str, column: Column, cells: Cells) -> dict[str, Cell]:
    """The column's cells by row; no trained row of a single seed, whose next training may differ by
    more than rows do.
    """
    found = {row: c[column.metric] for row, c in cells.items() if column.metric in c}
    return {row: c for row, c in found.items() if len(c.seeds) > 1 or row in REFERENCES[task]}


def _better(column: Column, one: Cell, other: Cell) -> bool:
    return one.above(other) if column.more else other.above(one)
