"""The job store on Redis: a hash per job, sorted sets as indices, Lua for every move."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import redis

from jobs.errors import StoreError
from jobs.events import JobEvent
from jobs.job import ErrorCode, Failure, Job, Priority, Status, WebhookState
from jobs.load import Load, Throughput
from jobs.redis_load import RedisGauge
from jobs.redis_records import (
    creation_arguments,
    from_hash,
    outcome_arguments,
    parse_event,
    to_json,
    to_mapping,
)
from jobs.redis_scripts import Scripts
from jobs.store import (
    MAX_LISTING_SCAN,
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
    TooManyUnfinished,
)

P = ParamSpec("P")
T = TypeVar("T")

_CHUNK = 100  # records fetched at a time for a page
_REBUILD_BATCH = 200  # jobs of one call: a few milliseconds of the server


def _translate_errors(
    method: Callable[Concatenate[RedisJobStore, P], T],
) -> Callable[Concatenate[RedisJobStore, P], T]:
    """Turn the client's errors into StoreError."""

    @functools.wraps(method)
    def call(self: RedisJobStore, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            raise StoreError(f"the job store can't be reached: {error}") from error

    return cast("Callable[Concatenate[RedisJobStore, P], T]", call)


class RedisJobStore:
    """See :class:`jobs.store.JobStore`. ``change_channel`` is the channel on which the id of a
    changed job is published; ``memory_limit`` in bytes takes the place of the server's own.
    """

    def __init__(
        self, client: redis.Redis, prefix: str = "mmml:", memory_limit: int | None = None
    ) -> None:
        self._client = client
        self._gauge = RedisGauge(client, prefix, memory_limit)
        self._prefix = prefix
        self.change_channel = f"{prefix}changed"
        self._scripts = Scripts(client, prefix)
        self._move = self._scripts.move

    def _key(self, name: str) -> str:
        return self._prefix + name

    @_translate_errors
    def create(self, new: NewJob) -> Job | None:
        (answer,) = self.create_all([new]).jobs
        if isinstance(answer, StoreError):
            raise answer
        return answer

    @_translate_errors
    def create_all(self, jobs: Sequence[NewJob]) -> CreateResult:
        if not jobs:
            return CreateResult([])
        calls = [(new.job.id, creation_arguments(new)) for new in jobs]
        *answers, wakeups = self._scripts.move_all("create", calls)
        return CreateResult(
            [_creation_result(*each) for each in zip(jobs, answers, strict=True)], wakeups
        )

    @_translate_errors
    def get_idempotency_record(self, name: str) -> IdempotencyRecord | None:
        found = cast("bytes | None", self._client.get(self._key(f"once:{name}")))
        return IdempotencyRecord(*found.decode().split(" ", 1)) if found else None

    @_translate_errors
    def get(self, job_id: str) -> Job | None:
        return from_hash(self._client.hgetall(self._key(f"job:{job_id}")))

    @_translate_errors
    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self._key(f"job:{job_id}"))
            return list(map(from_hash, pipe.execute()))

    @_translate_errors
    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        room = request.jobs, request.pictures, int(request.beyond)
        answer = self._scripts.call(
            "claim", claim_id, *room, lease_ttl, int(request.lowest_first), *request.groups
        )
        records, left, wakeups, suspects = answer
        return ClaimResult(
            [_parse_claim(record) for record in records], bool(left), wakeups, suspects
        )

    @_translate_errors
    def acquire_suspect_lock(self, worker: str, seconds: float) -> bool:
        return bool(self._scripts.call("acquire_suspect_lock", worker, seconds))

    @_translate_errors
    def claim_suspect(
        self, claim_id: str, worker: str, lease_ttl: float, lock_seconds: float
    ) -> ClaimedJob | None:
        record = self._scripts.call("claim_suspect", worker, claim_id, lease_ttl, lock_seconds)
        return _parse_claim(record) if record else None

    @_translate_errors
    def release_suspect_lock(self, worker: str) -> None:
        self._scripts.call("release_suspect_lock", worker)

    @_translate_errors
    def begin_all(self, held: Sequence[tuple[str, str]]) -> list[Attempt | StoreError | None]:
        answers = self._scripts.move_all("begin", [(job_id, (token,)) for job_id, token in held])
        return [
            a if isinstance(a, StoreError) else Attempt(int(a[0]), float(a[1])) if a else None
            for a in answers
        ]

    @_translate_errors
    def renew_all(
        self, held: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Renewal | StoreError]:
        calls = [(job_id, (token, lease_ttl)) for job_id, token in held]
        answers = self._scripts.move_all("renew", calls)
        return [a if isinstance(a, StoreError) else Renewal(a.decode()) for a in answers]

    @_translate_errors
    def record_progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        return bool(self._move("progress", job_id, token, done, total))

    @_translate_errors
    def finish_all(self, endings: Sequence[tuple[str, str, JobOutcome]]) -> list[bool | StoreError]:
        calls = [
            (job_id, (token, *outcome_arguments(outcome))) for job_id, token, outcome in endings
        ]
        return list(map(_to_bool, self._scripts.move_all("finish", calls)))

    @_translate_errors
    def release_all(
        self, held: Sequence[tuple[str, str]], delay: float = 0.0
    ) -> list[bool | StoreError]:
        calls = [(job_id, (token, delay)) for job_id, token in held]
        return list(map(_to_bool, self._scripts.move_all("release", calls)))

    @_translate_errors
    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        answer: bytes | None = self._move("cancel", job_id, int(erase))
        return Status(answer.decode()) if answer else None

    @_translate_errors
    def finish_canceled(self, job_id: str, token: str) -> bool:
        return bool(self._move("finish", job_id, token, Status.canceled))

    @_translate_errors
    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        error = Failure(code=code, detail=detail).model_dump(mode="json")
        return bool(self._move("give_up", job_id, code, to_json(error)))

    @_translate_errors
    def expire(self, job_id: str) -> bool:
        return bool(self._move("expire", job_id, TOMBSTONE_SECONDS))

    @_translate_errors
    def events_after(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id, cursor in cursors.items():
                pipe.exists(self._key(f"events:{job_id}"))
                pipe.xrange(self._key(f"events:{job_id}"), f"({cursor}")
            answers = pipe.execute()
        pairs = zip(cursors, answers[::2], answers[1::2], strict=True)
        return {i: [parse_event(*e) for e in found] if there else None for i, there, found in pairs}

    @_translate_errors
    def webhooks_due(self, limit: int = 100) -> list[str]:
        return self._due("webhooks", limit)

    @_translate_errors
    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        if job_ids:
            self._scripts.call("postpone", "webhooks", seconds, *job_ids)

    @_translate_errors
    def claim_webhook(self, job_id: str, seconds: float) -> Job | None:
        flat = self._move("claim_webhook", job_id, seconds)
        return from_hash(to_mapping(flat)) if flat else None

    @_translate_errors
    def record_delivery(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        return bool(self._move("record_delivery", job_id, attempt, state, detail, delay))

    @_translate_errors
    def service_secret(self, name: str, proposal: str) -> str:
        key = self._key(f"secret:{name}")
        self._client.set(key, proposal, nx=True)
        return cast("bytes", self._client.get(key)).decode()

    @_translate_errors
    def dead_leases(self, limit: int = 500) -> list[str]:
        return self._due("leased", limit)

    @_translate_errors
    def requeue(self, job_id: str, max_claims: int) -> bool:
        return bool(self._move("requeue", job_id, max_claims))

    @_translate_errors
    def past_deadline(self, limit: int = 500) -> list[str]:
        return self._due("deadlines", limit)

    @_translate_errors
    def rebuild_sets(self) -> int:
        count = 0
        if self._client.exists(self._key("unfinished")):  # an earlier version's, with its messages
            self._client.delete("mmml", self._key("newest"))
        for name in ("unfinished", "queued", "leased"):
            members = cast("list[bytes]", self._client.zrange(self._key(name), 0, -1))
            for n in range(0, len(members), _REBUILD_BATCH):
                calls = [(i.decode(), ()) for i in members[n : n + _REBUILD_BATCH]]
                count += len(self._scripts.move_all("rebuild", calls))
        return count

    @_translate_errors
    def results_due(self, seconds: float, limit: int = 500) -> list[str]:
        return self._due("final", limit, seconds)

    @_translate_errors
    def exist_all(self, job_ids: Sequence[str]) -> list[bool]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.exists(self._key(f"job:{job_id}"))
            return [bool(found) for found in pipe.execute()]

    def _due(self, name: str, limit: int, seconds: float = 0.0) -> list[str]:
        return [i.decode() for i in self._scripts.call("due", name, seconds, limit)]

    @_translate_errors
    def queue_positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        return dict(zip(job_ids, self._scripts.call("positions", *job_ids), strict=True))

    @_translate_errors
    def has_claimable(self, groups: Sequence[str]) -> bool:
        lines = [f"turns:{group}:{priority}" for group in groups for priority in Priority]
        return self._client.exists(*map(self._key, lines)) > 0

    @_translate_errors
    def queue_length(self) -> int:
        return self._client.zcard(self._key("queued"))

    @_translate_errors
    def count_unfinished(self, owner: str) -> int:
        return self._client.scard(self._key(f"active:{owner}"))

    @_translate_errors
    def load(self) -> Load:
        return self._gauge.load()

    @_translate_errors
    def throughput(self) -> Throughput:
        return self._gauge.throughput()

    @_translate_errors
    def list_jobs(
        self,
        status: Status | None,
        limit: int,
        before: Cursor | None,
        owner: str | None = None,
        task: str | None = None,
    ) -> tuple[list[Job], Cursor | None]:
        page: list[Job] = []
        looked_at = 0
        index = self._key("jobs" if owner is None else f"jobs:{owner}")
        for score, chunk in self._newest_first(index, before):
            for job_id, job in chunk:
                looked_at += 1
                wanted = job and status in (None, job.status) and task in (None, job.task)
                if job and wanted:
                    page.append(job)
                if len(page) == limit or looked_at == MAX_LISTING_SCAN:
                    return page, (score[job_id], job_id)
        return page, None

    def _newest_first(
        self, index: str, before: Cursor | None
    ) -> Iterator[tuple[dict[str, float], list[tuple[str, Job | None]]]]:
        """(creation times by id, records) of the jobs of ``index`` after ``before``, in chunks."""
        top: float | str = before[0] if before else "+inf"
        offset = 0
        while True:
            found = self._client.zrevrangebyscore(
                index, top, "-inf", start=offset, num=_CHUNK, withscores=True
            )
            scores = {i.decode(): s for i, s in cast("list[tuple[bytes, float]]", found)}
            ids = [i for i, score in scores.items() if before is None or (score, i) < before]
            with self._client.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hgetall(self._key(f"job:{job_id}"))
                records = pipe.execute()
            yield scores, list(zip(ids, map(from_hash, records), strict=True))
            if len(scores) < _CHUNK:
                return
            last, score = next(reversed(scores.items()))
            offset = offset + _CHUNK if score == top else 0
            top, before = score, min(before or (score, last), (score, last))

    @_translate_errors
    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> None:
        self._scripts.call("heartbeat", worker, to_json({**info, "name": worker}), ttl)

    @_translate_errors
    def remove_worker(self, worker: str) -> None:
        self._client.zrem(self._key("alive"), worker)
        self._client.hdel(self._key("workers"), worker)

    @_translate_errors
    def live_workers(self) -> list[dict[str, Any]]:
        names = self._scripts.call("live_workers")
        records = self._client.hmget(self._key("workers"), names) if names else []
        return [json.loads(record) for record in cast("list[bytes | None]", records) if record]

    @_translate_errors
    def ping(self) -> None:
        self._client.ping()


def _creation_result(new: NewJob, answer: Any) -> Job | StoreError | None:
    if isinstance(answer, StoreError):
        return answer
    text = answer.decode()
    if text == "-1":
        return None
    if text.startswith("full "):
        return TooManyUnfinished(int(text.removeprefix("full ")))
    at = float(text)
    deadline = None if new.start_within is None else at + new.start_within
    return new.job.model_copy(update={"created_at": at, "deadline": deadline})


def _parse_claim(flat: Sequence[bytes]) -> ClaimedJob:
    fields = to_mapping(flat)
    return ClaimedJob(cast("Job", from_hash(fields)), fields[b"token"].decode())


def _to_bool(answer: Any) -> bool | StoreError:
    return answer if isinstance(answer, StoreError) else bool(answer)


# One for each thread that may ask at the same time, and to spare: a pool that is empty refuses.
_CONNECTIONS = 512


def connect(url: str, timeout: float = 5.0) -> redis.Redis:
    """A client that fails after ``timeout`` seconds instead of hanging."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 2.0),
        max_connections=_CONNECTIONS,
    )


def wait_until_ready(url: str, seconds: float) -> None:
    """Block until the server answers (it may still be reading its append-only file)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connect(url).ping()
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
