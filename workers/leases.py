"""What a worker holds: leases, which keep a job its own. One thread renews them all, and tells each
job what it learned.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from jobs.redis_store import JobStore
from jobs.store import Renewal

log = logging.getLogger(__name__)


@dataclass
class Lease:
    """One held job. ``postponed``: its networks are being loaded; ``canceled``: its client gave up;
    ``lost``: another worker may have it by now.
    """

    job_id: str
    token: str
    postponed: bool = False
    canceled: bool = False
    lost: bool = False


class Leases:
    """All leases of this process, of at most ``limit`` jobs, and as many postponed ones; renewed
    three times per lifetime. ``on_release`` is called when there is room for others.
    """

    def __init__(
        self,
        store: JobStore,
        ttl: float,
        limit: int = 16,
        on_release: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._ttl, self.limit, self._on_release = store, ttl, limit, on_release
        self._held: dict[str, Lease] = {}
        self.changed_at = time.monotonic()  # when a job was last taken or left
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2)

    def add(self, job_id: str, token: str) -> Lease:
        """Renew the lease of a claimed job until it is removed."""
        lease = Lease(job_id, token)
        with self._changed:
            self._held[token] = lease
            self.changed_at = time.monotonic()
        return lease

    def remove(self, *leases: Lease) -> None:
        """These jobs are held no more. Those that were not held change nothing."""
        with self._changed:
            found = [self._held.pop(lease.token, None) for lease in leases]
            self.changed_at = time.monotonic()
            self._changed.notify_all()
        if any(found):
            self._on_release()

    def postpone(self, *leases: Lease) -> bool:
        """These jobs take no place from others until :meth:`resume`. False when as many as there
        are places are postponed already.
        """
        with self._changed:
            if self._postponed() + len(leases) > self.limit:
                return False
            for lease in leases:
                lease.postponed = True
        self._on_release()
        return True

    def resume(self, *leases: Lease) -> None:
        """These jobs take their places again."""
        with self._changed:
            for lease in leases:
                lease.postponed = False

    def _postponed(self) -> int:
        return sum(lease.postponed for lease in self._held.values())

    @property
    def free(self) -> int:
        """How many more jobs may be held."""
        with self._changed:
            return self.limit - len(self._held) + self._postponed()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until no job is held. False when one still is after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)

    def held(self) -> list[Lease]:
        with self._changed:
            return list(self._held.values())

    def renew(self) -> None:
        """One round. A store that can't be reached changes nothing: the lease may still be renewed
        in time.
        """
        held = self.held()
        try:
            answers = self._store.renew_all([(x.job_id, x.token) for x in held], self._ttl)
        except Exception as error:
            log.warning("%d leases not renewed: %s", len(held), error)
            return
        for lease, answer in zip(held, answers, strict=True):
            lease.canceled = lease.canceled or answer is Renewal.cancel
            lease.lost = lease.lost or answer is Renewal.lost

    def _loop(self) -> None:
        while not self._stop.wait(self._ttl / 3):
            self.renew()
