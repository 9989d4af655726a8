"""The table: rows with exactly these keys, merged fault by fault."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.faults import Fault, Finding, Tally
from tests.chaos.table import Table, row, verdict

KEYS = ["runs", "lost", "duplicated", "seconds_max", "bar", "ok"]


def tally(name: str, *findings: Finding, seconds: float = 10.0) -> Tally:
    fault: Fault[object] = Fault(name, "nothing is lost", lambda _: Finding(), seconds)
    return Tally(fault, list(findings))


def test_a_row_sums_up_its_trials() -> None:
    found = row(tally("a", Finding(seconds=2), Finding(1, 2, 4.567)))
    assert list(found) == KEYS
    assert list(found.values()) == [2, 1, 2, 4.57, "nothing is lost", False]


def test_what_makes_a_row_hold() -> None:
    assert tally("a", Finding(seconds=9)).ok
    assert not tally("a").ok  # never tried
    assert not tally("a", Finding(), Finding(lost=1)).ok
    assert not tally("a", Finding(duplicated=1)).ok
    assert not tally("a", Finding(seconds=11)).ok
    assert not tally("a", Finding().but("the worker did not die")).ok


def test_rows_are_merged(tmp_path: Path) -> None:
    table = Table(tmp_path / "results")
    order = ["a", "b", "c"]
    table.merge([tally("c", Finding()), tally("b", Finding(lost=1))], order, quick=True)
    table.merge([tally("b", Finding(seconds=3)), tally("a", Finding())], order, quick=False)
    rows = json.loads((table.folder / "chaos.json").read_text())
    assert list(rows) == order
    assert all(list(found) == KEYS for found in rows.values())
    assert rows["b"]["ok"]
    abouts = table.abouts()
    assert [abouts[name]["quick"] for name in order] == [False, False, True]
    lines = (table.folder / "chaos.md").read_text().splitlines()
    assert len(lines) == 2 + 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_rows_of_faults_that_are_gone_go(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.merge([tally("old", Finding())], ["old"], quick=True)
    table.merge([tally("new", Finding())], ["new"], quick=True)
    assert list(table.rows()) == ["new"]


def test_the_last_line_counts() -> None:
    assert verdict([tally("a", Finding()), tally("b", Finding(lost=1))]) == (
        "chaos: 1/2 faults hold"
    )
