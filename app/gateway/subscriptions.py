"""Clients that wait for a job: one subscription per gateway process, fanned out in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
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
    """Lets requests wait for a job's end, or follow it."""

    def __init__(self, source: JobChanges) -> None:
        self._source = source
        self._subscriptions: dict[str, set[JobSubscription]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = False
        self.ended_callers = set[str]()

    async def start(self) -> None:
        self.closing = False
        self._task = asyncio.create_task(self._source.run(self._on_change))

    def close(self) -> None:
        """Let nobody wait any longer: the server is about to end."""
        self.closing = True
        self._wake_all()

    async def stop(self) -> None:
        """Wake everybody, so that no request outlives the server."""
        self.close()
        await end_tasks(self._task)

    def end_callers(self, callers: Collection[str]) -> None:
        """They wait no longer, whatever becomes of their jobs."""
        if callers:
            self.ended_callers.update(callers)
            self._wake_all()

    def _on_change(self, notice: str) -> None:
        """``notice`` is as in :mod:`jobs.job`; "" when some may have been missed."""
        job_id, _, over = notice.partition(" ")
        if not job_id:
            self._wake_all()
        for subscription in self._subscriptions.get(job_id, ()):
            if over or subscription.every_change:
                subscription.event.set()

    def _wake_all(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.event.set()

    @contextlib.contextmanager
    def subscribe(self, job_id: str, every_change: bool = False) -> Iterator[JobSubscription]:
        """From here on the end of the job is not missed; with ``every_change``, nothing is."""
        subscription = JobSubscription(self, job_id, every_change)
        self._subscriptions[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]


class JobSubscription:
    """One request that waits for the end of a job, or for every change."""

    def __init__(
        self, subscriptions: JobSubscriptions, job_id: str, every_change: bool = False
    ) -> None:
        self._subscriptions, self.job_id = subscriptions, job_id
        self.every_change = every_change
        self.event = asyncio.Event()

    def is_closed(self, caller: str) -> bool:
        """Whether the server is about to end, or the key of ``caller`` has been revoked."""
        return self._subscriptions.closing or caller in self._subscriptions.ended_callers

    async def wait(self, seconds: float) -> bool:
        """Whether there was a change within ``seconds``."""
        changed = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                changed = await self.event.wait()
        self.event.clear()
        return changed

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
            if self.is_closed(caller):
                raise unauthorized("This API key has been revoked.")
            left = deadline - clock()
            if left <= 0:
                return job
            await self.wait(min(left, RECHECK))
            job = await read(self.job_id)
        return job


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
