"""How many jobs a process holds at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class JobSlots:
    """``most`` jobs may be held; ``on_free`` is called when one has ended."""

    def __init__(self, most: int, on_free: Callable[[], None] = lambda: None) -> None:
        self.most, self._on_free = most, on_free
        self._held = 0
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        return self.most - self._held

    def take(self, jobs: int) -> None:
        """Jobs were claimed."""
        with self._changed:
            self._held += jobs

    def give_back(self, jobs: int) -> None:
        """Jobs have ended."""
        if jobs:
            with self._changed:
                self._held -= jobs
                self._changed.notify_all()
            self._on_free()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until no job is held. False when one still is after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)
