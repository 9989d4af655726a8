"""Where accepted jobs are recorded and workers woken; jobs that arrive at the same time share the
round trip.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from celery import Celery, uuid
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.gateway.admission import check_load, too_many_unfinished
from app.gateway.coalescer import Coalescer
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.connections import QUEUE, TASK_NAME, celery_config
from jobs.job import Job
from jobs.redis_store import JobStore
from jobs.store import NewJob, TooManyUnfinished

log = logging.getLogger(__name__)
_GATHER_WINDOW = 0.005  # seconds, for each batch's worth of jobs that wait
_BATCH = 8
_MAX_WINDOWS = 3.0  # times that
_BUSY_SECONDS = 0.1  # seconds for which jobs that were seen waiting are believed to


_TIMEOUT = 2.0  # seconds that a silent broker may hold up whoever submits jobs


class WakeUpSender:
    """Wakes as many workers as it is asked to. Blocking. Use from one thread."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        self._app = Celery("mmml", set_as_current=False)
        self._app.conf.update(celery_config(redis_url, prefix, _TIMEOUT))
        self._message = self._app.amqp.create_task_message(uuid(), TASK_NAME)

    def send(self, count: int) -> None:
        try:
            for _ in range(count):  # one message for all: to make it takes longer than to send it
                with self._app.producer_or_acquire() as producer:
                    self._app.amqp.send_task_message(
                        producer, TASK_NAME, self._message, queue=QUEUE, retry=False
                    )
        except (OperationalError, RedisError, OSError) as error:
            log.warning("no worker woken: %s", error)


class JobEnqueuer:
    """One per gateway. ``wakeups`` and ``settings`` are asked for at each use."""

    def __init__(
        self,
        store: JobStore,
        wakeups: Callable[[], WakeUpSender],
        settings: Callable[[], GatewaySettings],
    ) -> None:
        self._store, self._wakeups, self._settings = store, wakeups, settings
        self._coalescer = Coalescer(
            self._create, gather_window=_GATHER_WINDOW, windows=self._gather_windows
        )
        self._busy_until, self._waiting = float("-inf"), 0.0

    async def enqueue(self, new: NewJob) -> Job | None:
        """Record the job and wake a worker. None when its idempotency key has created a job before.
        Raises Problem when there is no room for it.
        """
        return await self._coalescer(new)

    def _gather_windows(self) -> float:
        """How long to gather, by how many wait already, in the store or claimed by a worker: behind
        them nobody is done later for having come with more.
        """
        if time.monotonic() >= self._busy_until:
            return 0.0
        return min(max(self._waiting / _BATCH, 1.0), _MAX_WINDOWS)

    def _create(self, new_jobs: Sequence[NewJob]) -> list[Job | Exception | None]:
        answers: list[Job | Exception | None] = list(self._admission_problems(len(new_jobs)))
        free = [n for n, refusal in enumerate(answers) if refusal is None]
        if free:
            created = self._store.create_all([new_jobs[n] for n in free])
            for n, answer in zip(free, created.jobs, strict=True):
                answers[n] = self._to_problem(new_jobs[n], answer)
            self._wakeups().send(created.wakeups)
        return answers

    def _to_problem(self, new: NewJob, answer: Job | Exception | None) -> Job | Exception | None:
        if isinstance(answer, TooManyUnfinished) and new.max_unfinished is not None:
            return too_many_unfinished(self._store, answer.count, new.max_unfinished)
        return answer

    def _admission_problems(self, count: int) -> Iterator[Problem | None]:
        """For each of ``count`` more jobs why there is no room for it, None when there is."""
        load = self._store.load()
        held = (load.unfinished - load.waiting) / max(load.workers, 1)
        if load.waiting or held >= _BATCH:
            self._busy_until = time.monotonic() + _BUSY_SECONDS
            self._waiting = load.waiting or held
        for n in range(count):
            now = replace(load, waiting=load.waiting + n, unfinished=load.unfinished + n)
            try:
                check_load(self._store, self._settings(), now)
            except Problem as problem:
                yield problem
            else:
                yield None
