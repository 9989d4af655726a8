"""The job store in this process: the same moves as the Redis one, for tests and tools."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from jobs.errors import StoreError
from jobs.events import CANCEL_REQUESTED, FINAL, KEPT_EVENTS, JobEvent, event_order
from jobs.job import ErrorCode, Failure, Job, Status, WebhookState
from jobs.load import BYTES_PER_JOB, Drain, Load
from jobs.store import MESSAGE_PATIENCE, Cursor, OnceKey, Outcome, Remembered, Renewal


@dataclass
class _Entry:
    job: Job
    due: float
    token: str | None = None
    lease: float = 0.0
    erase: bool = False
    events: list[JobEvent] = field(default_factory=list)
    webhook_due: float | None = None


class MemoryJobStore:
    """See :class:`jobs.store.JobStore`. ``clock`` may be replaced; ``listeners`` are told of
    each change, as by Redis: :mod:`jobs.events`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._workers: dict[str, dict[str, Any]] = {}
        self._once: dict[str, tuple[Remembered, float]] = {}
        self._secrets: dict[str, str] = {}
        self._newest = 0.0
        self._told = 0
        self._lock = threading.RLock()
        self.memory_limit: int | None = None  # bytes; for tests of a full store
        self.listeners: list[Callable[[str], None]] = []

    def _changed(self, notice: str) -> None:
        for listener in self.listeners:
            listener(notice)

    def _tell(self, entry: _Entry, status: str = "", **values: int) -> None:
        self._told += 1
        event_id = f"{int(self._clock() * 1000)}-{self._told}"
        entry.events.append(JobEvent(id=event_id, status=status, **values))
        del entry.events[:-KEPT_EVENTS]
        final = status in FINAL
        self._changed(f"{entry.job.id} {status}" if final else entry.job.id)

    def _update(self, entry: _Entry, **values: Any) -> None:
        entry.job = entry.job.model_copy(update=values)

    def _update_webhook(self, entry: _Entry, **values: Any) -> None:
        if entry.job.webhook:
            self._update(entry, webhook=entry.job.webhook.model_copy(update=values))

    def _settle(self, entry: _Entry, status: Status, **values: Any) -> None:
        now = self._clock()
        self._update(entry, status=status, finished_at=now, **values)
        entry.token = None
        if entry.job.webhook and not entry.erase:
            self._update_webhook(entry, state=WebhookState.pending, event=status.value)
            entry.webhook_due = now
        self._tell(entry, status)

    def _held(self, job_id: str, token: str) -> _Entry | None:
        entry = self._entries.get(job_id)
        if entry and entry.job.status is Status.running and entry.token == token:
            return entry
        return None

    def create(self, job: Job, once: OnceKey | None = None) -> bool:
        with self._lock:
            if job.id in self._entries or (once and self.remembered(once.name)):
                return False
            if once:
                memory = Remembered(job.id, once.fingerprint)
                self._once[once.name] = memory, self._clock() + once.ttl
            entry = self._entries[job.id] = _Entry(job, self._clock() + MESSAGE_PATIENCE)
            self._tell(entry, Status.queued)
            return True

    def create_all(self, jobs: Sequence[tuple[Job, OnceKey | None]]) -> list[bool | StoreError]:
        return [self.create(job, once) for job, once in jobs]

    def remembered(self, name: str) -> Remembered | None:
        with self._lock:
            memory, until = self._once.get(name, (None, 0.0))
            return memory if until > self._clock() else None

    def get(self, job_id: str) -> Job | None:
        with self._lock:
            entry = self._entries.get(job_id)
            return entry.job if entry else None

    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        return [self.get(job_id) for job_id in job_ids]

    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        with self._lock:
            entry = self._entries.get(job_id)
            now = self._clock()
            if entry is None:
                return None
            dead = entry.job.status is Status.running and entry.lease < now
            if entry.job.status is not Status.queued and not dead:
                return None
            entry.token, entry.lease, entry.due = token, now + lease_ttl, now + lease_ttl
            attempts = entry.job.attempts + 1
            self._update(entry, status=Status.running, started_at=now, attempts=attempts, done=0)
            self._newest = max(self._newest, entry.job.created_at)
            self._tell(entry, Status.running)
            return entry.job

    def start_fresh(
        self, claims: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Job | StoreError | None]:
        with self._lock:
            return [
                self.start(job_id, token, lease_ttl) if self._fresh(job_id) else None
                for job_id, token in claims
            ]

    def _fresh(self, job_id: str) -> bool:
        entry = self._entries.get(job_id)
        return entry is not None and not entry.job.attempts

    def renew(self, job_id: str, token: str, lease_ttl: float) -> Renewal:
        with self._lock:
            entry = self._held(job_id, token)
            if entry is None:
                return Renewal.lost
            entry.lease = entry.due = self._clock() + lease_ttl
            return Renewal.cancel if entry.job.cancel_requested else Renewal.held

    def progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        with self._lock:
            entry = self._held(job_id, token)
            if entry:
                self._update(entry, done=done)
                self._tell(entry, done=done, total=total)
            return entry is not None

    def finish(self, job_id: str, token: str, outcome: Outcome) -> bool:
        with self._lock:
            entry = self._held(job_id, token)
            if entry is None:
                return False
            self._settle(
                entry,
                Status.failed if outcome.error else Status.succeeded,
                # One that was handed back and ended all the same was an attempt after all.
                attempts=entry.job.attempts + (entry.lease == 0.0),
                images=tuple(outcome.images),
                timings=outcome.timings,
                receipt=dict(outcome.receipt),
                warnings=tuple(outcome.warnings),
                error=outcome.error,
            )
            return True

    def finish_all(self, endings: Sequence[tuple[str, str, Outcome]]) -> list[bool | StoreError]:
        return [self.finish(*ending) for ending in endings]

    def release(self, job_id: str, token: str) -> bool:
        with self._lock:
            entry = self._held(job_id, token)
            if entry is None:
                return False
            entry.lease, entry.due = 0.0, self._clock()
            self._update(entry, attempts=entry.job.attempts - 1)
            return True

    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None:
                return None
            entry.erase = entry.erase or erase
            dead = entry.job.status is Status.running and entry.lease < self._clock()
            if dead or entry.job.status is Status.queued:
                self._settle(entry, Status.canceled)
            elif entry.job.status is Status.running and not entry.job.cancel_requested:
                self._update(entry, cancel_requested=True)
                self._tell(entry, CANCEL_REQUESTED)
            return entry.job.status

    def cancel_done(self, job_id: str, token: str) -> bool:
        with self._lock:
            entry = self._held(job_id, token)
            if entry:
                self._settle(entry, Status.canceled)
            return entry is not None

    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None:
                return False
            status = entry.job.status
            dead = status is Status.running and entry.lease < self._clock()
            lost = code is ErrorCode.lost and dead
            late = code is ErrorCode.expired and status is Status.queued
            if lost or late:
                self._settle(entry, Status.failed, error=Failure(code=code, detail=detail))
            return lost or late

    def expire(self, job_id: str) -> bool:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or not entry.job.status.final:
                return False
            if entry.erase:
                entry.webhook_due = None
            job = entry.job
            entry.job = Job(
                id=job.id,
                task=job.task,
                created_at=job.created_at,
                owner=job.owner,
                status=Status.expired,
                request={},
                finished_at=job.finished_at if entry.webhook_due is not None else None,
                webhook=job.webhook if entry.webhook_due is not None else None,
            )
            entry.events.clear()
            self._changed(job_id)
            return True

    def events(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        with self._lock:
            return {job_id: self._events(job_id, cursor) for job_id, cursor in cursors.items()}

    def _events(self, job_id: str, cursor: str) -> list[JobEvent] | None:
        entry, start = self._entries.get(job_id), event_order(cursor) or (0, 0)
        if entry is None or not entry.events:
            return None
        return [e for e in entry.events if (event_order(e.id) or start) > start]

    def webhooks_due(self, limit: int = 100) -> list[str]:
        with self._lock:
            now = self._clock()
            due = [(e.webhook_due, i) for i, e in self._entries.items() if e.webhook_due]
            return [i for when, i in sorted(due)[:limit] if when <= now]

    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        with self._lock:
            until = self._clock() + seconds
            for entry in filter(None, map(self._entries.get, job_ids)):
                if entry.webhook_due is not None:
                    entry.webhook_due = max(entry.webhook_due, until)

    def claim_webhook(self, job_id: str, patience: float) -> Job | None:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.job.webhook is None or entry.webhook_due is None:
                return None
            if entry.webhook_due > self._clock():
                return None
            entry.webhook_due = self._clock() + patience
            self._update_webhook(entry, attempts=entry.job.webhook.attempts + 1)
            return entry.job

    def settle_webhook(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.job.webhook is None or entry.webhook_due is None:
                return False
            if entry.job.webhook.attempts != attempt:
                return False
            self._update_webhook(entry, state=state, detail=detail)
            pending = state is WebhookState.pending
            entry.webhook_due = self._clock() + delay if pending else None
            if not pending and entry.job.status is Status.expired:
                self._update(entry, webhook=None, finished_at=None)
            return True

    def service_secret(self, name: str, proposal: str) -> str:
        with self._lock:
            return self._secrets.setdefault(name, proposal)

    def due(self, limit: int = 500) -> list[str]:
        with self._lock:
            now = self._clock()
            late = [e for e in self._entries.values() if not e.job.status.final and e.due <= now]
            return [e.job.id for e in sorted(late, key=lambda e: e.due)[:limit]]

    def note_message(self, job_id: str, patience: float = MESSAGE_PATIENCE) -> None:
        with self._lock:
            if job_id in self._entries:
                self._entries[job_id].due = self._clock() + patience

    def note_messages(self, job_ids: Sequence[str], patience: float) -> None:
        with self._lock:
            for job_id in job_ids:
                self.note_message(job_id, patience)

    def final_before(self, timestamp: float, limit: int = 500) -> list[str]:
        with self._lock:
            done = [
                e
                for e in self._entries.values()
                if e.job.status.final and e.job.status is not Status.expired
            ]
            old = [e for e in done if e.erase or (e.job.finished_at or 0) <= timestamp]
            return [e.job.id for e in old[:limit]]

    def _queued(self) -> list[str]:
        waiting = [e.job for e in self._entries.values() if e.job.status is Status.queued]
        return [j.id for j in sorted(waiting, key=lambda j: (j.created_at, j.id))]

    def position(self, job_id: str) -> int | None:
        with self._lock:
            waiting = self._queued()
            return waiting.index(job_id) if job_id in waiting else None

    def positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        with self._lock:
            place = {job_id: n for n, job_id in enumerate(self._queued())}
            return {job_id: place.get(job_id) for job_id in job_ids}

    def newest_started(self) -> float:
        return self._newest

    def depth(self) -> int:
        with self._lock:
            return len(self._queued())

    def _jobs(self) -> list[Job]:
        with self._lock:
            return [e.job for e in self._entries.values()]

    def active(self, owner: str) -> int:
        return sum(j.owner == owner and not j.status.final for j in self._jobs())

    def load(self) -> Load:
        unfinished = sum(not j.status.final for j in self._jobs())
        kept = sum(j.status is not Status.expired for j in self._jobs())
        return Load(
            waiting=self.depth(),
            unfinished=unfinished,
            used_bytes=kept * BYTES_PER_JOB,
            limit_bytes=self.memory_limit,
            bytes_per_job=BYTES_PER_JOB,
        )

    def drain(self) -> Drain:
        now, jobs = self._clock(), self._jobs()
        queued = [j.created_at for j in jobs if j.status is Status.queued]
        final = sorted(j.finished_at for j in jobs if j.finished_at is not None)
        window = Drain.window(now, min(queued, default=None))
        ended = sum(now - window <= moment <= now for moment in final)
        return Drain.measured(ended, window, final[0] if final else None)

    def listing(
        self,
        status: Status | None,
        limit: int,
        before: Cursor | None,
        owner: str | None = None,
        task: str | None = None,
    ) -> tuple[list[Job], Cursor | None]:
        with self._lock:
            jobs = [e.job for e in self._entries.values() if e.job.status is not Status.expired]
        jobs = [j for j in jobs if owner in (None, j.owner)]
        wanted = [j for j in jobs if status in (None, j.status) and task in (None, j.task)]
        ordered = sorted(
            (((j.created_at, j.id), j) for j in wanted), key=itemgetter(0), reverse=True
        )
        page = [(place, job) for place, job in ordered if before is None or place < before][:limit]
        cursor = page[-1][0] if len(page) == limit else None
        return [job for _, job in page], cursor

    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> None:
        with self._lock:
            self._workers[worker] = {**info, "name": worker, "until": self._clock() + ttl}

    def farewell(self, worker: str) -> None:
        with self._lock:
            self._workers.pop(worker, None)

    def workers(self) -> list[dict[str, Any]]:
        with self._lock:
            return [w for w in self._workers.values() if w["until"] > self._clock()]

    def ping(self) -> None:
        """Always reachable."""
