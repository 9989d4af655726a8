"""The result files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.bench.bars import BARS
from benchmarks.bench.tables import Results, finite

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "python": "3.11",
    "versions": {"torch": "2"},
    "commit": "abc",
    "date": "today",
    "load_before": 0.5,
}


def contest(rate: float) -> dict[str, Any]:
    result = {"rate": rate, "p50": 1.0, "p95": 2.0, "p99": math.inf, "failures": 0}
    return {
        "closed": {"raw": result, "service": result, "litserve": result},
        "ratios": {"rate/raw": 1.0, "rate/litserve": 1.0, "p95/litserve": 1.0},
        "costs": {"raw": {}, "service": {"gateway": 900.0}, "litserve": {"litserve": 500.0}},
        "open": [{"load": 0.5, "offered": 50.0, "service": result, "litserve": result}],
    }


def test_parts_are_replaced_one_by_one(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.keep("hard", contest(500), MACHINE)
    results.keep("workers", {"rates": {"1": 50.0, "4": 190.0}, "speedup": 3.8}, MACHINE)
    rows = Results(tmp_path).keep("hard", contest(700), MACHINE)
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["bars"] == rows
    assert all(list(row) == ["name", "value", "bar", "ok"] for row in rows)
    assert [row["value"] for row in rows if row["name"].endswith("over HTTP")] == [700]
    assert [row["value"] for row in rows if row["name"].startswith("workers")] == [3.8]
    page = (tmp_path / "bench.md").read_text()
    assert "gateway 900" in page
    assert "a processor, 2 cores" in page


def test_rows_of_other_benchmarks_stand_in_the_table(tmp_path: Path) -> None:
    row = {"name": "forward: fast", "value": 2.6, "bar": "≥ 2.5", "ok": True, "note": "x"}
    (tmp_path / "forward.json").write_text(json.dumps({"bars": [row]}))
    (tmp_path / "chaos.json").write_text(json.dumps({"a fault": {"ok": True}}))
    (tmp_path / "bench-quick-baseline.json").write_text(json.dumps({"bars": [row]}))
    rows = Results(tmp_path).keep("hard", contest(500), MACHINE)
    assert len(rows) == len(BARS) + 1
    assert rows[-1] == {k: row[k] for k in ("name", "value", "bar", "ok")}


def test_json_has_no_infinity() -> None:
    assert finite({"a": [math.inf, 1.23456, True], "b": math.nan}) == {
        "a": [None, 1.2346, True],
        "b": None,
    }
