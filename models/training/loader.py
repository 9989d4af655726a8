"""Batches made ahead of time, beside a GPU in processes of their own. What a batch holds follows
from its step alone, so it is the same wherever it is made.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch.utils.data import DataLoader, Dataset

from models.training.batch import Batch

Slices = list[Batch]  # of one process's share of a step
_MOST = 8  # processes, by default


class _Steps(Dataset[Slices]):
    def __init__(self, make: Callable[[int], Slices]) -> None:
        self._make = make

    def __getitem__(self, step: int) -> Slices:
        return self._make(step)


def worker_count(device: torch.device, workers: int) -> int:
    """How many processes make batches; -1 means as many as pay: none on a CPU, whose cores the
    networks use, and on CUDA one per core but one, eight at most.
    """
    if workers >= 0:
        return workers
    if device.type != "cuda":
        return 0
    return max(1, min(_MOST, len(os.sched_getaffinity(0)) - 1))


def load_slices(
    first: int, make: Callable[[int], Slices], device: torch.device, workers: int
) -> Iterator[Slices]:
    """``make(step)`` for each step from ``first`` on; for CUDA in pinned memory."""
    processes = worker_count(device, workers)
    if not processes:
        return map(make, count(first))
    return iter(
        DataLoader(
            _Steps(make),
            batch_size=None,
            sampler=count(first),
            num_workers=processes,
            pin_memory=device.type == "cuda",
        )
    )
