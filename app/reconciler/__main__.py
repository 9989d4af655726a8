"""``python -m app.reconciler``: reconcile, expire and deliver webhooks until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.reconciler.expire import (
    PAGE,
    InputEraser,
    LogRewriter,
    OrphanCollector,
    ParallelEraser,
    ResultExpirer,
)
from app.reconciler.metrics import StoreCollector
from app.reconciler.reconcile import Reconciler
from app.reconciler.webhooks import WebhookDispatcher
from app.settings import WebhookSettings
from app.webhooks.sender import WebhookSender
from app.webhooks.signing import signing_secrets
from jobs import liveness
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

INTERVAL = 2.0  # seconds


@dataclass
class ReconcilerLoop:
    """Recovers jobs, round by round until ``stop`` is set."""

    reconciler: Reconciler
    _rebuilt: frozenset[str] | None = None  # the bundles that had a group of their own then

    def run_once(self) -> None:
        """A fault of one duty does not keep the other from being done; what was not done is found
        again next time.
        """
        for duty in (self._rebuild, self.reconciler.run_once):
            with _log_errors("jobs not reconciled"):
                duty()

    def _rebuild(self) -> int:
        placed = self.reconciler.store.place_bundles()
        if placed == self._rebuilt:
            return 0
        count = self.reconciler.rebuild()
        self._rebuilt = placed
        return count

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            liveness.touch_file()
            self.run_once()
            stop.wait(INTERVAL)


@dataclass
class ExpiryLoop:
    """Erases what is over, in a thread of its own: storage that is slow or away holds up nothing
    else.
    """

    duties: Sequence[InputEraser | ResultExpirer | OrphanCollector | LogRewriter]

    def run_once(self, now: float) -> int:
        """How many jobs the busiest duty got through. ``now``: by a monotonic clock."""
        most = 0
        for duty in self.duties:
            with _log_errors(f"{type(duty).__name__} failed"):
                most = max(most, duty.run_once(now))
        return most

    def run(self, stop: threading.Event) -> None:
        """Page by page, with a pause when there was less than one."""
        while not stop.is_set():
            if self.run_once(time.monotonic()) < PAGE:
                stop.wait(INTERVAL)


@contextmanager
def _log_errors(description: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the broker restarts
        log.warning("%s: %s", description, error)


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
    eraser = ParallelEraser(BlobStore.from_url(settings.storage_url))
    expiry = ExpiryLoop(
        [
            InputEraser(store, eraser),
            ResultExpirer(store, eraser, settings.result_ttl),
            OrphanCollector(store, eraser),
            LogRewriter(store),
        ]
    )
    serve_metrics(settings, StoreCollector(store, settings.result_ttl))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    duties = (webhook_dispatcher(settings, store).run, expiry.run)
    threads = [threading.Thread(target=duty, args=(stop,)) for duty in duties]
    for thread in threads:
        thread.start()
    log.info("ready: results are erased after %.0f s", settings.result_ttl)
    ReconcilerLoop(Reconciler(store, settings.max_attempts)).run(stop)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
