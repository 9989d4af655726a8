"""Where accepted jobs are recorded and sent on their way; those that arrive at the same time share
the round trips, and a message.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from app.grouping import Grouped
from app.pressure import check_load
from app.problems import Problem
from app.queue import Queue, QueueError
from app.settings import GatewaySettings
from jobs.errors import StoreError
from jobs.job import Job
from jobs.store import JobStore, OnceKey

log = logging.getLogger(__name__)
_TOGETHER = 8  # most jobs of one message: few enough for the next worker to find some, too
_GATHER = 0.005  # seconds, for each message's worth of jobs that wait
_LONGEST = 3.0  # times that
_LINE_LASTS = 0.1  # seconds for which jobs that were seen waiting are believed to
_LOOK_EVERY = 2.0  # seconds

Offer = tuple[Job, OnceKey | None]


class Intake:
    """One per gateway. ``queue`` and ``settings`` are asked for at each use."""

    def __init__(
        self,
        store: JobStore,
        queue: Callable[[], Queue],
        settings: Callable[[], GatewaySettings],
    ) -> None:
        self._store, self._queue, self._settings = store, queue, settings
        self._grouped = Grouped(self._take, gather=_GATHER, patience=self._line)
        self._line_until, self._waiting = float("-inf"), 0
        self._workers, self._together, self._looked = 1, _TOGETHER, float("-inf")

    async def take(self, job: Job, once: OnceKey | None) -> bool:
        """Record the job and send a hint. False when ``once`` has created a job before. Raises
        Problem when there is no room for it.
        """
        return await self._grouped((job, once))

    def _line(self) -> float:
        """How long to gather, by how many wait already: behind them nobody is done later for having
        come with more.
        """
        if time.monotonic() >= self._line_until:
            return 0.0
        return min(max(self._waiting / _TOGETHER, 1.0), _LONGEST)

    def _take(self, offers: Sequence[Offer]) -> list[bool | Exception]:
        """The records first: from then on the steward answers for the jobs, whatever becomes of
        the messages.
        """
        answers: list[bool | Exception] = list(self._refusals(len(offers)))
        free = [n for n, refusal in enumerate(answers) if not isinstance(refusal, Exception)]
        if free:
            created = self._store.create_all([offers[n] for n in free])
            for n, answer in zip(free, created, strict=True):
                answers[n] = answer
        self._send(
            [job for (job, _), answer in zip(offers, answers, strict=True) if answer is True]
        )
        return answers

    def _refusals(self, count: int) -> Iterator[bool | Problem]:
        """For each of ``count`` more jobs, whether there is no room for it."""
        load = self._store.load()
        if load.waiting:
            self._line_until, self._waiting = time.monotonic() + _LINE_LASTS, load.waiting
        for n in range(count):
            now = replace(load, waiting=load.waiting + n, unfinished=load.unfinished + n)
            try:
                check_load(self._store, self._settings(), now)
            except Problem as problem:
                yield problem
            else:
                yield True

    def _send(self, jobs: Sequence[Job]) -> None:
        hints = list(self._hints(jobs))
        try:
            if hints:
                self._queue().publish_all(hints)
        except QueueError as error:
            ids = ", ".join(job.id for job in jobs)
            log.warning("jobs %s wait for the steward: %s", ids, error)

    def _hints(self, jobs: Sequence[Job]) -> Iterator[Sequence[str]]:
        """Which jobs go together: those that one batch can hold and that take a moment to prepare,
        shared out among the workers.
        """
        alike: dict[object, list[str]] = defaultdict(list)
        for job in jobs:
            small = not job.inputs and job.request.get("count") == 1
            names = job.task, job.request.get("bundle"), job.request.get("method")
            alike[names if small else job.id].append(job.id)
        self._look_at_workers()
        for ids in alike.values():
            size = min(math.ceil(len(ids) / self._workers), self._together)
            yield from (ids[n : n + size] for n in range(0, len(ids), size))

    def _look_at_workers(self) -> None:
        """How many there are, and how many jobs a message may have: it waits until a worker has
        places for all of them, and half of the smallest worker's are free while the other half of
        its jobs run.
        """
        if time.monotonic() - self._looked <= _LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            workers = self._store.workers()
        except StoreError as error:
            log.warning("workers not counted: %s", error)
            return
        places = [int(worker.get("concurrency") or 2 * _TOGETHER) for worker in workers]
        self._workers = max(len(workers), 1)
        self._together = max(min([_TOGETHER, *(most // 2 for most in places)]), 1)
