"""``python -m app.reconciler``: recover, sweep and deliver webhooks until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.reconciler.expire import OrphanSweeper, Sweeper
from app.reconciler.reconcile import Reconciler
from app.reconciler.webhooks import Courier
from app.settings import WebhookSettings
from app.webhooks.sender import Sender
from app.webhooks.signing import signing_secrets
from jobs import liveness
from jobs.blobs import BlobStore
from jobs.redis_store import RedisJobStore, connect
from jobs.settings import read_settings
from jobs.store import JobStore

log = logging.getLogger("steward")

EVERY = 2.0  # seconds


@dataclass
class Steward:
    """Everything one round needs; :meth:`run` repeats rounds until ``stop`` is set."""

    reconciler: Reconciler
    sweeper: Sweeper
    orphans: OrphanSweeper
    _rebuilt: bool = False

    def round(self, now: float) -> None:
        """A fault of one duty does not keep the others from being done; what was not done is found
        again next time. ``now``: by a monotonic clock.
        """
        for duty in (self._rebuild, self.reconciler.round):
            with _tried("jobs not reconciled"):
                duty()
        for sweeper in (self.sweeper, self.orphans):
            with _tried("results not swept"):
                sweeper.sweep(now)

    def _rebuild(self) -> int:
        if self._rebuilt:
            return 0
        count = self.reconciler.rebuild()
        self._rebuilt = True
        return count

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            liveness.touch()
            self.round(time.monotonic())
            stop.wait(EVERY)


@contextmanager
def _tried(failed: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the broker restarts
        log.warning("%s: %s", failed, error)


def courier(settings: WebhookSettings, store: JobStore) -> Courier:
    """Delivers webhooks as the settings say."""
    configured = settings.webhook_secret.get_secret_value()
    return Courier(
        store=store,
        sender=Sender(settings.webhook_policy(), settings.webhook_timeout),
        secrets=lambda job: signing_secrets(configured, store, job.owner),
        delays=settings.webhook_delays,
        patience=settings.webhook_timeout + 30,
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    settings = read_settings(WebhookSettings)
    client = connect(settings.redis_url)
    store = RedisJobStore(client, settings.redis_prefix)
    blobs = BlobStore.at(settings.storage_url)
    steward = Steward(
        Reconciler(store, settings.max_attempts),
        Sweeper(store, blobs, settings.result_ttl),
        OrphanSweeper(store, blobs),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    deliveries = threading.Thread(target=courier(settings, store).run, args=(stop,))
    deliveries.start()
    steward.run(stop)
    deliveries.join()


if __name__ == "__main__":
    main()
