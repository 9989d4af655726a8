"""No server at all: batch after batch in one process on one core, from text to PNG. The limit for
whoever runs the same pipeline one batch at a time.

Reads ``SECONDS BATCH`` lines and answers each with pictures per second.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Any

from benchmarks.load.exchanges import TEXT
from benchmarks.peers.start import given, pngs
from models.pipeline import Item, Pipeline


def rate(pipeline: Pipeline[Any], seconds: float, batch: int) -> float:
    """Pictures per second in batches of ``batch``."""
    numbers = itertools.count()
    made, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        pngs(pipeline, [Item(TEXT, next(numbers)) for _ in range(batch)])
        made += batch
    return made / spent


def main() -> None:
    result = given("benchmarks.peers.raw_loop")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pipeline = result.pipeline()
    for line in sys.stdin:
        seconds, batch = line.split()
        sys.stdout.write(f"{rate(pipeline, float(seconds), int(batch))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
