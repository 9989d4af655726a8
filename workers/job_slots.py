"""How many jobs a process holds at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class JobSlots:
    """``limit`` jobs may be held; ``on_release`` is called when one has ended."""

    def __init__(self, limit: int, on_release: Callable[[], None] = lambda: None) -> None:
        self.limit, self._on_release = limit, on_release
        self._held = 0
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        return self.limit - self._held

    def acquire(self, jobs: int) -> None:
        """Jobs were claimed."""
        with self._changed:
            self._held += jobs

    def release(self, jobs: int) -> None:
        """Jobs have ended."""
        if jobs:
            with self._changed:
                self._held -= jobs
                self._changed.notify_all()
            self._on_release()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until no job is held. False when one still is after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)
