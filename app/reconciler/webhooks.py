"""Tells clients' servers that their jobs are over: at least once, also when a reconciler dies over
it.

A delivery is due from the very move that ends the job. Taking one up postpones it, so that another
reconciler takes it only when this one has not reported in time; receivers know a message that comes
twice by its ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from app.gateway.subscriptions import end_tasks
from app.gateway.views import job_view
from app.reconciler import metrics
from app.webhooks.sender import DeliveryResult, WebhookSender
from app.webhooks.signing import signature_headers
from jobs.errors import UnreadableRecord
from jobs.job import Job, Status, WebhookState
from jobs.redis_store import JobStore
from jobs.traces import span

log = logging.getLogger(__name__)
_POLL_INTERVAL = 0.5  # seconds
_MAX_CONCURRENT = 100  # deliveries
_MAX_EXAMINED = 500  # of those due
_POSTPONE_SECONDS = 2.0  # seconds for those whose host has enough deliveries under way
_JITTER = 0.25  # of a pause, at most; added, so that receivers are not called by all at once
_SHUTDOWN_TIMEOUT = 4.0  # seconds that deliveries may take when the reconciler is to end


@dataclass
class WebhookDispatcher:
    """``secrets`` gives those of a job's owner; ``delays`` are the pauses in seconds after each
    attempt but the last; ``lease_seconds``: seconds after which an unreported attempt is made
    again; ``max_per_host``: deliveries to one host at a time; ``root``: the path before all
    addresses of the service.
    """

    store: JobStore
    sender: WebhookSender
    secrets: Callable[[Job], Sequence[str]]
    delays: Sequence[float]
    lease_seconds: float
    rng: random.Random = field(default_factory=random.SystemRandom)
    max_per_host: int = 10
    root: str = ""
    _tasks: dict[asyncio.Task[None], str] = field(default_factory=dict)  # and their hosts

    def run(self, stop: threading.Event) -> None:
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                await self.run_once()
            except Exception as error:  # what is due stays due
                log.warning("webhooks not looked at: %s", error)
            await asyncio.sleep(_POLL_INTERVAL)
        await self.drain(_SHUTDOWN_TIMEOUT)

    async def run_once(self) -> int:
        """Take up what is due, as far as there is room. Returns how many."""
        room = _MAX_CONCURRENT - len(self._tasks)
        jobs = await asyncio.to_thread(self._claim_due, room) if room else []
        for job in jobs:
            task = asyncio.create_task(self._deliver(job))
            self._tasks[task] = _host(job)
            task.add_done_callback(self._tasks.pop)
        return len(jobs)

    def _claim_due(self, room: int) -> list[Job]:
        """At most ``room`` deliveries, and of each host no more than its share: one that is slow
        or silent must not hold up the others. What it can't get now stands back for a moment.
        """
        due = self.store.webhooks_due(_MAX_EXAMINED)
        per_host = Counter(self._tasks.values())
        chosen: list[str] = []
        crowded: list[str] = []
        for job_id, job in zip(due, self.store.get_all(due), strict=True):
            host = _host(job) if isinstance(job, Job) else ""
            if isinstance(job, UnreadableRecord) or per_host[host] >= self.max_per_host:
                crowded.append(job_id)
            elif len(chosen) < room:
                chosen.append(job_id)
                per_host[host] += 1
        self.store.postpone_webhooks(crowded, _POSTPONE_SECONDS)
        claimed = [self.store.claim_webhook(job_id, self.lease_seconds) for job_id in chosen]
        return [job for job in claimed if job]

    async def drain(self, seconds: float) -> None:
        """Let deliveries come to their end; those that don't are made again by the next
        reconciler.
        """
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            await end_tasks(*late)

    async def _deliver(self, job: Job) -> None:
        try:
            with span("webhook", job.traceparent, job=job.id):
                answer = await self._send(job)
            await asyncio.to_thread(self._record_delivery, job, answer)
        except Exception as error:  # not settled: it is due again when its lease ends
            log.warning("webhook of job %s: %s", job.id, error, exc_info=error)

    async def _send(self, job: Job) -> DeliveryResult:
        assert job.webhook is not None  # noqa: S101 (claimed as one that has a webhook)
        content = webhook_body(job, self.root)
        secrets = await asyncio.to_thread(self.secrets, job)
        signed = signature_headers(secrets, message_id(job), time.time(), content)
        kind = {"content-type": "application/json", "user-agent": "mmml-webhooks"}
        return await self.sender.post(job.webhook.url, kind | signed, content)

    def _record_delivery(self, job: Job, answer: DeliveryResult) -> None:
        assert job.webhook is not None  # noqa: S101
        attempt = job.webhook.attempts
        metrics.count_delivery(answer)
        if not answer.problem:
            self.store.record_delivery(job.id, attempt, WebhookState.delivered)
        elif answer.permanent or attempt > len(self.delays):
            log.info("webhook of job %s given up: %s", job.id, answer.problem)
            self.store.record_delivery(job.id, attempt, WebhookState.failed, answer.problem)
        else:
            pause = self.delays[attempt - 1] * self.rng.uniform(1, 1 + _JITTER)
            pause = max(pause, answer.retry_after)
            pending = WebhookState.pending
            self.store.record_delivery(job.id, attempt, pending, answer.problem, pause)


def _host(job: Job) -> str:
    """With its port: two services of one machine are two hosts here."""
    return urlsplit(job.webhook.url).netloc.lower() if job.webhook else ""


def message_id(job: Job) -> str:
    """The same for every attempt, so that a receiver can tell a message it has from a new one."""
    return f"msg_{job.id}"


def webhook_body(job: Job, root: str = "") -> bytes:
    """``{"type": "job.succeeded", "timestamp": …, "data": …}``; data is the job as ``GET`` shows
    it, or little more than its id when it has expired meanwhile.
    """
    assert job.webhook is not None  # noqa: S101 (only such jobs are announced)
    ended = datetime.fromtimestamp(job.finished_at or job.created_at, UTC)
    message = {
        "type": f"job.{job.webhook.event}",
        "timestamp": ended.isoformat(),
        "data": _data(job, root),
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _data(job: Job, root: str) -> dict[str, Any]:
    if job.status is Status.expired:
        return {"id": job.id, "task": job.task, "status": job.status}
    return job_view(job, None, root=root).model_dump(mode="json", exclude={"webhook"})
