"""How many jobs are held at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workers.hands import Hands

Eventually = Callable[[Callable[[], bool], float], None]


def test_as_many_as_are_free() -> None:
    hands = Hands(5)
    with hands.taken(3) as first, hands.taken(3) as second:
        assert (first, second) == (3, 2)
    with hands.taken(9) as all_of_them:
        assert all_of_them == 5


def test_without_any_free_one_waits(eventually: Eventually) -> None:
    hands, got = Hands(2), []

    def take() -> None:
        with hands.taken(2) as count:
            got.append(count)

    with hands.taken(2):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(0.1)
        assert got == []
    eventually(lambda: got == [2], 10)
