"""One worker process, put together from its settings. Torch is loaded by what needs it: a worker
of fakes does not.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import redis
from celery import Celery, signals
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from jobs.blobs import BlobStore
from jobs.connections import QUEUE, TASK_NAME, celery_config, connect
from jobs.errors import JobsError
from jobs.images import ImageLimits
from jobs.job import DEFAULT_GROUP, bundle_group
from jobs.metrics import serve_metrics
from jobs.redis_store import JobStore
from jobs.storage_identity import require_own_storage
from jobs.traces import configure_tracing
from workers.batcher import Batcher
from workers.claimer import Claimer
from workers.job_runner import JobRunner
from workers.leases import Leases
from workers.loader import PipelineLoader, preload
from workers.metrics import WorkerCollector
from workers.policy import load_policy
from workers.settings import WorkerSettings
from workers.watchdog import Drain, Watchdog, end_process

if TYPE_CHECKING:
    from models.runtime.cpu.threads import Execute

log = logging.getLogger(__name__)
# Two lines for each message; the jobs' records say more, and cost nothing.
_VERBOSE_LOGGERS = ("celery.worker.strategy", "celery.app.trace")


def build_app(
    redis_url: str,
    prefix: str,
    notify: Callable[[], None],
    draining: Callable[[], bool],
    remote_control: bool = False,
) -> Celery:
    """The app; ``notify`` is called for every wake-up. ``remote_control``: answer Celery's own
    tools, such as ``celery inspect`` and Flower.
    """
    app = Celery("mmml", set_as_current=False)
    app.conf.update(celery_config(redis_url, prefix))
    app.conf.worker_enable_remote_control = remote_control
    app.conf.worker_send_task_events = remote_control

    @app.task(name=TASK_NAME, ignore_result=True, shared=False)  # type: ignore[untyped-decorator]
    def work() -> None:
        if draining():
            raise Reject("draining", requeue=True)  # another worker takes it at once
        notify()

    return app


def send_wakeup(app: Celery) -> None:
    """Send a wake-up; one that can't be sent is made up for within a second."""
    try:
        app.send_task(TASK_NAME, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("no wake-up sent: %s", error)


_BROKER_TIMEOUT = 60.0  # seconds for which a broker that still starts is waited for


def resolve_device(name: str) -> str:
    """``auto`` is CUDA when there is one."""
    if name == "auto":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _pipelines(settings: WorkerSettings, device: str, execute: Execute) -> PipelineLoader:
    from models.runtime.cpu.threads import reserve_threads
    from workers.pipeline_cache import CachedPipelineLoader

    reserve_threads(execute, settings.threads)
    return CachedPipelineLoader(settings, device, execute)


class Worker:
    """Everything is loaded and warm before the first job is claimed. What it is built on is made of
    a Redis client and its keys' prefix, the address of the blobs, and settings and device.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        make_store: Callable[[redis.Redis, str], JobStore] = JobStore,
        open_blobs: Callable[[str], BlobStore] = BlobStore.from_url,
        make_pipelines: Callable[[WorkerSettings, str, Execute], PipelineLoader] = _pipelines,
    ) -> None:
        self.device = resolve_device(settings.device)
        self.settings = settings = settings.sized_for(self.device)
        self.policy = load_policy(settings.policy)
        blobs = open_blobs(settings.storage_url)
        try:
            require_own_storage(settings, blobs, _BROKER_TIMEOUT)
        except JobsError as error:
            raise SystemExit(f"mmml: {error}") from error
        self.store = make_store(connect(settings.redis_url), settings.redis_prefix)
        self.batcher = Batcher(
            settings.max_batch,
            settings.max_delay_ms / 1000,
            lambda error: end_process(f"fatal error of the networks: {error}"),
            self._notify,
        )
        self.batcher.start()  # networks are loaded and warmed up in its thread
        self.pipelines = make_pipelines(settings, self.device, self.batcher.execute)
        self.leases = Leases(self.store, settings.lease_ttl, settings.concurrency, self._notify)
        # Jobs that wait for their networks have threads beside those that run.
        self.executor = ThreadPoolExecutor(2 * settings.concurrency, "jobs")
        self.claimer = self._build_claimer(blobs)
        self.drain = Drain(self.store, self.leases, settings.drain, self.claimer.stop)
        self.watchdog = Watchdog(
            store=self.store,
            batcher=self.batcher,
            leases=self.leases,
            name=settings.worker_name,
            describe=self.describe,
            claimable=self._claimable,
            last_answer_at=lambda: self.claimer.last_answer_at,
            stuck_after=settings.stuck_after,
            set_paused=self.claimer.pause,
            reload=self.reload,
            choose_groups=self._choose_groups,
        )
        self.celery = build_app(
            settings.redis_url,
            settings.redis_prefix,
            self._notify,
            lambda: self.claimer.draining,
            settings.remote_control,
        )

    def _build_claimer(self, blobs: BlobStore) -> Claimer:
        settings = self.settings
        runner = JobRunner(
            store=self.store,
            blobs=blobs,
            pipelines=self.pipelines,
            batcher=self.batcher,
            leases=self.leases,
            max_attempts=settings.max_attempts,
            retry_after=settings.lease_ttl,
            limits=ImageLimits(max_pixels=settings.max_pixels),
            policy=self.policy,
        )
        return Claimer(
            store=self.store,
            runner=runner,
            executor=self.executor,
            name=settings.worker_name,
            lease_ttl=settings.lease_ttl,
            groups=() if settings.serve_bundles else (DEFAULT_GROUP,),
            wake=lambda: send_wakeup(self.celery),
        )

    def _notify(self) -> None:
        self.claimer.notify()

    def _claimable(self) -> bool:
        return self.claimer.capacity() is not None and self.store.has_claimable(self.claimer.groups)

    def _choose_groups(self) -> None:
        """Which groups this worker claims from; for the bundles that it alone serves there are
        some from now on.
        """
        only = self.settings.serve_bundles
        placed = self.store.place_bundles(only)
        mine = [bundle_group(name) for name in self.pipelines.bundles() if name in placed]
        self.claimer.groups = tuple(mine) if only else (DEFAULT_GROUP, *mine)

    def describe(self) -> dict[str, Any]:
        loaded = self.pipelines.loaded()
        return {
            "device": self.device,
            "precision": self.settings.precision,
            "loaded": [list(key) for key in loaded],
            "weight_bytes": list(loaded.values()),
            "network_memory": int(self.settings.network_memory) or None,
            "pinned": self.settings.pinned_bundles,
            "groups": self.claimer.groups,
            "bundles": self.pipelines.bundles(),
            "concurrency": self.settings.concurrency,
            "waiting": self.batcher.queued_pictures(),
            "running": len(self.leases.held()),
            "drained": self.claimer.paused,
            "last_batch_at": self.batcher.last_batch_at,
        }

    def run(self) -> None:
        """Load, work until SIGTERM, then let running jobs end or hand them back."""
        settings = self.settings
        preload(self.pipelines, settings)
        if not self.pipelines.bundles():
            raise SystemExit(
                f"mmml: no bundle under {settings.weights_dir} can be loaded, so this worker would "
                "only take jobs from others. See the lines above, or name another folder in "
                "MMML_WEIGHTS_DIR."
            )
        configure_tracing(settings, "worker")
        gc.freeze()  # libraries and networks stay; to look at them again and again takes long
        serve_metrics(settings, WorkerCollector(self.device, self.pipelines, self.leases))
        self.leases.start()
        self.watchdog.start()
        self._consume()
        self.claimer.stop(settings.drain)
        self.executor.shutdown()  # jobs that are held go on until the drain ends the process
        self.drain.mark_done()
        self.batcher.stop()
        self.leases.stop()

    def reload(self) -> None:
        """Look at the bundles again, and have the networks of new defaults ready before jobs ask
        for them; in a thread of its own, because loading takes longer than a heartbeat may.
        """
        log.info("an operator asks for it: all bundles are looked at again")
        self.pipelines.forget_failures()
        threading.Thread(
            target=preload, args=(self.pipelines, self.settings), name="reload", daemon=True
        ).start()

    def _consume(self) -> None:
        """Hear wake-ups until SIGTERM. They take no time, so no pool of threads is needed."""
        for chatty in _VERBOSE_LOGGERS:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        signals.worker_ready.connect(self._ready, weak=False)
        signals.worker_shutting_down.connect(self._stopping, weak=False)
        self.celery.worker_main(
            [
                "--quiet",
                "worker",
                *("--pool", "solo"),
                *("--queues", QUEUE),
                *("--hostname", f"{self.settings.worker_name}@mmml"),
                *("--loglevel", "INFO"),
                "--without-gossip",
                "--without-mingle",
                *([] if self.settings.remote_control else ["--without-heartbeat"]),
            ]
        )

    def _ready(self, **_: Any) -> None:
        self.watchdog.ready = True
        self.watchdog.send_heartbeat()
        self.claimer.start()
        self.claimer.notify()

    def _stopping(self, **_: Any) -> None:
        self.drain.begin()
        self.watchdog.stop()
