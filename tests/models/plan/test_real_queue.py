"""A plan of real trainings, killed: it goes on to the very weights of one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.bundle import Bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to end orphans"),
]

PLAN = """
set = [
  "loop.threads=1", "loop.size=32", "loop.samples=24", "loop.batch=8", "loop.log_every=1",
  "loop.snapshot_every=1", "input_size=32", "hidden=16", "features=32", "words=8",
]
[[chain]]
preset = "aviary"
part = "damsm"
data = "aviary"
stage = [{ steps = 6, hours = 1 }, { steps = 6, hours = 1 }]
"""
STAGES = ("aviary/damsm-1", "aviary/damsm-2")


class Plan:
    """The plan in a folder of its own."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.runs = root / "runs"
        path = root / "weights" / "plan.toml"
        path.parent.mkdir(parents=True)
        path.write_text(PLAN)
        self._words = [str(path), "--runs", str(self.runs), "--weights", str(path.parent)]
        self._env = os.environ | {"XDG_CACHE_HOME": str(cache)}

    def begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "models", "train-queue", *self._words]
        return subprocess.Popen(command, env=self._env, stderr=subprocess.DEVNULL)

    def wait_for(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 200
        while not path.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)

    def weights(self, stage: str) -> dict[str, torch.Tensor]:
        """Everything that the stage left for the next."""
        folder = self.runs / stage / "bundle"
        task = Bundle.open(folder).task("damsm")
        assert task.raw["stage"] == stage
        paths = [folder / f["path"] for f in task.files.values()]
        found = [load_file(p) for p in (*paths, folder / "training" / "damsm.safetensors")]
        return {f"{k}.{name}": v for k, part in enumerate(found) for name, v in part.items()}


def child_of(pid: int) -> int:
    """The training that a queue began."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.mark.timeout(900)  # nine trainings and sheets of a second each, on a busy machine
def test_a_killed_plan_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    whole, cut = Plan(tmp_path / "whole", tmp_path), Plan(tmp_path / "cut", tmp_path)
    assert whole.begin().wait() == 0
    # The queue itself, in its first stage.
    queue = cut.begin()
    cut.wait_for(cut.runs / STAGES[0] / "snapshot.pt", queue)
    queue.kill()
    queue.wait()
    # The training, in its second: the queue says so, and does it at its next start.
    queue = cut.begin()
    cut.wait_for(cut.runs / STAGES[1] / "snapshot.pt", queue)
    os.kill(child_of(queue.pid), signal.SIGKILL)
    assert queue.wait() == 1
    assert cut.begin().wait() == 0
    for stage in STAGES:
        first, second = whole.weights(stage), cut.weights(stage)
        assert first.keys() == second.keys()
        assert any(name.split(".", 1)[1].startswith("moments.") for name in first)
        assert all(torch.equal(first[name], second[name]) for name in first), stage
        assert (cut.runs / stage / "sheet.webp").stat().st_size
    log = (cut.runs / STAGES[0] / "queue.log").read_text()
    assert log.count("$ python -m models train damsm") == 2
