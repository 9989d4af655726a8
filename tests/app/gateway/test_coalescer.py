"""Calls that share a trip: none waits for company, none suffers for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from app.gateway.coalescer import Coalescer


class Work:
    """Doubles numbers, refuses odd ones, and can be held up."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        assert self.go.wait(10)
        if 0 in items:
            raise ZeroDivisionError
        return [2 * n if n % 2 == 0 else ValueError(n) for n in items]


def test_a_call_alone_waits_for_nobody() -> None:
    work = Work()
    assert asyncio.run(Coalescer(work)(4)) == 8
    assert work.groups == [[4]]


def test_calls_of_one_moment_share_a_trip() -> None:
    work = Work()

    async def run() -> list[int]:
        double = Coalescer(work)
        return await asyncio.gather(*(double(n) for n in (2, 4, 6)))

    assert asyncio.run(run()) == [4, 8, 12]
    assert work.groups == [[2, 4, 6]]


def test_those_who_come_meanwhile_share_the_next_ones() -> None:
    work = Work()
    work.go.clear()

    async def run() -> list[int]:
        double = Coalescer(work, max_batch=2)
        first = asyncio.create_task(double(2))
        while not work.groups:
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(double(n)) for n in (4, 6, 8)]
        await asyncio.sleep(0.05)
        work.go.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(run()) == [4, 8, 12, 16]
    assert work.groups == [[2], [4, 6], [8]]


def test_each_gets_its_own_refusal() -> None:
    async def run() -> list[int | BaseException]:
        double = Coalescer(Work())
        return await asyncio.gather(*(double(n) for n in (2, 3, 4)), return_exceptions=True)

    good, bad, also_good = asyncio.run(run())
    assert (good, also_good) == (4, 8)
    assert isinstance(bad, ValueError)


def test_what_fails_as_a_whole_fails_for_all_and_not_for_the_next() -> None:
    async def run() -> int:
        double = Coalescer(Work())
        for failed in await asyncio.gather(double(0), double(2), return_exceptions=True):
            assert isinstance(failed, ZeroDivisionError)
        return await double(2)

    assert asyncio.run(run()) == 4


def test_one_who_leaves_takes_nobody_along() -> None:
    work = Work()
    work.go.clear()

    async def run() -> int:
        double = Coalescer(work)
        leaving, staying = asyncio.create_task(double(2)), asyncio.create_task(double(4))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        work.go.set()
        return await staying

    assert asyncio.run(run()) == 8


def test_where_nobody_minds_a_moment_is_waited_for_company() -> None:
    work = Work()

    async def run() -> list[int]:
        double = Coalescer(work, gather_window=0.2, busy=lambda: True)
        first = asyncio.create_task(double(2))
        await asyncio.sleep(0.05)
        assert work.groups == []
        return await asyncio.gather(first, double(4))

    assert asyncio.run(run()) == [4, 8]
    assert work.groups == [[2, 4]]
