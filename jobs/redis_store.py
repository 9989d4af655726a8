"""The job store on Redis: a hash per job, sorted sets as indices, Lua for every move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import redis

from jobs.batch import Batch
from jobs.batch_store import BatchStore
from jobs.errors import StoreError, UnreadableRecord
from jobs.job import (
    DEFAULT_GROUP,
    ErrorCode,
    Failure,
    Job,
    JobEvent,
    Status,
    WebhookState,
)
from jobs.records import read_job_or_batch, read_record, to_json, to_mapping
from jobs.redis_scripts import (
    creation_arguments,
    creation_result,
    outcome_arguments,
    parse_event,
    to_bool,
    translate_errors,
)
from jobs.store import (
    LEFT_TO_NEWER,
    MAX_LISTING_SCAN,
    MOST_TOMBSTONES,
    TOMBSTONE_SECONDS,
    Attempt,
    ClaimedJob,
    ClaimRequest,
    ClaimResult,
    CreateResult,
    Cursor,
    IdempotencyRecord,
    JobOutcome,
    NewJob,
    Renewal,
)
from jobs.worker_records import WorkerRecords

_CHUNK = 100  # records fetched at a time for a page
_REBUILD_BATCH = 200  # jobs of one call: a few milliseconds of the server


@translate_errors
class JobStore(WorkerRecords):
    """Every change of a job is one row of ARCHITECTURE.md's table, made by one compare-and-set.
    Methods block, and are safe to call from several threads; ``change_channel`` is where the id of
    a changed job is published; ``memory_limit`` in bytes takes the place of the server's own. A job
    is created once ``replicas`` of the server have it, too.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str = "mmml:",
        memory_limit: int | None = None,
        replicas: int = 0,
    ) -> None:
        super().__init__(client, prefix, memory_limit)
        self._replicas = replicas
        self.change_channel = f"{prefix}changed"
        self._move = self._scripts.move
        self.batches = BatchStore(client, prefix)

    def create_all(self, jobs: Sequence[NewJob]) -> CreateResult:
        """:meth:`create` of several jobs in one round trip, each as good as alone; an error in the
        place of one that was refused.
        """
        if not jobs:
            return CreateResult([])
        calls = [(new.job.id, creation_arguments(new)) for new in jobs]
        *answers, wakeups = self._scripts.move_all("create", calls, self._replicas)
        return CreateResult(
            [creation_result(*each) for each in zip(jobs, answers, strict=True)], wakeups
        )

    def get_idempotency_record(self, name: str) -> IdempotencyRecord | None:
        """The job that the :class:`IdempotencyKey` of that name created."""
        with self._scripts.replicated(self._replicas) as client:
            found = cast("bytes | None", client.get(self._key(f"once:{name}")))
        return IdempotencyRecord(*found.decode().split(" ", 1)) if found else None

    def get(self, job_id: str) -> Job | None:
        """The record; an expired job comes back with status ``expired`` and nothing else. Raises
        UnreadableRecord for one of another version.
        """
        (found,) = self.get_all([job_id])
        if isinstance(found, UnreadableRecord):
            raise found
        return found

    def get_all(self, job_ids: Sequence[str]) -> list[Job | UnreadableRecord | None]:
        """:meth:`get` of several jobs in one round trip."""
        return list(map(read_record, job_ids, self._records(job_ids)))

    def get_jobs_or_batches(
        self, record_ids: Sequence[str]
    ) -> list[Job | Batch | UnreadableRecord | None]:
        """What has a webhook, by its id."""
        return list(map(read_job_or_batch, record_ids, self._records(record_ids)))

    def _records(self, record_ids: Sequence[str]) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            for record_id in record_ids:
                pipe.hgetall(self._key(f"job:{record_id}"))
            return pipe.execute()

    def get_readable(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of several jobs that there are, without those of another version."""
        return [job for job in self.get_all(job_ids) if isinstance(job, Job)]

    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        """Jobs that wait and were never begun, with leases whose tokens begin with ``claim_id``.
        Asked again under the same id within a minute, it is the same answer.
        """
        room = request.jobs, request.pictures, int(request.beyond)
        answer = self._scripts.call(
            "claim", claim_id, *room, lease_ttl, int(request.lowest_first), *request.groups
        )
        records, left, wakeups, suspects = answer
        return ClaimResult(self._read_claims(records), bool(left), wakeups, suspects)

    def _read_claims(self, records: Sequence[Sequence[bytes]]) -> list[ClaimedJob]:
        """Those that can be read; the others wait for a newer worker."""
        claimed, left = [], []
        for record in records:
            fields = to_mapping(record)
            job_id, token = fields[b"id"].decode(), fields[b"token"].decode()
            job = read_record(job_id, fields)
            if isinstance(job, Job):
                claimed.append(ClaimedJob(job, token))
            else:
                left.append((job_id, token))
        if left:
            self.release_all(left, LEFT_TO_NEWER, "left")
        return claimed

    def acquire_suspect_lock(
        self, worker: str, seconds: float, groups: Sequence[str] = (DEFAULT_GROUP,)
    ) -> bool:
        """Whether ``worker`` is the one that runs suspects, for ``seconds`` more: jobs that died
        with a worker. False when there is none of its groups, too.
        """
        return bool(self._scripts.call("acquire_suspect_lock", worker, seconds, *groups))

    def claim_suspect(
        self,
        claim_id: str,
        worker: str,
        lease_ttl: float,
        lock_seconds: float,
        groups: Sequence[str] = (DEFAULT_GROUP,),
    ) -> ClaimedJob | None:
        """One suspect for the worker whose turn it is, which runs nothing beside it."""
        seconds = lease_ttl, lock_seconds
        record = self._scripts.call("claim_suspect", worker, claim_id, *seconds, *groups)
        return next(iter(self._read_claims([record] if record else [])), None)

    def release_suspect_lock(self, worker: str) -> None:
        """Another worker may run suspects."""
        self._scripts.call("release_suspect_lock", worker)

    def begin_all(self, held: Sequence[tuple[str, str]]) -> list[Attempt | StoreError | None]:
        """Claimed → running, attempts + 1, of several jobs by id and token; None for those whose
        lease is lost or that were canceled.
        """
        answers = self._scripts.move_all("begin", [(job_id, (token,)) for job_id, token in held])
        return [
            a if isinstance(a, StoreError) else Attempt(int(a[0]), float(a[1])) if a else None
            for a in answers
        ]

    def renew_all(
        self, held: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Renewal | StoreError]:
        """Keep the leases of several jobs by id and token."""
        calls = [(job_id, (token, lease_ttl)) for job_id, token in held]
        answers = self._scripts.move_all("renew", calls)
        return [a if isinstance(a, StoreError) else Renewal(a.decode()) for a in answers]

    def record_progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        """Tell that ``done`` of ``total`` pictures are stored, by the holder of the lease token."""
        return bool(self._move("progress", job_id, token, done, total))

    def finish_all(self, endings: Sequence[tuple[str, str, JobOutcome]]) -> list[bool | StoreError]:
        """running → succeeded or failed of several jobs, by the holders of the lease tokens."""
        calls = [
            (job_id, (token, *outcome_arguments(outcome))) for job_id, token, outcome in endings
        ]
        return list(map(to_bool, self._scripts.move_all("finish", calls)))

    def release_all(
        self, held: Sequence[tuple[str, str]], delay: float = 0.0, counted: str = "faults"
    ) -> list[bool | StoreError]:
        """Give leases back without an outcome, as attempts that don't count: a job without another
        one goes to the head of its owner's line, others are suspects. ``delay``: seconds for which
        nobody is to have them, because of what ``counted`` counts: ``faults`` of the storage,
        ``hand_backs`` of workers that lack their bundle, how often they were ``left`` to newer
        workers, or ``postponed`` while networks were loaded.
        """
        calls = [(job_id, (token, delay, counted)) for job_id, token in held]
        return list(map(to_bool, self._scripts.move_all("release", calls)))

    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        """queued → canceled; running → cancel requested, or canceled when its lease is dead.
        ``erase``: expire it as soon as it is final, and tell no webhook.
        """
        answer: bytes | None = self._move("cancel", job_id, int(erase))
        return Status(answer.decode()) if answer else None

    def finish_canceled(self, job_id: str, token: str) -> bool:
        """running → canceled, by the holder of the lease token."""
        return bool(self._move("finish", job_id, token, Status.canceled, 0))

    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        """running with a dead lease → failed ``lost``; queued → failed ``expired``. Refused
        otherwise.
        """
        error = Failure(code=code, detail=detail).model_dump(mode="json")
        return bool(self._move("give_up", job_id, code, to_json(error)))

    def expire(self, job_id: str) -> bool:
        """final → expired: a tombstone stays for a week, or until its owner has many newer ones. It
        remembers an undelivered webhook, if the job was not erased by its client.
        """
        return bool(self._move("expire", job_id, TOMBSTONE_SECONDS, MOST_TOMBSTONES))

    def expire_all(self, job_ids: Sequence[str]) -> None:
        """:meth:`expire` of several jobs in one round trip."""
        limits = TOMBSTONE_SECONDS, MOST_TOMBSTONES
        self._scripts.move_all("expire", [(job_id, limits) for job_id in job_ids])

    def claim_inputs(self, limit: int, seconds: float) -> list[str]:
        """Jobs that are over and whose uploads are to be erased; nobody else gets them for
        ``seconds``.
        """
        return self._claim_due("inputs", 0.0, limit, seconds)

    def forget_inputs(self, job_ids: Sequence[str]) -> None:
        """The uploads of these jobs have been erased."""
        self._scripts.move_all("forget_inputs", [(job_id, ()) for job_id in job_ids])

    def events_after(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        """By id of a job or batch, what happened after the event whose id is given; None: it is
        erased or unknown.
        """
        with self._client.pipeline(transaction=False) as pipe:
            for job_id, cursor in cursors.items():
                pipe.exists(self._key(f"events:{job_id}"))
                pipe.xrange(self._key(f"events:{job_id}"), f"({cursor}")
            answers = pipe.execute()
        pairs = zip(cursors, answers[::2], answers[1::2], strict=True)
        return {i: [parse_event(*e) for e in found] if there else None for i, there, found in pairs}

    def webhooks_due(self, limit: int = 100) -> list[str]:
        """Final jobs, and batches, whose client is to be notified now, longest due first."""
        return self._due("webhooks", limit)

    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        """Those that are due are due again in ``seconds``, without an attempt having been made."""
        if job_ids:
            self._scripts.call("postpone", "webhooks", seconds, *job_ids)

    def claim_webhook(self, job_id: str, seconds: float) -> Job | Batch | None:
        """Begin a delivery: its attempts + 1. Nobody else gets it for ``seconds`` seconds. None
        when it is not due.
        """
        flat = self._move("claim_webhook", job_id, seconds)
        found = read_job_or_batch(job_id, to_mapping(flat)) if flat else None
        return None if isinstance(found, UnreadableRecord) else found

    def record_delivery(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        """The result of delivery ``attempt``; ``pending`` is due again in ``delay`` seconds. False
        when another attempt has begun meanwhile.
        """
        return bool(self._move("record_delivery", job_id, attempt, state, detail, delay))

    def dead_leases(self, limit: int = 500) -> list[str]:
        """Jobs whose worker is silent for too long."""
        return self._due("leased", limit)

    def requeue(self, job_id: str, max_claims: int) -> bool:
        """A job with a dead lease waits again, if it was not begun and not claimed ``max_claims``
        times; else it is a suspect, or canceled when its client wants that.
        """
        return bool(self._move("requeue", job_id, max_claims))

    def past_deadline(self, limit: int = 500) -> list[str]:
        """Jobs that wait although their deadline is over."""
        return self._due("deadlines", limit)

    def rebuild_sets(self) -> int:
        """Put every unfinished job where its record says that it belongs, those of an earlier
        version too. Returns how many were looked at.
        """
        count = 0
        if self._client.exists(self._key("unfinished")):  # an earlier version's, with its messages
            self._client.delete("mmml", self._key("newest"))
        for name in ("unfinished", "queued", "leased", "suspects"):
            members = cast("list[bytes]", self._client.zrange(self._key(name), 0, -1))
            for n in range(0, len(members), _REBUILD_BATCH):
                calls = [(i.decode(), ()) for i in members[n : n + _REBUILD_BATCH]]
                count += len(self._scripts.move_all("rebuild", calls))
        return count

    def claim_results(self, age: float, limit: int, seconds: float) -> list[str]:
        """Jobs that have been final for ``age`` seconds, or are to be erased; nobody else gets them
        for ``seconds``. Their records say from now on that their pictures may be gone.
        """
        return self._claim_due("final", age, limit, seconds)

    def exist_all(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether there is a record, be it a tombstone."""
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.exists(self._key(f"job:{job_id}"))
            return [bool(found) for found in pipe.execute()]

    def _due(self, name: str, limit: int) -> list[str]:
        return [i.decode() for i in self._scripts.call("due", name, 0, limit)]

    def _claim_due(self, name: str, age: float, limit: int, seconds: float) -> list[str]:
        found = self._scripts.call("claim_due", name, age, limit, seconds)
        return [i.decode() for i in found]

    def queue_positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """An estimate of how many jobs start before each; None for one that does not wait."""
        return dict(zip(job_ids, self._scripts.call("positions", *job_ids), strict=True))

    def list_jobs(
        self,
        status: Status | None,
        limit: int,
        before: Cursor | None,
        owner: str | None = None,
        task: str | None = None,
        batch: str | None = None,
    ) -> tuple[list[Job], Cursor | None]:
        """Newest first, those after ``before`` in that order, of ``batch``, ``owner`` or everybody;
        and the cursor of the next page, None on the last. A page may be shorter than ``limit``, as
        only so many records are looked at for one. What can't be read is left out.
        """
        page: list[Job] = []
        index = self._key("jobs" if owner is None else f"jobs:{owner}")
        index = self._key(f"members:{batch}") if batch else index
        for looked_at, (cursor, job) in enumerate(self._newest_first(index, before), 1):
            if job and status in (None, job.status) and task in (None, job.task):
                page.append(job)
            if len(page) == limit or looked_at == MAX_LISTING_SCAN:
                return page, cursor
        return page, None

    def _newest_first(
        self, index: str, before: Cursor | None
    ) -> Iterator[tuple[Cursor, Job | None]]:
        """The jobs of ``index`` after ``before``, fetched in chunks; None for one that can't be
        read.
        """
        top: float | str = before[0] if before else "+inf"
        offset = 0
        while True:
            found = self._client.zrevrangebyscore(
                index, top, "-inf", start=offset, num=_CHUNK, withscores=True
            )
            scores = {i.decode(): s for i, s in cast("list[tuple[bytes, float]]", found)}
            ids = [i for i, score in scores.items() if before is None or (score, i) < before]
            for job_id, job in zip(ids, self.get_all(ids), strict=True):
                yield (scores[job_id], job_id), job if isinstance(job, Job) else None
            if len(scores) < _CHUNK:
                return
            last, score = next(reversed(scores.items()))
            offset = offset + _CHUNK if score == top else 0
            top, before = score, min(before or (score, last), (score, last))

    def take_back(self, job_id: str) -> bool:
        """Take a job from the worker that holds it, as if that had released it. False when none
        does.
        """
        token = cast("bytes | None", self._client.hget(self._key(f"job:{job_id}"), "token"))
        return token is not None and self.release_all([(job_id, token.decode())]) == [True]
