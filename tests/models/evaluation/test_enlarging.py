"""What the table of enlargements says of ways whose quality is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.errors import ModelsError
from models.evaluation.enlarging import bicubic, downsample, held_out, measure, table
from models.evaluation.pictures import Pictures, stack


@pytest.fixture(scope="module")
def real() -> Pictures:
    return held_out("aviary", 3, 128)


def nearest(small: Tensor) -> Tensor:
    return functional.interpolate(small, scale_factor=4, mode="nearest")


def test_better_ways_have_better_numbers(real: Pictures) -> None:
    whole = stack(real[:])

    def nearly(small: Tensor) -> Tensor:
        """The real picture, found by its small version."""
        place = [torch.equal(small[0], other) for other in downsample(whole, 4)].index(True)
        return 0.9 * whole[place : place + 1] + 0.1 * bicubic(4)(small)

    found = measure({"bicubic": bicubic(4), "nearest": nearest, "nearly": nearly}, real, 4)
    assert found["nearly"].psnr > found["bicubic"].psnr + 15 > found["nearest"].psnr + 15
    assert found["nearly"].features < 0.2 * found["bicubic"].features
    assert found["bicubic"].edges < 0.8 < found["nearly"].edges < 1.01
    assert all(q.milliseconds > 0 for q in found.values())
    assert len(table(found).splitlines()) == 5


def test_held_out_photos_are_never_those_of_training(tmp_path: Path) -> None:
    with pytest.raises(ModelsError):
        held_out(tmp_path / "nowhere", 2, 64)


def test_the_command_prints_the_table_and_draws_the_rows(
    tiny_detailed: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    call = [sys.executable, "-m", "models", "enlarge", str(tiny_detailed), "--count", "2"]
    done = subprocess.run(
        [*call, "--sheet", str(sheet)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()][2:] == [
        "bicubic",
        "detail stage",
    ]
    with Image.open(sheet) as drawn:
        assert drawn.size == (2 * 256, 3 * 256)
