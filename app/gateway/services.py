"""What the routes need, put together once per process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread
from starlette.concurrency import run_in_threadpool

from app.background_tasks import end_tasks
from app.gateway.api_keys import RedisKeyStore
from app.gateway.auth import Gate
from app.gateway.catalogue import REFRESH_EVERY, LiveCatalogue
from app.gateway.coalescer import Grouped
from app.gateway.enqueue import CeleryWakeUps, JobEnqueuer, WakeUps
from app.gateway.event_streams import Feeds
from app.gateway.rate_limits import Limits, Slots
from app.gateway.redis_warnings import redis_warnings
from app.gateway.sessions import RedisSessionStore
from app.gateway.subscriptions import RedisSource, Waiters, Watch
from app.gateway.views import JobView, job_view
from app.settings import GatewaySettings
from jobs.blobs import BlobStore
from jobs.errors import BlobError
from jobs.images import ImageLimits
from jobs.job import Job, Status
from jobs.load import Drain
from jobs.redis_store import RedisJobStore, connect
from jobs.store import JobStore

P = ParamSpec("P")
T = TypeVar("T")
_RATE_LASTS = 2.0  # seconds
_READERS = 32  # threads that read blobs
_STORE_TIMEOUT = 2.0  # seconds: a request that asks twice still answers within five


@dataclass(frozen=True)
class Waited:
    """The job after a wait, and whether there was a place to wait in."""

    job: Job | None
    applied: bool


@dataclass(frozen=True)
class Place:
    """About how many jobs start before one, and when it is likely to, in seconds since 1970."""

    position: int
    start: float | None


@dataclass
class Services:
    """The backends of one gateway."""

    settings: GatewaySettings
    store: JobStore
    wakeups: WakeUps
    blobs: BlobStore
    catalogue: LiveCatalogue
    waiters: Waiters
    gate: Gate
    streams: Slots
    waits: Slots
    redis_warnings: Callable[[], list[str]] = list  # see app.gateway.redis_warnings; blocks
    decoders: anyio.CapacityLimiter = field(init=False)
    readers: anyio.CapacityLimiter = field(init=False)  # of blobs, so that nothing waits for them
    downloads: Slots = field(init=False)
    converting: WeakValueDictionary[str, anyio.Lock] = field(init=False)  # by caller
    feeds: Feeds = field(init=False)
    enqueuer: JobEnqueuer = field(init=False)
    look: Grouped[str, Job | None] = field(init=False)  # at a record
    place: Grouped[str, Place | None] = field(init=False)  # in the queue
    _drain: Drain | None = None
    _drained: float = 0.0
    _near: Grouped[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.decoders = anyio.CapacityLimiter(self.settings.decoders)
        self.readers = anyio.CapacityLimiter(_READERS)
        self.downloads = Slots(self.settings.max_downloads)
        self.converting = WeakValueDictionary()
        self.feeds = Feeds(self.store, self.waiters, self.settings.max_feeds)
        self.enqueuer = JobEnqueuer(self.store, lambda: self.wakeups, lambda: self.settings)
        self.look = Grouped(self.store.get_all)
        self.place = Grouped(self._places)
        self._near = Grouped(self._blobs)

    async def blob(self, key: str) -> bytes:
        """What is stored under that key. Raises BlobError, BlobMissing too."""
        if self.blobs.near:
            return await self._near(key)
        return await to_thread.run_sync(self.blobs.get, key, limiter=self.readers)

    async def open_blob(self, key: str) -> tuple[int, AsyncIterator[bytes]]:
        """Its size, and its bytes in parts, of which one is held at a time. Raises BlobError."""
        size, parts = await to_thread.run_sync(self.blobs.open, key, limiter=self.readers)
        return size, self._parts(parts)

    async def _parts(self, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
        while part := await to_thread.run_sync(next, parts, b"", limiter=self.readers):
            yield part

    async def job_view(self, job: Job) -> JobView:
        """The view of a job; of one that waits with its position."""
        place = await self.place(job.id) if job.status is Status.queued else None
        return job_view(job, place.position, place.start) if place else job_view(job, None)

    def _blobs(self, keys: Sequence[str]) -> list[bytes | Exception]:
        return [self._blob(key) for key in keys]

    def _blob(self, key: str) -> bytes | Exception:
        try:
            return self.blobs.get(key)
        except BlobError as error:
            return error

    def _places(self, job_ids: Sequence[str]) -> list[Place | None]:
        found = self.store.positions(job_ids)
        return [self._place(found[job_id]) for job_id in job_ids]

    def _place(self, position: int | None) -> Place | None:
        """With an estimate of the time, from a rate that is a moment old."""
        if position is None:
            return None
        if self._drain is None or time.monotonic() - self._drained > _RATE_LASTS:
            self._drain, self._drained = self.store.drain(), time.monotonic()
        rate, now = self._drain.rate, self._drain.now + time.monotonic() - self._drained
        return Place(position, now + (position + 1) / rate if rate else None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What listens to the job store, for as long as the server runs."""
        await self.waiters.start()
        self.feeds.start()
        refreshing = asyncio.create_task(self._refresh_catalogue())
        try:
            yield
        finally:
            await end_tasks(refreshing)
            await self.feeds.stop()
            await self.waiters.stop()

    async def _refresh_catalogue(self) -> None:
        """Folders are read in a thread, never on the event loop that answers everybody."""
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            await run_in_threadpool(self.catalogue.refresh)

    @classmethod
    def connect(
        cls, settings: GatewaySettings, make_store: type[RedisJobStore] = RedisJobStore
    ) -> Services:
        """Redis, Celery and the blob store that the settings name."""
        client, prefix = connect(settings.redis_url, _STORE_TIMEOUT), settings.redis_prefix
        store = make_store(client, prefix, settings.redis_memory or None)
        sessions = RedisSessionStore(client, prefix)
        limits = Limits(client, prefix)
        return cls(
            settings=settings,
            store=store,
            wakeups=CeleryWakeUps(settings.redis_url, prefix),
            blobs=BlobStore.at(settings.storage_url),
            catalogue=LiveCatalogue(settings.weights_dir, settings.defaults()),
            waiters=Waiters(RedisSource(settings.redis_url, store.changed)),
            gate=Gate(RedisKeyStore(client, prefix), sessions, limits, settings),
            redis_warnings=partial(redis_warnings, client, settings.redis_memory),
            streams=Slots(settings.max_streams),
            waits=Slots(settings.max_waits),
        )

    @property
    def limits(self) -> ImageLimits:
        return ImageLimits(max_pixels=self.settings.max_pixels)

    async def wait(
        self, watch: Watch, seconds: float, who: str, known: Job | None = None
    ) -> Waited:
        """The watched job once it is final, or as it is after ``seconds``; or as it is now, when
        ``who`` has enough requests waiting already. ``known``: as it was since it is watched.
        """
        with self.waits.take(who) as free:
            job = await watch.until_final(self.look, seconds if free else 0.0, known)
        return Waited(job, applied=free)
