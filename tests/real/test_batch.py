"""``mmml batch`` killed with -9 over a service with hardly any room."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.conftest import Service

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROWS = 24


def test_killed_and_started_again_makes_every_picture_once(
    service: Service, tmp_path: Path
) -> None:
    service.start(MMML_MAX_QUEUE="6")
    service.ready()
    table, out = tmp_path / "rows.csv", tmp_path / "out"
    table.write_text("text,count\n" + "a red bird,4\n" * ROWS)
    url = str(service.http.base_url)
    command = [sys.executable, "-m", "mmml", "--url", url, "batch", str(table)]
    command += ["--task", "synthesize", "-o", str(out)]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    service.wait_until(lambda: len(list(out.glob("*.png"))) > 8, 60)
    killed.kill()
    killed.wait(10)
    assert not (out / "results.csv").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{ROWS} of {ROWS} rows have pictures" in done.stdout
    assert len(list(out.glob("*.png"))) == 4 * ROWS
    with (out / "results.csv").open(newline="") as lines:
        jobs = {row["job"] for row in csv.DictReader(lines)}
    made = service.http.get("/jobs?limit=100").json()["jobs"]
    assert {job["id"] for job in made} == jobs
    assert len(made) == ROWS
