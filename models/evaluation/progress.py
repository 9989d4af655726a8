"""Lines for who waits: how far a long step of an evaluation is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
EVERY = 10.0  # seconds between lines; what is over sooner says nothing


def track(items: Sequence[T], what: str, total: int = 0, every: float = EVERY) -> Iterator[T]:
    """The items one by one; after ``every`` seconds a line on stderr that says how far it is.

    total: pictures of all items, where an item is a batch.
    """
    total = total or len(items)
    started = reported = time.monotonic()
    for k, item in enumerate(items):
        now = time.monotonic()
        if k and now - reported >= every:
            left = (now - started) / k * (len(items) - k)
            done = total * k // len(items)
            sys.stderr.write(f"{what}: {done} of {total}, {_span(left)} left\n")
            sys.stderr.flush()
            reported = now
        yield item


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
