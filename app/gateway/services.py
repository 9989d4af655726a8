"""What the routes need, put together once per process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

import anyio
import redis
from anyio import to_thread
from starlette.concurrency import run_in_threadpool

from app.gateway.auth import Authenticator
from app.gateway.coalescer import Coalescer
from app.gateway.decoders import Decoders
from app.gateway.enqueue import JobEnqueuer, WakeUpSender
from app.gateway.event_streams import EventStreams, QueuePosition
from app.gateway.rate_limits import PerCallerSemaphore
from app.gateway.subscriptions import JobChanges, JobSubscription, JobSubscriptions, end_tasks
from app.gateway.views import JobView, job_view
from app.settings import GatewaySettings
from jobs.blobs import BlobStore
from jobs.bundles import DEFAULTS, Catalogue
from jobs.connections import connect
from jobs.errors import BlobError, BundlesError, StoreError
from jobs.job import Job, Status
from jobs.load import Throughput
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
REFRESH_EVERY = 2.0  # seconds


class LiveCatalogue:
    """What is known of the weights folder; :meth:`refresh` reads it again when a ``bundle.json`` in
    it, or ``defaults.json``, has changed.
    """

    def __init__(
        self, folder: Path, defaults: Mapping[str, str], licences: Collection[str] = ()
    ) -> None:
        self._folder, self._defaults, self._licences = folder, dict(defaults), licences
        self._last_fingerprint = self._fingerprint()
        self._current = self._read()

    def current(self) -> Catalogue:
        return self._current

    def refresh(self) -> None:
        """Blocking. A bundle that can't be read keeps the last good catalogue in place."""
        try:
            stamp = self._fingerprint()
            if stamp != self._last_fingerprint:
                self._current = self._read()
                self._last_fingerprint = stamp
        except (BundlesError, OSError) as error:
            log.error("%s", error)

    def _read(self) -> Catalogue:
        """With all words, so that no request has to wait for a file of them."""
        catalogue = Catalogue.open(self._folder, self._defaults, self._licences)
        for bundle in catalogue.bundles.values():
            for task in bundle.tasks.values():
                with contextlib.suppress(
                    OSError, ValueError, KeyError
                ):  # reported to whoever asks for it
                    _ = task.vocabulary
        return catalogue

    def _fingerprint(self) -> frozenset[tuple[str, int, int]]:
        found = []
        for path in (*self._folder.glob("*/bundle.json"), *self._folder.glob(DEFAULTS)):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_ino))
        return frozenset(found)


P = ParamSpec("P")
T = TypeVar("T")
_THROUGHPUT_CACHE_SECONDS = 2.0  # seconds
_STORAGE_THREADS = 32
_STORE_TIMEOUT = 2.0  # seconds: a request that asks twice still answers within five


