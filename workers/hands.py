"""How many jobs a process holds at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Taken:
    """Hands that somebody has; those whose job has ended are given back before the others."""

    def __init__(self, hands: Hands, count: int) -> None:
        self._hands, self.count = hands, count

    def give_back(self, count: int) -> None:
        """At most as many as are still taken."""
        count = min(count, self.count)
        self.count -= count
        self._hands.free(count)


class Hands:
    """``most`` jobs may be held. Who wants several gets all of them at once, in the order of
    asking: jobs of one message are then in line together, and none waits for another to end.
    """

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()
        self._line = threading.Lock()  # whoever has it is next, so a crowd is not passed by

    @contextmanager
    def taken(self, wanted: int) -> Iterator[Taken]:
        """Yields as many as are wanted, or all that there are."""
        count = min(wanted, self._most)
        with self._line, self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        taken = Taken(self, count)
        try:
            yield taken
        finally:
            taken.give_back(taken.count)

    def free(self, count: int) -> None:
        with self._changed:
            self._free += count
            self._changed.notify()
