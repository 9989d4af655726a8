"""Images per second of the published networks at 256×256 on a CUDA device, by batch size, and the
share of the device's peak that they reach. Peak is what one large product of matrices reaches there
in the same precision.

Usage: ``python -m benchmarks.gpu [--device cuda:0] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import official
from models.pipeline import Pipeline
from models.registry import load
from models.runtime.autotune import Memory, tuned
from models.runtime.cuda_graphs import SIZES
from models.runtime.precision import PRECISIONS

TASKS = ("synthesize", "manipulate", "inpaint")
_SIDE = 8192  # of the matrices whose product is the peak


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    if torch.device(options.device).type != "cuda" or not torch.cuda.is_available():
        sys.exit("No CUDA device here: nothing was measured.")
    sys.stdout.write(f"{torch.cuda.get_device_name(options.device)}, torch {torch.__version__}\n")
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            official.bundle(Path(folder), task)
            measure(Path(folder), task, options.device, options.rounds)


def measure(folder: Path, task: str, device: str, rounds: int) -> None:
    """One line per batch size."""
    work = flops(load(folder, task, None, "cpu"))
    pipeline = tuned(
        lambda name: load(folder, task, None, device, name), "auto", max(SIZES), Memory(None)
    )
    peak = peak_flops(device, PRECISIONS[pipeline.precision])
    sys.stdout.write(f"{task}: {pipeline.precision}, {work / 1e9:.1f} GFLOP a picture\n")
    prepared = [pipeline.prepare(item) for item in pipeline.examples(max(SIZES))]
    for size in SIZES:
        rate = size / seconds(pipeline, prepared[:size], rounds)
        share = rate * work / peak
        sys.stdout.write(f"  batch {size:2d}: {rate:8.1f} images/s, {share:6.1%} of the peak\n")


def seconds(pipeline: Pipeline[Any], batch: Sequence[Any], rounds: int) -> float:
    """Median of a forward pass, copies included; forward returns when its pictures are here."""
    times = []
    for _ in range(rounds + 3):
        started = time.perf_counter()
        pipeline.forward(batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:])


def flops(pipeline: Pipeline[Any]) -> int:
    """Floating-point operations of one picture, as served."""
    with FlopCounterMode(display=False) as counter:
        pipeline.forward([pipeline.prepare(pipeline.example())])
    return int(counter.get_total_flops())


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """Operations per second of a product of large matrices."""
    a = torch.randn(_SIDE, _SIDE, device=device).to(dtype)
    best = 0.0
    for _ in range(5):
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        torch.mm(a, a)
        torch.cuda.synchronize(device)
        best = max(best, 2 * _SIDE**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main(sys.argv[1:])
