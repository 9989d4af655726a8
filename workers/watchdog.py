"""Ends a process that no longer works, so that its supervisor starts a fresh one, and says that it
lives until then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobs import alive
from jobs.errors import JobsError
from jobs.store import JobStore
from workers.batcher import Batcher
from workers.lease import Leases

log = logging.getLogger(__name__)

EXIT_STUCK = 70
HEARTBEAT_EVERY = 2.0
HEARTBEAT_TTL = 15.0
DEAF_AFTER = 45.0  # seconds that messages may lie untouched while this worker is idle
JOB_FACTOR = 5  # a job may take this many times as long as one forward pass


def end_process(reason: str) -> None:
    """Leave at once: threads that hang can't be ended otherwise."""
    log.critical("ending the process: %s", reason)
    logging.shutdown()
    os._exit(EXIT_STUCK)


@dataclass
class Watchdog:
    """One thread. ``waiting_messages`` counts what lies in the queue; ``describe`` is what the
    heartbeat says.
    """

    store: JobStore
    batcher: Batcher
    leases: Leases
    name: str
    describe: Callable[[], dict[str, Any]]
    waiting_messages: Callable[[], int]
    stuck_after: float
    end: Callable[[str], None] = end_process
    ready: bool = False
    last_received: float = field(default_factory=time.monotonic)
    _untouched_since: float | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._loop, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Say farewell, so that readiness follows at once."""
        self._stop.set()
        try:
            self.store.farewell(self.name)
        except JobsError as error:
            log.warning("no farewell: %s", error)

    def touch(self) -> None:
        """A message arrived."""
        self.last_received = time.monotonic()

    def check(self, now: float) -> None:
        """End the process if the networks, a job or the consumer hang."""
        busy = self.batcher.busy_since
        if busy is not None and now - busy > self.stuck_after:
            self.end(f"a forward pass takes longer than {self.stuck_after:.0f} s")
        oldest = min((lease.since for lease in self.leases.held()), default=now)
        if now - oldest > self.stuck_after * JOB_FACTOR:
            self.end(f"a job takes longer than {self.stuck_after * JOB_FACTOR:.0f} s")
        if self.ready:
            self._check_hearing(now)

    def _check_hearing(self, now: float) -> None:
        """Messages lie in the queue, this worker is idle, and yet none arrives: its consumer is
        dead.
        """
        idle = not self.leases.held() and now - self.last_received > DEAF_AFTER
        if not idle or not self.waiting_messages():
            self._untouched_since = None
        elif self._untouched_since is None:
            self._untouched_since = now
        elif now - self._untouched_since > DEAF_AFTER:
            self.end("messages wait but none arrives")

    def beat(self) -> None:
        """Tell the store that this worker is able to work."""
        if self.ready:
            self.store.heartbeat(self.name, self.describe(), HEARTBEAT_TTL)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.check(time.monotonic())
                alive.touch()
                self.beat()
            except Exception as error:  # this thread must outlive every fault of the broker
                log.warning("no heartbeat: %s", error)
            self._stop.wait(HEARTBEAT_EVERY)
