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
stage = [{ steps = 16, hours = 1 }]
"""
STAGE = "aviary/damsm-1"


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

    def wait_for(self, text: str, process: subprocess.Popen[bytes]) -> None:
        """Until the training has said so."""
        log = self.runs / STAGE / "queue.log"
        deadline = time.monotonic() + 200
        while not (log.exists() and text in log.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)

    def weights(self) -> dict[str, torch.Tensor]:
        """Everything that the stage left for the next."""
        folder = self.runs / STAGE / "bundle"
        task = Bundle.open(folder).task("damsm")
        assert task.raw["stage"] == STAGE
        paths = [folder / f["path"] for f in task.files.values()]
        found = [load_file(p) for p in (*paths, folder / "training" / "damsm.safetensors")]
        return {f"{k}.{name}": v for k, part in enumerate(found) for name, v in part.items()}


def child_of(pid: int) -> int:
    """The training that a queue began."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.mark.timeout(900)  # six processes that load torch, on a busy machine
def test_a_killed_plan_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    whole, cut = Plan(tmp_path / "whole", tmp_path), Plan(tmp_path / "cut", tmp_path)
    assert whole.begin().wait() == 0
    queue = cut.begin()
    cut.wait_for("damsm step 2 ", queue)
    queue.kill()
    queue.wait()
    # The next one waits until the orphan has written its snapshot. Then the training dies.
    queue = cut.begin()
    cut.wait_for("resumed at step ", queue)
    os.kill(child_of(queue.pid), signal.SIGKILL)
    assert queue.wait() == 1
    assert cut.begin().wait() == 0
    first, second = whole.weights(), cut.weights()
    assert first.keys() == second.keys()
    assert any(".moments." in name for name in first)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (cut.runs / STAGE / "sheet.webp").stat().st_size
    log = (cut.runs / STAGE / "queue.log").read_text()
    assert log.count("$ python -m models train damsm") == 3
