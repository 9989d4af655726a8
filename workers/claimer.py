"""Asks the job store for work, in one thread, and passes it to the threads that do it.

It asks when a wake-up comes, when there is room again, and every second: a lost wake-up costs no
more. Jobs that died with a worker are run one at a time and alone, so that no other pays for them.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field

from jobs.errors import StoreError
from jobs.job import DEFAULT_GROUP
from jobs.redis_store import JobStore
from jobs.store import ClaimedJob, ClaimRequest, ClaimResult
from workers.job_runner import HeldJob, JobRunner

log = logging.getLogger(__name__)
POLL_INTERVAL = 1.0  # seconds
SUSPECT_LOCK_SECONDS = 30.0  # seconds for which the turn to run suspects is kept without a word
_RENEW_SUSPECT_LOCK = 1.0
_MAX_BACKOFF = 2.0  # between two questions to a store that is away
_MAX_CLAIM = 16  # jobs: while a claim goes on, Redis answers nobody else
_MAX_GROUP = 8  # most jobs that share a thread
_LOWEST_FIRST_EVERY = 10  # every so many claims
_WAKEUP_INTERVAL = 0.1  # seconds between two wake-ups that this process sends


@dataclass
class Claimer:
    """``wake`` sends a wake-up to another worker; ``name`` is this worker's; ``last_answer_at``:
    when it last knew what there was to do.
    """

    store: JobStore
    runner: JobRunner
    executor: Executor
    name: str
    lease_ttl: float
    groups: Sequence[str] = (DEFAULT_GROUP,)  # take turns
    wake: Callable[[], None] = lambda: None
    last_answer_at: float = field(default_factory=time.monotonic)
    paused: bool = False  # an operator has drained this worker
    draining: bool = False  # it is to end
    _event: threading.Event = field(default_factory=threading.Event)
    _claims: int = 0
    _claim_id: str = ""
    _last_wakeup_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="claimer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Claim nothing more, and wait for a claim that is under way. False when it still is after
        ``seconds``.
        """
        self.draining = True
        self.notify()
        if self._thread.ident is not None:  # else it was never started
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def pause(self, paused: bool) -> None:
        """Claim nothing until this is undone; what is held goes on."""
        if paused != self.paused:
            log.info("drained: no job is claimed" if paused else "resumed: jobs are claimed")
        self.paused = paused

    def notify(self) -> None:
        """There may be work, or room for it."""
        self._event.set()

    def capacity(self) -> ClaimRequest | None:
        """What may be claimed; None when there is no room. So much is looked ahead as keeps the
        networks busy: what is claimed too early keeps others idle.
        """
        free, ahead = self.runner.leases.free, self.runner.batcher.room()
        if self.paused or free <= 0 or ahead <= 0 or not self.groups:
            return None
        turn = self._claims % len(self.groups)
        groups = (*self.groups[turn:], *self.groups[:turn])
        lowest_first = self._claims % _LOWEST_FIRST_EVERY == _LOWEST_FIRST_EVERY - 1
        jobs = min(free, _MAX_CLAIM)  # further ones by the next claim, which follows at once
        return ClaimRequest(jobs, ahead, groups, lowest_first, self.runner.batcher.short())

    def _loop(self) -> None:
        pause = 0.1
        while not self.draining:
            self._event.wait(POLL_INTERVAL)
            self._event.clear()
            try:
                self._claim_once()
                pause = 0.1
            except StoreError as error:
                log.warning("no work claimed: %s", error)
                time.sleep(pause)
                pause = min(2 * pause, _MAX_BACKOFF)
                self._event.set()  # the same question again: its answer may have got lost
            except Exception:  # without this thread nothing moves
                log.exception("no work claimed")

    def _claim_once(self) -> None:
        """One claim, if there is room."""
        request = self.capacity()
        if request is None:
            self.last_answer_at = time.monotonic()
            return
        self._claim_id = self._claim_id or secrets.token_hex(8)
        claim = self.store.claim(self._claim_id, request, self.lease_ttl)
        self._claim_id = ""
        self._claims += 1
        self.last_answer_at = time.monotonic()
        self._dispatch(claim.jobs)
        self._wake_other_worker(claim)
        if claim.jobs and claim.more_waiting and self.capacity():
            self._event.set()
        if claim.suspects and not self.draining:
            self._run_suspect()

    def _dispatch(self, jobs: Sequence[ClaimedJob]) -> list[Future[None]]:
        pictures = sum(claimed.job.pictures for claimed in jobs)
        self.runner.batcher.expect(pictures)
        held = [(c.job, self.runner.leases.add(c.job.id, c.token)) for c in jobs]
        return [self.executor.submit(self.runner.run, group) for group in _group_jobs(held)]

    def _wake_other_worker(self, claim: ClaimResult) -> None:
        """Wake another worker where jobs are left, but not all the time: workers that have no room
        could do nothing but hear it.
        """
        if claim.wakeups and time.monotonic() - self._last_wakeup_at > _WAKEUP_INTERVAL:
            self._last_wakeup_at = time.monotonic()
            self.wake()

    def _run_suspect(self) -> None:
        """One job that died with a worker, if it is this worker's turn, after all others have
        ended here. A round for all follows.
        """
        if not self.store.acquire_suspect_lock(self.name, SUSPECT_LOCK_SECONDS, self.groups):
            return
        try:
            while not self.runner.leases.wait_empty(_RENEW_SUSPECT_LOCK):
                if self.draining or not self._renew_suspect_lock():
                    return
            claim_id = secrets.token_hex(8)
            claimed = self.store.claim_suspect(
                claim_id, self.name, self.lease_ttl, SUSPECT_LOCK_SECONDS, self.groups
            )
            running = self._dispatch([claimed] if claimed else [])
            while wait(running, _RENEW_SUSPECT_LOCK).not_done and not self.draining:
                self._renew_suspect_lock()
        finally:
            self.store.release_suspect_lock(self.name)
            self._event.set()  # a round for all

    def _renew_suspect_lock(self) -> bool:
        self.last_answer_at = time.monotonic()
        return self.store.acquire_suspect_lock(self.name, SUSPECT_LOCK_SECONDS, self.groups)


def _group_jobs(held: Sequence[HeldJob]) -> Iterator[list[HeldJob]]:
    """Which jobs share a thread: those of one picture without uploads, which take a moment to
    prepare, by the pipeline that they ask for. Each of the others has one for itself.
    """
    alike: dict[object, list[HeldJob]] = defaultdict(list)
    for job, lease in held:
        small = not job.inputs and job.pictures == 1
        names = job.task, job.request.get("bundle"), job.request.get("method")
        alike[names if small else job.id].append((job, lease))
    for group in alike.values():
        yield from (group[n : n + _MAX_GROUP] for n in range(0, len(group), _MAX_GROUP))
