"""``python -m app.reconciler``: reconcile, expire and deliver webhooks until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.reconciler.reconcile import (
    InputEraser,
    LogRewriter,
    OrphanCollector,
    Reconciler,
    ResultExpirer,
)
from app.reconciler.webhooks import WebhookDispatcher
from app.settings import WebhookSettings
from app.webhooks.sender import WebhookSender
from app.webhooks.signing import signing_secrets
from jobs import liveness
from jobs.blobs import BlobStore
from jobs.connections import connect
from jobs.redis_store import JobStore
from jobs.settings import read_settings

log = logging.getLogger("reconciler")

INTERVAL = 2.0  # seconds


@dataclass
class ReconcilerLoop:
    """Everything one round needs; :meth:`run` repeats rounds until ``stop`` is set."""

    reconciler: Reconciler
    input_eraser: InputEraser
    expirer: ResultExpirer
    orphan_collector: OrphanCollector
    log_rewriter: LogRewriter
    _rebuilt: bool = False

    def run_once(self, now: float) -> None:
        """A fault of one duty does not keep the others from being done; what was not done is found
        again next time. ``now``: by a monotonic clock.
        """
        for duty in (self._rebuild, self.reconciler.run_once):
            with _log_errors("jobs not reconciled"):
                duty()
        for sweeper in (self.input_eraser, self.expirer, self.orphan_collector):
            with _log_errors("results not swept"):
                sweeper.run_once(now)
        with _log_errors("the broker's file is not written anew, so it keeps what was erased"):
            self.log_rewriter.run_once(now)

    def _rebuild(self) -> int:
        if self._rebuilt:
            return 0
        count = self.reconciler.rebuild()
        self._rebuilt = True
        return count

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            liveness.touch_file()
            self.run_once(time.monotonic())
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
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    settings = read_settings(WebhookSettings)
    client = connect(settings.redis_url)
    store = JobStore(client, settings.redis_prefix)
    blobs = BlobStore.from_url(settings.storage_url)
    loop = ReconcilerLoop(
        Reconciler(store, settings.max_attempts),
        InputEraser(store, blobs),
        ResultExpirer(store, blobs, settings.result_ttl),
        OrphanCollector(store, blobs),
        LogRewriter(store),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    deliveries = threading.Thread(target=webhook_dispatcher(settings, store).run, args=(stop,))
    deliveries.start()
    loop.run(stop)
    deliveries.join()


if __name__ == "__main__":
    main()
