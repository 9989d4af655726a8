"""How many jobs are held at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workers.hands import Hands

Eventually = Callable[[Callable[[], bool], float], None]


def _taking(hands: Hands, wanted: int, got: list[int], release: threading.Event) -> None:
    with hands.taken(wanted) as taken:
        got.append(taken.count)
        release.wait(10)


def test_no_more_than_there_are() -> None:
    hands = Hands(5)
    with hands.taken(9) as taken:
        assert taken.count == 5


def test_a_group_gets_all_that_it_wants_and_later_ones_wait_behind_it(
    eventually: Eventually,
) -> None:
    hands, got, release = Hands(5), [], threading.Event()
    with hands.taken(3) as first:
        for wanted in (4, 1):
            thread = threading.Thread(target=_taking, args=(hands, wanted, got, release))
            thread.start()
            thread.join(0.1)
        assert got == []  # one would be free for the last, but it is not its turn
        first.give_back(2)
        eventually(lambda: got == [4], 10)
    eventually(lambda: got == [4, 1], 10)
    release.set()


def test_hands_given_back_are_not_given_back_twice() -> None:
    hands = Hands(2)
    with hands.taken(2) as taken:
        taken.give_back(1)
        taken.give_back(5)
        assert taken.count == 0
    with hands.taken(5) as taken:
        assert taken.count == 2
