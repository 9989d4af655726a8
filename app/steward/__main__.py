"""``python -m app.steward``: recover and sweep every few seconds until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass

from app.queue import CeleryQueue, Queue
from app.steward.recover import RecoveryPolicy, recover
from app.steward.sweep import sweep
from jobs import alive
from jobs.blobs import BlobStore
from jobs.redis_store import RedisJobStore, connect
from jobs.settings import SharedSettings
from jobs.store import JobStore

log = logging.getLogger("steward")

RECOVER_EVERY = 2.0
SWEEP_EVERY = 60.0


@dataclass
class Steward:
    """Everything one round needs; :meth:`run` repeats rounds until ``stop`` is set."""

    store: JobStore
    queue: Queue
    blobs: BlobStore
    result_ttl: float
    policy: RecoveryPolicy
    _last_sweep: float = 0.0

    def round(self, now: float) -> None:
        """Recover always, sweep once a minute."""
        recover(self.store, self.queue, now, self.policy)
        if now - self._last_sweep >= SWEEP_EVERY:
            sweep(self.store, self.blobs, now, self.result_ttl)
            self._last_sweep = now

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            alive.touch()
            try:
                self.round(time.time())
            except Exception as error:
                # The broker restarts or a disk is full: what was not done is found again next time.
                log.warning("round not finished: %s", error)
            stop.wait(RECOVER_EVERY)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    settings = SharedSettings()
    client = connect(settings.redis_url)
    steward = Steward(
        store=RedisJobStore(client),
        queue=CeleryQueue(settings.redis_url, client),
        blobs=BlobStore.at(settings.storage_url),
        result_ttl=settings.result_ttl,
        policy=RecoveryPolicy(max_attempts=settings.max_attempts),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    steward.run(stop)


if __name__ == "__main__":
    main()
