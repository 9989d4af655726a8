"""One worker process, put together from its settings. Torch is loaded by what needs it: a worker
of fakes does not.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from jobs.blobs import BlobStore
from jobs.images import ImageLimits
from jobs.redis_store import RedisJobStore, connect, wait_for
from jobs.store import JobStore
from jobs.wire import QUEUE
from workers.batcher import Batcher
from workers.celery_app import build, consume
from workers.drain import Drain
from workers.lease import Leases
from workers.loader import Loader
from workers.preload import preload
from workers.run import JobRunner
from workers.settings import WorkerSettings
from workers.watchdog import Watchdog, end_process

_BROKER_WAIT = 60.0  # seconds for which a broker that still starts is waited for


def device_of(name: str) -> str:
    """``auto`` is CUDA when there is one."""
    if name == "auto":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _pipelines(settings: WorkerSettings, device: str) -> Loader:
    from workers.pipelines import Pipelines

    return Pipelines(
        settings.weights_dir,
        device,
        settings.precision,
        settings.max_batch,
        settings.max_loaded,
        settings.cache_dir / "tunings.json",
    )


@dataclass(frozen=True)
class Parts:
    """Makers of what a worker is built on: the store from a Redis client, the blobs from their
    address, the pipelines from settings and device.
    """

    store: Callable[[redis.Redis], JobStore] = RedisJobStore
    blobs: Callable[[str], BlobStore] = BlobStore.at
    pipelines: Callable[[WorkerSettings, str], Loader] = _pipelines


DEFAULT = Parts()


class Worker:
    """Everything is loaded and warm before the first message is taken. ``parts`` replace those
    that the settings name.
    """

    def __init__(self, settings: WorkerSettings, parts: Parts = DEFAULT) -> None:
        self.device = device_of(settings.device)
        self.settings = settings = settings.sized_for(self.device)
        wait_for(settings.redis_url, _BROKER_WAIT)
        client = connect(settings.redis_url)
        store = parts.store(client)
        self.pipelines = parts.pipelines(settings, self.device)
        self.batcher = Batcher(settings.max_batch, settings.max_delay_ms / 1000, _on_fatal)
        self.leases = Leases(store, settings.lease_ttl)
        self.runner = JobRunner(
            store=store,
            blobs=parts.blobs(settings.storage_url),
            pipelines=self.pipelines,
            batcher=self.batcher,
            leases=self.leases,
            lease_ttl=settings.lease_ttl,
            max_attempts=settings.max_attempts,
            concurrency=settings.concurrency,
            limits=ImageLimits(max_pixels=settings.max_pixels),
        )
        self.drain = Drain(store, self.leases, settings.drain)
        self.watchdog = Watchdog(
            store=store,
            batcher=self.batcher,
            leases=self.leases,
            name=settings.worker_name,
            describe=self.describe,
            waiting_messages=lambda: client.llen(QUEUE),
            stuck_after=settings.stuck_after,
        )

    def describe(self) -> dict[str, Any]:
        """What the heartbeat tells of this worker."""
        return {
            "device": self.device,
            "precision": self.settings.precision,
            "loaded": [list(key) for key in self.pipelines.loaded()],
            "tasks": self.pipelines.servable(),
            "concurrency": self.settings.concurrency,
            "waiting": self.batcher.depth(),
            "running": len(self.leases.held()),
            "last_batch_at": self.batcher.last_batch_at,
        }

    def run(self) -> None:
        """Load, work until SIGTERM, then let running jobs end or hand them back."""
        settings = self.settings
        preload(self.pipelines, settings.weights_dir, settings.defaults())
        gc.freeze()  # libraries and networks stay; to look at them again and again takes long
        self.batcher.start()
        self.leases.start()
        self.watchdog.start()
        app = build(settings.redis_url, self.runner, self.watchdog.touch)
        consume(app, settings.worker_name, settings.concurrency, self._ready, self._stopping)
        self.drain.done()
        self.batcher.stop()
        self.leases.stop()

    def _ready(self) -> None:
        self.watchdog.ready = True
        self.watchdog.beat()

    def _stopping(self) -> None:
        self.runner.draining = True
        self.drain.begin()
        self.watchdog.stop()


def _on_fatal(error: BaseException) -> None:
    end_process(f"fatal error of the networks: {error}")


def limit_threads(count: int) -> None:
    """Torch's threads on the CPU; 0 is one per core."""
    import torch

    torch.set_num_threads(count or os.cpu_count() or 1)
