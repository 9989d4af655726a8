"""Clients that wait for a job: one subscription per gateway process, fanned out in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Protocol

import redis.asyncio
from redis.exceptions import RedisError

from jobs.job import Job
from jobs.memory_store import MemoryJobStore

log = logging.getLogger(__name__)
RECHECK = 15.0  # seconds after which records are read again even if nothing was heard


class Source(Protocol):
    """Tells ``changed`` the id of every job that changes; "" means that some may have been
    missed.
    """

    async def run(self, changed: Callable[[str], None]) -> None: ...


class RedisSource:
    """The job store's publications, with reconnection."""

    def __init__(self, url: str, channel: str, silence: float = 5.0) -> None:
        """``silence``: seconds after which a quiet subscription is tested."""
        self._url, self._channel, self._silence = url, channel, silence

    async def run(self, changed: Callable[[str], None]) -> None:
        pause = 0.1
        while True:
            client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=2)
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    changed("")
                    pause = 0.1
                    await self._listen(subscription, changed)
            except Exception as error:  # waiting clients depend on this loop
                log.warning("subscription lost, trying again: %s", error)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)

    async def _listen(
        self, subscription: redis.asyncio.client.PubSub, changed: Callable[[str], None]
    ) -> None:
        """Until the connection breaks, or a test of it stays unanswered."""
        tested = False
        while True:
            message = await subscription.get_message(timeout=self._silence)
            if message is None:
                if tested:
                    raise RedisError("the server is silent")
                await subscription.ping()
            elif message["type"] == "message":
                changed(message["data"].decode())
            tested = message is None


class MemorySource:
    """Listens to a store of this process, for tests and tools."""

    def __init__(self, store: MemoryJobStore) -> None:
        self._store = store

    async def run(self, changed: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()

        def listener(job_id: str) -> None:
            loop.call_soon_threadsafe(changed, job_id)

        self._store.listeners.append(listener)
        try:
            await asyncio.Event().wait()
        finally:
            self._store.listeners.remove(listener)


class Waiters:
    """Lets requests wait for a job's change. ``listeners`` are told of each change, as by a
    :class:`Source`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._events: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = False
        self.listeners: list[Callable[[str], None]] = []

    async def start(self) -> None:
        self.closing = False
        self._task = asyncio.create_task(self._source.run(self._changed))

    def close(self) -> None:
        """Let nobody wait any longer: the server is about to end."""
        self.closing = True
        self._changed("")

    async def stop(self) -> None:
        """Wake everybody, so that no request outlives the server."""
        self.close()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _changed(self, job_id: str) -> None:
        rows = [self._events.get(job_id, set())] if job_id else list(self._events.values())
        for row in rows:
            for event in row:
                event.set()
        for listener in self.listeners:
            listener(job_id)

    async def until_final(
        self, job_id: str, read: Callable[[], Awaitable[Job | None]], seconds: float
    ) -> Job | None:
        """The job once it is final, or as it is after ``seconds`` or when the server is about to
        end. Its state is read after subscribing.
        """
        event = asyncio.Event()
        deadline = asyncio.get_running_loop().time() + seconds
        self._events[job_id].add(event)
        try:
            while True:
                event.clear()
                job = await read()
                left = deadline - asyncio.get_running_loop().time()
                if job is None or job.status.final or left <= 0 or self.closing:
                    return job
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, RECHECK))
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]
