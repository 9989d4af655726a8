"""``python -m workers``: load the bundles, warm up, then work until SIGTERM."""

from __future__ import annotations

import logging
import os

from models.allocator import reexec_tuned


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def main() -> None:
    """Everything is loaded before the first message is taken."""
    import torch

    from jobs.blobs import BlobStore
    from jobs.images import ImageLimits
    from jobs.redis_store import RedisJobStore, connect, wait_for
    from jobs.wire import QUEUE
    from workers.batcher import Batcher
    from workers.celery_app import build, consume
    from workers.lease import Leases
    from workers.pipelines import Pipelines
    from workers.preload import preload
    from workers.run import JobRunner
    from workers.settings import WorkerSettings
    from workers.watchdog import Watchdog, end_process

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = WorkerSettings()
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    wait_for(settings.redis_url, 60)
    client = connect(settings.redis_url)
    store = RedisJobStore(client)
    device = _device(settings.device)
    pipelines = Pipelines(
        settings.weights_dir, device, settings.precision, settings.max_batch, settings.max_loaded
    )
    batcher = Batcher(
        settings.max_batch,
        settings.max_delay_ms / 1000,
        lambda error: end_process(f"fatal device error: {error}"),
    )
    leases = Leases(store, settings.lease_ttl)
    runner = JobRunner(
        store=store,
        blobs=BlobStore.at(settings.storage_url),
        pipelines=pipelines,
        batcher=batcher,
        leases=leases,
        lease_ttl=settings.lease_ttl,
        max_attempts=settings.max_attempts,
        limits=ImageLimits(max_pixels=settings.max_pixels),
    )

    def describe() -> dict[str, object]:
        return {
            "device": device,
            "precision": settings.precision,
            "loaded": [list(key) for key in pipelines.loaded()],
            "tasks": pipelines.servable(),
            "waiting": batcher.depth(),
            "running": len(leases.held()),
            "last_batch_at": batcher.last_batch_at,
        }

    watchdog = Watchdog(
        store=store,
        batcher=batcher,
        leases=leases,
        name=settings.worker_name,
        describe=describe,
        waiting_messages=lambda: client.llen(QUEUE),
        stuck_after=settings.stuck_after,
    )
    preload(pipelines, settings.weights_dir, settings.defaults())
    batcher.start()
    leases.start()
    watchdog.start()

    def received() -> None:
        watchdog.touch()

    def ready() -> None:
        watchdog.ready = True
        watchdog.beat()

    def stopping() -> None:
        runner.draining = True
        watchdog.stop()

    app = build(settings.redis_url, runner, received)
    consume(app, settings.worker_name, settings.concurrency, ready, stopping)
    batcher.stop()
    leases.stop()


if __name__ == "__main__":
    reexec_tuned("workers")
    main()
