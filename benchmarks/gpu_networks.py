"""Images per second of the six networks on one device, by batch size, and the share of its peak
that they reach. Peak is what one large product of matrices reaches there in the same precision.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import official
from benchmarks.forward import NETWORKS
from models.pipeline import Pipeline
from models.registry import load
from models.runtime.autotune import Memory, tune
from models.runtime.cuda_graphs import SIZES
from models.runtime.precision import PRECISIONS

_SIDE = 8192  # of the matrices whose product is the peak


def rows(device: str, rounds: int, dry: bool) -> Iterator[dict[str, Any]]:
    """One per network and batch size; a dry run takes one picture of each, untuned."""
    for name, (task, folder, _) in NETWORKS.items():
        with official.opened(task, folder) as bundle:
            yield from _network(name, bundle, task, device, rounds, dry)


def _network(
    name: str, bundle: Path, task: str, device: str, rounds: int, dry: bool
) -> Iterator[dict[str, Any]]:
    work = flops(load(bundle, task, None, "cpu"))
    sizes = SIZES[:1] if dry else SIZES
    pipeline = (
        load(bundle, task, None, device)
        if dry
        else tune(
            lambda kind: load(bundle, task, None, device, kind), "auto", max(SIZES), Memory(None)
        )
    )
    peak = peak_flops(device, PRECISIONS[pipeline.precision], _SIDE // 16 if dry else _SIDE)
    prepared = [pipeline.prepare(item) for item in pipeline.examples(max(sizes))]
    for size in sizes:
        rate = size / seconds(pipeline, prepared[:size], rounds)
        yield {
            "network": name,
            "precision": pipeline.precision,
            "batch": size,
            "chosen": size == pipeline.best_batch,
            "images_per_second": round(rate, 1),
            "share_of_peak": round(rate * work / peak, 3),
        }


def seconds(pipeline: Pipeline[Any], batch: Sequence[Any], rounds: int) -> float:
    """Median of a forward pass, copies included; forward returns when its pictures are here."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        pipeline.forward(batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def flops(pipeline: Pipeline[Any]) -> int:
    """Floating-point operations of one picture, as served."""
    with FlopCounterMode(display=False) as counter:
        pipeline.forward([pipeline.prepare(pipeline.example())])
    return int(counter.get_total_flops())


def peak_flops(device: str, dtype: torch.dtype, side: int) -> float:
    """Operations per second of a product of matrices of so many rows."""
    a = torch.randn(side, side, device=device).to(dtype)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        float(torch.mm(a, a)[0, 0])  # waits for it
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best
