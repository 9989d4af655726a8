"""What an evaluation holds in memory for each of its samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SIDE = 96
# A sample's pictures are half a megabyte of bytes; while a chunk of them is judged, they and what
# networks make of them are there as floats, 5 megabytes.
MOST = 16e6

_RUN = """
import sys
from pathlib import Path
from models.evaluation.run import Options, evaluate

folder, out, task, side, *counts = sys.argv[1:]
for samples in map(int, counts):
    options = Options((task,), samples, size=int(side), batch=2, features=False)
    evaluate(Path(folder), "aviary", Path(out), options)
    print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize("task", ["inpaint", "manipulate"])
def test_a_further_sample_costs_few_bytes(tiny: Path, tmp_path: Path, task: str) -> None:
    words = [str(tiny), str(tmp_path), task, str(SIDE), "2", "8"]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    few, many = (int(peak) * 1024 for peak in done.stdout.split())
    assert (many - few) / 6 < MOST
