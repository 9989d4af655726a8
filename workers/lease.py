"""Leases: what keeps a job this worker's. One thread renews them all and tells each job what it
learned.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.store import JobStore, Renewal

log = logging.getLogger(__name__)


@dataclass
class Lease:
    """One held job. ``claimed``: the store has answered the claim; ``canceled``: its client gave
    up; ``lost``: another worker may have it by now.
    """

    job_id: str
    token: str
    since: float = field(default_factory=time.monotonic)
    claimed: bool = False
    canceled: bool = False
    lost: bool = False


class Leases:
    """All leases of this process; renewed three times per lifetime."""

    def __init__(self, store: JobStore, ttl: float) -> None:
        self._store, self._ttl = store, ttl
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2)

    @contextmanager
    def hold(self, job_id: str, token: str) -> Iterator[Lease]:
        """Renew the lease while the block runs; the block claims the job and then says so."""
        lease = Lease(job_id, token)
        with self._lock:
            self._held[token] = lease
        try:
            yield lease
        finally:
            with self._lock:
                del self._held[token]

    def held(self) -> list[Lease]:
        with self._lock:
            return list(self._held.values())

    def all_claimed(self, seconds: float) -> bool:
        """Wait until no claim is under way, for ``seconds`` at most. False when one still is."""
        deadline = time.monotonic() + seconds
        while not all(lease.claimed for lease in self.held()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def renew(self) -> None:
        """One round. A store that can't be reached changes nothing: the lease may still be renewed
        in time.
        """
        for lease in filter(lambda lease: lease.claimed, self.held()):
            try:
                answer = self._store.renew(lease.job_id, lease.token, self._ttl)
            except Exception as error:
                log.warning("lease of %s not renewed: %s", lease.job_id, error)
                continue
            lease.canceled = lease.canceled or answer is Renewal.cancel
            lease.lost = lease.lost or answer is Renewal.lost

    def _loop(self) -> None:
        while not self._stop.wait(self._ttl / 3):
            self.renew()
