"""What runs in the gateway's background ends with it, however a library takes a cancellation."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.gateway.services import Services
from app.gateway.subscriptions import end_tasks


def test_a_task_that_swallows_cancellations_is_canceled_until_it_ends() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1

    async def story() -> bool:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        return await end_tasks(task, None)

    assert asyncio.run(story())
    assert swallowed == 3


def test_a_task_that_never_ends_is_left_in_time(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> bool:
        over = False

        async def endless() -> None:
            while not over:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    continue

        task = asyncio.create_task(endless())
        await asyncio.sleep(0)
        ended = await end_tasks(task, within=0.2)
        over = True
        return ended

    started = time.monotonic()
    assert not asyncio.run(story())
    assert time.monotonic() - started < 2.0
    assert "does not end" in caplog.text


async def seconds_to_end(services: Services, before: float, steps: int) -> float:
    """Of a gateway that ran for ``before`` seconds, then had news, and ``steps`` of its loop."""
    async with services.lifespan():
        await asyncio.sleep(before)
        if before:
            services.subscriptions.close()  # as the server does; whoever follows jobs is woken
        for _ in range(steps):
            await asyncio.sleep(0)
        started = time.monotonic()
    return time.monotonic() - started


@pytest.mark.timeout(20)
@pytest.mark.parametrize("before", [0.0, 0.05])
def test_a_gateway_ends_at_any_moment(services: Services, before: float) -> None:
    """While its subscription connects, and while its followers have news."""
    taken = [asyncio.run(seconds_to_end(services, before, steps)) for steps in range(40)]
    assert max(taken) < 1.0, taken
