"""Two gloo processes see the gradients of one process with the same batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.models.training.gradients import CASES

pytestmark = pytest.mark.slow


def gradients(case: str, out: Path, devices: int, cache: Path) -> dict[str, torch.Tensor]:
    call = [sys.executable, "-m", "tests.models.training.gradients", case, str(out)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*call, str(devices), str(cache)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = torch.load(out, weights_only=True)
    return {name: torch.cat([g.flatten() for g in parts]) for name, parts in seen.items()}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one(
    case: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "two-processes"
    one = gradients(case, tmp_path / "one.pt", 1, cache)
    two = gradients(case, tmp_path / "two.pt", 2, cache)
    assert one.keys() == two.keys()
    for name, expected in one.items():
        assert expected.norm() > 0
        assert (two[name] - expected).norm() <= 1e-4 * expected.norm(), name
