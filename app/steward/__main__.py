"""``python -m app.steward``: recover, sweep and deliver webhooks until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass

from app.queue import RedisQueue
from app.settings import WebhookSettings
from app.steward.recover import Recovery, RecoveryPolicy
from app.steward.sweep import Sweeper
from app.steward.webhooks import Courier
from app.webhooks.messages import signing_secrets
from app.webhooks.sending import Sender
from jobs import alive
from jobs.blobs import BlobStore
from jobs.redis_store import RedisJobStore, connect
from jobs.settings import read_settings
from jobs.store import JobStore

log = logging.getLogger("steward")

EVERY = 2.0  # seconds


@dataclass
class Steward:
    """Everything one round needs; :meth:`run` repeats rounds until ``stop`` is set."""

    recovery: Recovery
    sweeper: Sweeper

    def round(self, now: float) -> None:
        """A fault of one duty does not keep the other from being done; what was not done is found
        again next time.
        """
        try:
            self.recovery.round(now)
        except Exception as error:  # the broker restarts
            log.warning("jobs not recovered: %s", error)
        try:
            self.sweeper.sweep(now)
        except Exception as error:
            log.warning("results not swept: %s", error)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            alive.touch()
            self.round(time.time())
            stop.wait(EVERY)


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
    store = RedisJobStore(client)
    queue = RedisQueue(client)
    steward = Steward(
        Recovery(store, queue, RecoveryPolicy(max_attempts=settings.max_attempts)),
        Sweeper(store, BlobStore.at(settings.storage_url), settings.result_ttl),
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
