"""How many jobs a process holds at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hands:
    """``most`` jobs may be held; those who want several get as many as are free."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[int]:
        """Yields how many were taken: one to ``wanted``, at once when any is free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0)
            count = min(wanted, self._free)
            self._free -= count
        try:
            yield count
        finally:
            with self._changed:
                self._free += count
                self._changed.notify()
