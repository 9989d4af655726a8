"""What SIGTERM gives running jobs: time to end, and after it a way back into the queue."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.errors import JobsError
from jobs.redis_store import JobStore
from workers.leases import Leases

log = logging.getLogger(__name__)
_CLAIM_WAIT = 6.0  # seconds: longer than the store's own timeout


def exit_process() -> None:
    """End the process at once: a thread inside a forward pass can't be interrupted."""
    logging.shutdown()
    os._exit(0)


@dataclass
class Drain:
    """Counts ``grace`` seconds from :meth:`begin`; what still runs then is handed back.
    ``stop_claiming`` waits for a claim that is under way, for so many seconds at most, and says
    whether it has ended.
    """

    store: JobStore
    leases: Leases
    grace: float
    stop_claiming: Callable[[float], bool]
    exit: Callable[[], None] = exit_process
    _done: threading.Event = field(default_factory=threading.Event, repr=False)

    def begin(self) -> None:
        """The process is asked to end."""
        log.info("draining: %d jobs have %.0f s to end", len(self.leases.held()), self.grace)
        threading.Thread(target=self._wait, name="drain", daemon=True).start()

    def mark_done(self) -> None:
        """Everything ended in time."""
        self._done.set()

    def release_jobs(self) -> int:
        """Release every job held here, without counting the attempt. Returns how many."""
        self.leases.stop()  # a renewal after the release would come too late for the next worker
        held = [(lease.job_id, lease.token) for lease in self.leases.held()]
        try:
            return sum(answer is True for answer in self.store.release_all(held))
        except JobsError as error:
            log.warning("%d jobs not handed back, their leases will run out: %s", len(held), error)
            return 0

    def _wait(self) -> None:
        if not self.stop_claiming(_CLAIM_WAIT):
            log.warning("a claim is still under way; its leases will run out")
        if not self._done.wait(self.grace):
            log.warning("the grace time is over: %d jobs handed back", self.release_jobs())
            self.exit()
