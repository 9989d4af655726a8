"""How a worker's process ends. On SIGTERM running jobs get time to end, and then go back into the
queue; a process that no longer works is ended, so that its supervisor starts a fresh one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobs import liveness
from jobs.errors import JobsError
from jobs.redis_store import JobStore
from workers.batcher import Batcher
from workers.leases import Leases

log = logging.getLogger(__name__)

EXIT_STUCK = 70
HEARTBEAT_INTERVAL = 2.0
HEARTBEAT_TTL = 15.0
DEAF_AFTER = 45.0  # seconds that jobs may wait while this worker has room and claims none
JOB_FACTOR = 5  # jobs may be held this many times as long as a forward pass may take, without news


def end_process(reason: str) -> None:
    """Leave at once: threads that hang can't be ended otherwise."""
    log.critical("ending the process: %s", reason)
    logging.shutdown()
    os._exit(EXIT_STUCK)


@dataclass
class Watchdog:
    """One thread. ``claimable`` asks whether jobs wait that this worker has room for,
    ``last_answer_at`` when its claimer last got an answer; ``describe`` is what the heartbeat says.
    """

    store: JobStore
    batcher: Batcher
    leases: Leases
    name: str
    describe: Callable[[], dict[str, Any]]
    claimable: Callable[[], bool]
    last_answer_at: Callable[[], float]
    stuck_after: float
    end_process: Callable[[str], None] = end_process
    set_paused: Callable[[bool], None] = lambda _: None  # whether an operator has drained it
    reload: Callable[[], None] = lambda: None  # an operator wants the bundles looked at again
    choose_groups: Callable[[], None] = lambda: None  # finds out which jobs this worker claims
    ready: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._loop, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Say farewell, so that readiness follows at once."""
        self._stop.set()
        try:
            self.store.remove_worker(self.name)
        except JobsError as error:
            log.warning("no farewell: %s", error)

    def check(self, now: float) -> None:
        """End the process if the networks, the jobs or the claimer hang."""
        busy = self.batcher.busy_since
        if busy is not None and now - busy > self.stuck_after:
            self.end_process(f"a forward pass takes longer than {self.stuck_after:.0f} s")
        news = max(self.batcher.progress_at, self.leases.changed_at)
        longest = self.stuck_after * JOB_FACTOR
        if self.leases.held() and busy is None and now - news > longest:
            self.end_process(f"jobs are held, and for {longest:.0f} s none has got on")
        if self.ready and now - self.last_answer_at() > DEAF_AFTER and self.claimable():
            self.end_process(
                f"jobs wait, there is room, and for {DEAF_AFTER:.0f} s none was claimed"
            )

    def send_heartbeat(self) -> None:
        """Tell the store that this worker is able to work, and hear what operators want."""
        if self.ready:
            if self.store.take_reload(self.name):
                self.reload()
            self.choose_groups()
            self.set_paused(self.store.heartbeat(self.name, self.describe(), HEARTBEAT_TTL))

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.check(time.monotonic())
                liveness.touch_file()
                self.send_heartbeat()
            except Exception as error:  # this thread must outlive every fault of the broker
                log.warning("no heartbeat: %s", error)
            self._stop.wait(HEARTBEAT_INTERVAL)


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
