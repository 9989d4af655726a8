"""The report of a quarter of an hour on a GPU, its steps taken on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu_report import Report, main


@pytest.mark.slow
@pytest.mark.real
def test_every_step_runs_on_a_cpu(tmp_path: Path) -> None:
    assert main(["--dry-run", "--out", str(tmp_path)]) == 0
    steps = json.loads((tmp_path / "report.json").read_text())
    assert list(steps) == ["tests", "networks", "service", "training"]
    assert len({row["network"] for row in steps["networks"]["rows"]}) == 6
    assert steps["service"]["rows"][0]["failures"] == 0
    assert "bundle.json" in steps["training"]["rows"][0]["kept"]
    files = list(tmp_path.iterdir())
    assert len(files) <= 8
    assert all(file.stat().st_size <= 16 * 2**20 for file in files)


def test_a_step_that_fails_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def broken() -> list[dict[str, object]]:
        raise RuntimeError("no such kernel")

    report = Report(tmp_path, 0.0)
    report.run("first", broken)
    report.run("second", lambda: [{"rate": 3}])
    result = (tmp_path / "report.md").read_text()
    assert "no such kernel" in result
    assert "| 3 |" in result
