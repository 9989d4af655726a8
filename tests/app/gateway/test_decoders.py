"""Callers take turns at the decoders, and small pictures never wait for large ones."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient

from app.gateway.decoders import QUICK_BYTES, Decoders, Turns
from app.gateway.services import Services
from tests.picture_files import photo, saved, scan_bomb


def order_of(callers: Sequence[str], places: int = 1, gone: Sequence[int] = ()) -> list[int]:
    """Numbers of the callers as they got their places. Those of ``gone`` stop waiting."""
    got: list[int] = []

    async def one(turns: Turns, number: int) -> None:
        async with turns.turn(callers[number]):
            got.append(number)
            await asyncio.sleep(0.01)

    async def run() -> None:
        turns = Turns(places)
        tasks = [asyncio.create_task(one(turns, n)) for n in range(len(callers))]
        await asyncio.sleep(0)
        for n in gone:
            tasks[n].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1):  # every place was given back
            for _ in range(places):
                await turns.turn("later").__aenter__()

    asyncio.run(run())
    return got


def test_whoever_sends_one_does_not_wait_for_all_of_another() -> None:
    assert order_of(["a", "a", "a", "a", "b", "c", "b"]) == [0, 1, 4, 5, 2, 6, 3]


def test_alone_they_come_in_order() -> None:
    assert order_of(["a"] * 5, places=2) == [0, 1, 2, 3, 4]


def test_those_who_have_gone_are_passed_over() -> None:
    assert order_of(["a", "a", "b", "a", "b"], gone=[1, 2]) == [0, 3, 4]


def test_a_turn_that_comes_as_its_caller_goes_is_passed_on() -> None:
    async def run() -> None:
        turns = Turns(1)
        first = turns.turn("a")
        await first.__aenter__()
        waiting = asyncio.create_task(turns.turn("b").__aenter__())
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)  # it is b's from now on
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(1), turns.turn("c"):
            pass

    asyncio.run(run())


def test_small_ones_have_places_of_their_own() -> None:
    async def run() -> None:
        decoders, end = Decoders(1), threading.Event()
        large = asyncio.create_task(decoders.run("a", end.wait))
        await asyncio.sleep(0.02)
        assert await decoders.run("a", lambda: 1, quick=True) == 1
        assert not large.done()
        end.set()
        assert await large

    asyncio.run(run())


@pytest.fixture
def busy(services: Services, client: TestClient) -> None:
    """Somebody's large pictures are in all decoders' places."""
    assert client.portal
    for other in ("one", "two"):
        client.portal.call(services.decoders.limiter.acquire_on_behalf_of_nowait, other)


@pytest.mark.usefixtures("busy")
def test_a_small_photo_does_not_wait_for_large_ones(client: TestClient) -> None:
    files = {"image": saved(photo(600, 600))}
    answer = client.post("/manipulate", data={"text": "a red bird"}, files=files)
    assert answer.status_code == 202


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("data", [saved(photo(1000, 1000)), scan_bomb(2000, 1500, 2)])
def test_a_large_photo_waits_for_a_place(
    services: Services, client: TestClient, data: bytes
) -> None:
    """Whether its file is large or its pixels are many."""
    assert len(data) > QUICK_BYTES or len(data) < 100_000
    answers = []

    def send() -> None:
        files = {"image": data}
        answers.append(client.post("/manipulate", data={"text": "a red bird"}, files=files))

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.3)
    assert not answers
    assert client.portal
    client.portal.call(services.decoders.limiter.release_on_behalf_of, "one")
    thread.join(20)
    assert answers[0].status_code == 202
