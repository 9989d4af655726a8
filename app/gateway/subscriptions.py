"""Clients that wait for a job: one subscription per gateway process, fanned out in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from app.gateway.auth import unauthorized
from jobs.connections import connect_async
from jobs.job import Job

log = logging.getLogger(__name__)
RECHECK = 15.0  # seconds after which records are read again even if nothing was heard


JobReader = Callable[[str], Awaitable[Job | None]]  # the record with that id


class JobChanges:
    """Tells ``on_change`` of every job that changes, in the words of :mod:`jobs.job`; "" means that
    some may have been missed. Reconnects by itself.
    """

    def __init__(self, url: str, channel: str, ping_after: float = 5.0) -> None:
        """``ping_after``: seconds after which a quiet subscription is tested."""
        self._url, self._channel, self._ping_after = url, channel, ping_after

    async def run(self, on_change: Callable[[str], None]) -> None:
        pause = 0.1
        while True:
            client = connect_async(self._url, 2.0)
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    on_change("")
                    pause = 0.1
                    await self._listen(subscription, on_change)
            except Exception as error:  # waiting clients depend on this loop
                log.warning("subscription lost, trying again: %s", error)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)

    async def _listen(
        self, subscription: redis.asyncio.client.PubSub, on_change: Callable[[str], None]
    ) -> None:
        """Until the connection breaks, or a test of it stays unanswered."""
        tested = False
        while True:
            message = await subscription.get_message(timeout=self._ping_after)
            if message is None:
                if tested:
                    raise RedisError("the server is silent")
                await subscription.ping()
            elif message["type"] == "message":
                for notice in message["data"].decode().split("\n"):
                    on_change(notice)
            tested = message is None


class JobSubscriptions:
    """Lets requests wait for a job's end. ``listeners`` are called with the id of each job that
    changes; "" means that some may have been missed.
    """

    def __init__(self, source: JobChanges) -> None:
        self._source = source
        self._subscriptions: dict[str, set[JobSubscription]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = False
        self.ended_callers = set[str]()
        self.listeners: list[Callable[[str], None]] = []

    async def start(self) -> None:
        self.closing = False
        self._task = asyncio.create_task(self._source.run(self._on_change))

    def close(self) -> None:
        """Let nobody wait any longer: the server is about to end."""
        self.closing = True
        self._on_change("")

    async def stop(self) -> None:
        """Wake everybody, so that no request outlives the server."""
        self.close()
        await end_tasks(self._task)

    def _on_change(self, notice: str) -> None:
        """``notice`` is as in :mod:`jobs.job`; "" when some may have been missed."""
        job_id, _, over = notice.partition(" ")
        if not job_id:
            for subscriptions in self._subscriptions.values():
                _wake(subscriptions)
        elif over:
            _wake(self._subscriptions.get(job_id, ()))
        for listener in self.listeners:
            listener(job_id)

    @contextlib.contextmanager
    def subscribe(self, job_id: str) -> Iterator[JobSubscription]:
        """From here on the end of the job is not missed."""
        subscription = JobSubscription(self, job_id)
        self._subscriptions[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]

    def end_waits_of(self, callers: Collection[str]) -> None:
        """They wait no longer, whatever becomes of their jobs."""
        self.ended_callers.update(callers)
        for subscriptions in self._subscriptions.values():
            _wake(subscriptions)

    async def wait_until_final(
        self, job_id: str, read: JobReader, seconds: float, caller: str
    ) -> Job | None:
        """:meth:`JobSubscription.wait_until_final` of a job that is watched from now on."""
        with self.subscribe(job_id) as subscription:
            return await subscription.wait_until_final(read, seconds, caller)


class JobSubscription:
    """One request that waits for the end of a job."""

    def __init__(self, subscriptions: JobSubscriptions, job_id: str) -> None:
        self._subscriptions, self.job_id = subscriptions, job_id
        self.event = asyncio.Event()

    async def wait_until_final(
        self, read: JobReader, seconds: float, caller: str = "", known: Job | None = None
    ) -> Job | None:
        """The job once it is final, or as it is after ``seconds`` or when the server is about to
        end. ``known`` spares the first reading: the job as it was at some time since it is watched.
        Raises Problem 401 when the key of ``caller`` is revoked meanwhile.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        job = known or await read(self.job_id)
        while job is not None and not job.status.final and not self._subscriptions.closing:
            if caller in self._subscriptions.ended_callers:
                raise unauthorized("This API key has been revoked.")
            left = deadline - clock()
            if left <= 0:
                return job
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, RECHECK)):
                    await self.event.wait()
            self.event.clear()
            job = await read(self.job_id)
        return job


def _wake(subscriptions: Iterable[JobSubscription]) -> None:
    for subscription in subscriptions:
        subscription.event.set()


_AGAIN = 0.05  # seconds between two cancellations


async def end_tasks(*tasks: asyncio.Task[Any] | None, within: float = 3.0) -> bool:
    """Cancel tasks until they have ended. False when one still runs after ``within`` seconds.

    Once is not enough: a library may swallow a cancellation. ``asyncio.wait_until_ready`` of Python
    3.11 does when what it waits for has just ended, and redis-py sends each command through it.
    """
    left = {task for task in tasks if task}
    deadline = asyncio.get_running_loop().time() + within
    while left and asyncio.get_running_loop().time() < deadline:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
    for task in left:
        log.error("a task does not end: %s", task)
    return not left
