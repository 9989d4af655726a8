"""Erases what is over: results after their lifetime, uploads of jobs that have ended, and what was
never recorded. Storage far away takes its time, so many are erased at once, by a thread that
nothing else waits for. Several reconcilers share the work: each claims what it is about to erase.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from app.reconciler import metrics
from app.reconciler.reconcile import INTERVAL, log_errors
from jobs.blobs import BlobStore, input_prefix, job_folder
from jobs.errors import BlobError, StoreError
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
PAGE = 256  # jobs claimed at a time
CLAIM_SECONDS = 60.0  # after which what could not be erased is tried again, by whoever comes first
_SLICE = 64  # jobs erased and recorded together
_LOCAL_THREADS, _REMOTE_THREADS = 4, 64
_MAX_FAULTS = 10  # of single jobs, before the storage as a whole is left alone until next time


@dataclass
class JobEraser:
    """Erases what jobs have stored: many prefixes at once, as a storage far away answers each after
    a while.
    """

    store: JobStore
    blobs: BlobStore

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        threads = _LOCAL_THREADS if self.blobs.is_local else _REMOTE_THREADS
        return ThreadPoolExecutor(threads, "erase")

    def expire_results(self, result_ttl: float) -> int:
        """Expire a page of the jobs that ended ``result_ttl`` seconds ago, and of those that their
        clients want erased. Returns how many.
        """
        due = self.store.claim_results(result_ttl, PAGE, CLAIM_SECONDS)
        expired = self.erase_jobs(due, job_folder, self.store.expire_all)
        metrics.ERASED.inc(expired)
        return expired

    def erase_inputs(self) -> int:
        """Erase what was uploaded for jobs that are over: nobody reads it any more, and it may be
        as large as all else. Returns of how many.
        """
        due = self.store.claim_inputs(PAGE, CLAIM_SECONDS)
        return self.erase_jobs(due, input_prefix, self.store.forget_inputs)

    def _erase(self, prefix: str) -> BlobError | None:
        try:
            self.blobs.delete_prefix(prefix)
        except BlobError as error:
            log.warning("not erased yet: %s", error)
            return error
        return None

    def erase_jobs(
        self,
        job_ids: Sequence[str],
        prefix: Callable[[str], str],
        record: Callable[[Sequence[str]], object],
    ) -> int:
        """Blobs first, then ``record``: what a dying process leaves is found again. Ends early when
        the storage is away. Returns how many were erased.
        """
        count = faults = 0
        for n in range(0, len(job_ids), _SLICE):
            part = job_ids[n : n + _SLICE]
            answers = list(self._pool.map(self._erase, map(prefix, part)))
            gone = [i for i, error in zip(part, answers, strict=True) if error is None]
            record(gone)
            count += len(gone)
            errors = [error for error in answers if error]
            faults += len(errors)
            if faults >= _MAX_FAULTS or not all(error.lasting for error in errors):
                break
        return count


@dataclass
class LogRewriter:
    """Nothing of an erased job is to stay in the broker's file: see
    :meth:`jobs.redis_store.JobStore.rewrite_log`.
    """

    store: JobStore
    interval: float = 600.0  # seconds between two times
    _last_run: float = float("-inf")

    def run_once(self, now: float) -> bool:
        """Returns whether the file is being written anew."""
        if now - self._last_run < self.interval:
            return False
        try:
            rewritten = self.store.rewrite_log()
        except StoreError:
            self._last_run = now
            raise
        if rewritten:
            self._last_run = now
        return rewritten


@dataclass
class OrphanCollector:
    """Erases what belongs to no job: uploads whose job was not recorded. A gateway writes them
    first, so an orphan is what was found without a record twice, an hour apart by this process's
    own monotonic clock.
    """

    eraser: JobEraser
    interval: float = 3600.0  # seconds
    _candidates: frozenset[str] = frozenset()
    _last_run: float = float("-inf")

    def run_once(self, now: float) -> int:
        """Returns how many jobs' folders were erased. ``now``: by a monotonic clock."""
        if now - self._last_run < self.interval:
            return 0
        self._last_run = now
        without = frozenset(self._ids_without_record())
        orphans = without & self._candidates
        self._candidates = without - orphans
        if orphans:
            log.info("uploads of %d jobs that were never recorded are erased", len(orphans))
        return self.eraser.erase_jobs(sorted(orphans), job_folder, lambda _ids: None)

    def _ids_without_record(self) -> Iterator[str]:
        folders = self.eraser.blobs.list_job_ids()
        for n in range(0, len(folders), PAGE):
            page = folders[n : n + PAGE]
            there = self.eraser.store.exist_all(page)
            yield from (job_id for job_id, known in zip(page, there, strict=True) if not known)


Duty = Callable[[float], int]  # at a time by a monotonic clock; how many it has handled


def run_duties(duties: Sequence[Duty], stop: threading.Event) -> None:
    """Page by page, with a pause when no duty had a whole one; in a thread of its own: storage that
    is slow or away holds up nothing else.
    """
    while not stop.is_set():
        most = 0
        for duty in duties:
            with log_errors("what is over is not erased"):
                most = max(most, duty(time.monotonic()))
        if most < PAGE:
            stop.wait(INTERVAL)