class Services:
    """The backends of one gateway: Redis, Celery and the blob store that the settings name."""

    def __init__(
        self, settings: GatewaySettings, make_store: Callable[..., JobStore] = JobStore
    ) -> None:
        client, prefix = connect(settings.redis_url, _STORE_TIMEOUT), settings.redis_prefix
        memory, replicas = settings.redis_memory or None, settings.redis_replicas
        self.settings = settings
        self.store = make_store(client, prefix, memory, replicas)
        self.wakeups = WakeUpSender(settings.redis_url, prefix)
        self.enqueuer = JobEnqueuer(self.store, lambda: self.wakeups, lambda: self.settings)
        self.blobs = BlobStore.from_url(settings.storage_url)
        self.storage_threads = anyio.CapacityLimiter(_STORAGE_THREADS)  # nothing else waits for it
        self.catalogue = LiveCatalogue(settings.weights_dir, settings.defaults(), settings.licences)
        self.authenticator = Authenticator(client, settings)
        self.redis_warnings = partial(redis_warnings, client, settings.redis_memory)  # blocks
        self.stream_slots = PerCallerSemaphore(settings.max_streams)
        self.wait_slots = PerCallerSemaphore(settings.max_waits)
        self.downloads = PerCallerSemaphore(settings.max_downloads)
        self.decoders = Decoders(settings.decoders)
        self.converting = WeakValueDictionary[str, anyio.Lock]()  # by caller
        changes = JobChanges(settings.redis_url, self.store.change_channel)
        self.subscriptions = JobSubscriptions(changes)
        self.get_job = Coalescer[str, Job | None](self.store.get_all)
        self.queue_position = Coalescer(self._queue_positions, max_batch=512)
        self.event_streams = EventStreams(
            self.store,
            self.subscriptions,
            self.queue_position,
            settings.max_event_streams,
            settings.root_path,
        )
        self._local_blobs = Coalescer(self._get_blobs)
        self._worker_seen = False
        self._throughput: Throughput | None = None
        self._throughput_at = 0.0

    async def get_blob(self, key: str) -> bytes:
        """What is stored under that key. Raises BlobError, BlobMissing too."""
        if self.blobs.is_local:
            return await self._local_blobs(key)
        return await to_thread.run_sync(self.blobs.get, key, limiter=self.storage_threads)

    async def open_blob(self, key: str) -> tuple[int, AsyncGenerator[bytes]]:
        """Its size, and its bytes in parts, of which one is held at a time. Raises BlobError."""
        size, parts = await to_thread.run_sync(self.blobs.open, key, limiter=self.storage_threads)
        return size, self._parts(parts)

    async def _parts(self, parts: Generator[bytes]) -> AsyncGenerator[bytes]:
        with contextlib.closing(parts):
            while part := await to_thread.run_sync(next, parts, b"", limiter=self.storage_threads):
                yield part

    async def job_view(self, job: Job) -> JobView:
        """The view of a job; of one that waits with its position."""
        place = await self.queue_position(job.id) if job.status is Status.queued else (None, None)
        return job_view(job, *place, self.settings.root_path)

    def _get_blobs(self, keys: Sequence[str]) -> list[bytes | Exception]:
        found: list[bytes | Exception] = []
        for key in keys:
            try:
                found.append(self.blobs.get(key))
            except BlobError as error:
                found.append(error)
        return found

    def _queue_positions(self, job_ids: Sequence[str]) -> list[QueuePosition]:
        """With an estimate of the time, from a rate that is a moment old."""
        positions = self.store.queue_positions(job_ids)
        age = time.monotonic() - self._throughput_at
        if self._throughput is None or age > _THROUGHPUT_CACHE_SECONDS:
            self._throughput, self._throughput_at = self.store.throughput(), time.monotonic()
            age = 0.0
        rate, now = self._throughput.rate, self._throughput.now + age
        return [
            (place, now + (place + 1) / rate if place is not None and rate else None)
            for place in map(positions.get, job_ids)
        ]

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What listens to the job store, for as long as the server runs."""
        await self.subscriptions.start()
        refreshing = asyncio.create_task(self._refresh_catalogue())
        revoking = asyncio.create_task(self._end_revoked())
        try:
            yield
        finally:
            await end_tasks(refreshing, revoking)
            await self.subscriptions.stop()
            self.store.close()

    async def _refresh_catalogue(self) -> None:
        """Folders are read in a thread, never on the event loop that answers everybody."""
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            await run_in_threadpool(self.catalogue.refresh)

    async def has_seen_worker(self) -> bool:
        """Whether a worker has been ready since this process started."""
        if not self._worker_seen:
            self._worker_seen = bool(await run_in_threadpool(self.store.live_workers))
        return self._worker_seen

    async def _end_revoked(self) -> None:
        """What a key's callers have open ends soon after the key."""
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            callers = self.stream_slots.callers | self.wait_slots.callers
            with contextlib.suppress(StoreError):
                find = self.authenticator.keys.revoked_among
                self.subscriptions.end_callers(await run_in_threadpool(find, callers))

    async def wait_until_final(
        self, subscription: JobSubscription, seconds: float, caller: str, known: Job | None = None
    ) -> tuple[Job | None, bool]:
        """The watched job once it is final, or as it is after ``seconds``; or as it is now, when
        ``caller`` has enough requests waiting already. ``known``: as it was since it is watched.
        And whether there was a place to wait in.
        """
        with self.wait_slots.acquire(caller) as free:
            seconds = seconds if free else 0.0
            return await subscription.wait_until_final(self.get_job, seconds, caller, known), free


def redis_warnings(client: redis.Redis, memory_limit: int) -> list[str]:
    """Sentences for whoever runs the service; none where the server does not tell. ``memory_limit``
    in bytes: of the settings, 0 when there is none. Blocks.
    """
    try:
        memory = client.info("memory")
    except redis.RedisError:
        return []
    result = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        result.append(
            f"Redis has maxmemory-policy {policy}: jobs vanish when its memory is full. Set it to "
            "noeviction."
        )
    if not memory_limit and not memory.get("maxmemory"):
        result.append(
            "Redis has no maxmemory, so nothing is refused before its machine's memory is full. "
            "Set maxmemory there, or MMML_REDIS_MEMORY here."
        )
    return result
