"""``python -m app.reconciler``: reconcile, expire and deliver webhooks until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from functools import partial

from app.reconciler.expire import Duty, JobEraser, LogRewriter, OrphanCollector, run_duties
from app.reconciler.metrics import StoreCollector
from app.reconciler.reconcile import Reconciler
from app.reconciler.webhooks import WebhookDispatcher
from app.settings import WebhookSettings
from app.webhooks.sender import WebhookSender
from app.webhooks.signing import signing_secrets
from jobs.blobs import BlobStore
from jobs.connections import connect
from jobs.errors import JobsError
from jobs.logs import configure_logging
from jobs.metrics import serve_metrics
from jobs.redis_store import JobStore
from jobs.settings import read_settings
from jobs.storage_identity import require_own_storage
from jobs.traces import configure_tracing

log = logging.getLogger("reconciler")


def webhook_dispatcher(settings: WebhookSettings, store: JobStore) -> WebhookDispatcher:
    configured = settings.webhook_secret.get_secret_value()
    return WebhookDispatcher(
        store=store,
        sender=WebhookSender(settings.webhook_policy(), settings.webhook_timeout),
        secrets=lambda job: signing_secrets(configured, store, job.owner),
        delays=settings.webhook_delays,
        lease_seconds=settings.webhook_timeout + 30,
        root=settings.root_path,
    )


def main() -> None:
    settings = read_settings(WebhookSettings)
    configure_logging(settings)
    configure_tracing(settings, "reconciler")
    try:
        require_own_storage(settings)
    except JobsError as error:
        raise SystemExit(f"mmml: {error}") from error
    client = connect(settings.redis_url)
    store = JobStore(client, settings.redis_prefix)
    eraser = JobEraser(store, BlobStore.from_url(settings.storage_url))
    expiry: Sequence[Duty] = [
        lambda _now: eraser.erase_inputs(),
        lambda _now: eraser.expire_results(settings.result_ttl),
        OrphanCollector(eraser).run_once,
        LogRewriter(store).run_once,
    ]
    serve_metrics(settings, StoreCollector(store, settings.result_ttl))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    duties = (webhook_dispatcher(settings, store).run, partial(run_duties, expiry))
    threads = [threading.Thread(target=duty, args=(stop,)) for duty in duties]
    for thread in threads:
        thread.start()
    log.info("ready: results are erased after %.0f s", settings.result_ttl)
    Reconciler(store, settings.max_attempts).run(stop)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
