"""How many connections one caller may keep open at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """Counts in this process. Use from the event loop only."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """Of all callers together."""
        return self._taken.total()

    @contextmanager
    def take(self, who: str) -> Iterator[bool]:
        """Yields whether ``who`` had a free slot; it is given back at the end."""
        free = self._taken[who] < self.most
        if free:
            self._taken[who] += 1
        try:
            yield free
        finally:
            if free:
                self._taken[who] -= 1
                if not self._taken[who]:
                    del self._taken[who]
