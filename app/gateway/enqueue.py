"""Where accepted jobs are recorded and workers woken; jobs that arrive at the same time share the
round trip.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from celery import Celery, uuid
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.gateway.admission import check_load, quota_problem, with_shares
from app.gateway.coalescer import Coalescer
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.connections import QUEUE, TASK_NAME, celery_config
from jobs.job import Job
from jobs.load import Load
from jobs.redis_store import JobStore
from jobs.store import NewJob, OverQuota

log = logging.getLogger(__name__)
_GATHER_WINDOW = 0.005  # seconds; twice as many cost the networks time between two batches
_BATCH = 8
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
            self._create,
            gather_window=_GATHER_WINDOW,
            busy=lambda: time.monotonic() < self._busy_until,
        )
        self._busy_until = float("-inf")

    async def enqueue(self, new: NewJob) -> Job | None:
        """Record the job and wake a worker. None when its idempotency key has created a job before.
        Raises Problem when there is no room for it.
        """
        return await self._coalescer(new)

    def _create(self, new_jobs: Sequence[NewJob]) -> list[Job | Exception | None]:
        load = self._load()
        offers = [self._admit(new, load, before) for before, new in enumerate(new_jobs)]
        created = self._store.create_all([new for new in offers if isinstance(new, NewJob)])
        answers = iter(created.jobs)
        if created.jobs:
            self._wakeups().send(created.wakeups)
        return [self._to_answer(next(answers)) if isinstance(o, NewJob) else o for o in offers]

    def _to_answer(self, answer: Job | Exception | None) -> Job | Exception | None:
        if isinstance(answer, OverQuota):
            return quota_problem(self._store, self._settings(), answer.quota, answer.used)
        return answer

    def _load(self) -> Load:
        load = self._store.load()
        held = (load.unfinished - load.waiting) / max(load.workers, 1)
        # Behind others nobody is done later for having come with more.
        if load.waiting or held >= _BATCH:
            self._busy_until = time.monotonic() + _BUSY_SECONDS
        return load

    def _admit(self, new: NewJob, load: Load, before: int) -> NewJob | Problem:
        """What is to be created, or why there is no room for it. ``before``: jobs of the same call
        that go first.
        """
        now = replace(load, waiting=load.waiting + before, unfinished=load.unfinished + before)
        try:
            check_load(self._store, self._settings(), now)
        except Problem as problem:
            return problem
        return with_shares(new, self._settings(), now)
