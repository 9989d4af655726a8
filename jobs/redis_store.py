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
from jobs.load import Drain, Load
from jobs.redis_load import RedisGauge
from jobs.redis_records import creation, dump, ending, event, from_hash, pairs
from jobs.redis_scripts import Scripts
from jobs.store import (
    LISTING_EFFORT,
    TOMBSTONE_SECONDS,
    Begun,
    Claim,
    Claimed,
    Created,
    Cursor,
    NewJob,
    Outcome,
    Remembered,
    Renewal,
    TooManyUnfinished,
    Wanted,
)

P = ParamSpec("P")
T = TypeVar("T")

_CHUNK = 100  # records fetched at a time for a page
_ADOPTED = 200  # jobs of one call: a few milliseconds of the server


def _guarded(
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
    """See :class:`jobs.store.JobStore`. ``changed`` is the channel on which the id of a changed
    job is published; ``memory_limit`` in bytes takes the place of the server's own.
    """

    def __init__(
        self, client: redis.Redis, prefix: str = "mmml:", memory_limit: int | None = None
    ) -> None:
        self._client = client
        self._gauge = RedisGauge(client, prefix, memory_limit)
        self._prefix = prefix
        self.changed = f"{prefix}changed"
        self._scripts = Scripts(client, prefix)
        self._move = self._scripts.move

    def _key(self, name: str) -> str:
        return self._prefix + name

    @_guarded
    def create(self, new: NewJob) -> Job | None:
        (answer,) = self.create_all([new]).jobs
        if isinstance(answer, StoreError):
            raise answer
        return answer

    @_guarded
    def create_all(self, jobs: Sequence[NewJob]) -> Created:
        if not jobs:
            return Created([])
        calls = [(new.job.id, creation(new)) for new in jobs]
        *answers, wakeups = self._scripts.move_all("create", calls)
        return Created([_created(*each) for each in zip(jobs, answers, strict=True)], wakeups)

    @_guarded
    def remembered(self, name: str) -> Remembered | None:
        found = cast("bytes | None", self._client.get(self._key(f"once:{name}")))
        return Remembered(*found.decode().split(" ", 1)) if found else None

    @_guarded
    def get(self, job_id: str) -> Job | None:
        return from_hash(self._client.hgetall(self._key(f"job:{job_id}")))

    @_guarded
    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self._key(f"job:{job_id}"))
            return list(map(from_hash, pipe.execute()))

    @_guarded
    def claim(self, claim_id: str, wanted: Wanted, lease_ttl: float) -> Claim:
        room = wanted.jobs, wanted.pictures, int(wanted.beyond)
        answer = self._scripts.call(
            "claim", claim_id, *room, lease_ttl, int(wanted.lowest_first), *wanted.groups
        )
        records, left, wakeups, suspects = answer
        return Claim([_claimed(record) for record in records], bool(left), wakeups, suspects)

    @_guarded
    def take_turn(self, worker: str, seconds: float) -> bool:
        return bool(self._scripts.call("take_turn", worker, seconds))

    @_guarded
    def claim_suspect(
        self, claim_id: str, worker: str, lease_ttl: float, turn: float
    ) -> Claimed | None:
        record = self._scripts.call("claim_suspect", worker, claim_id, lease_ttl, turn)
        return _claimed(record) if record else None

    @_guarded
    def give_turn(self, worker: str) -> None:
        self._scripts.call("give_turn", worker)

    @_guarded
    def begin_all(self, held: Sequence[tuple[str, str]]) -> list[Begun | StoreError | None]:
        answers = self._scripts.move_all("begin", [(job_id, (token,)) for job_id, token in held])
        return [
            a if isinstance(a, StoreError) else Begun(int(a[0]), float(a[1])) if a else None
            for a in answers
        ]

    @_guarded
    def renew_all(
        self, held: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Renewal | StoreError]:
        calls = [(job_id, (token, lease_ttl)) for job_id, token in held]
        answers = self._scripts.move_all("renew", calls)
        return [a if isinstance(a, StoreError) else Renewal(a.decode()) for a in answers]

    @_guarded
    def progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        return bool(self._move("progress", job_id, token, done, total))

    @_guarded
    def finish_all(self, endings: Sequence[tuple[str, str, Outcome]]) -> list[bool | StoreError]:
        calls = [(job_id, (token, *ending(outcome))) for job_id, token, outcome in endings]
        return list(map(_yes, self._scripts.move_all("finish", calls)))

    @_guarded
    def release_all(
        self, held: Sequence[tuple[str, str]], delay: float = 0.0
    ) -> list[bool | StoreError]:
        calls = [(job_id, (token, delay)) for job_id, token in held]
        return list(map(_yes, self._scripts.move_all("release", calls)))

    @_guarded
    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        answer: bytes | None = self._move("cancel", job_id, int(erase))
        return Status(answer.decode()) if answer else None

    @_guarded
    def cancel_done(self, job_id: str, token: str) -> bool:
        return bool(self._move("finish", job_id, token, Status.canceled))

    @_guarded
    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        error = Failure(code=code, detail=detail).model_dump(mode="json")
        return bool(self._move("give_up", job_id, code, dump(error)))

    @_guarded
    def expire(self, job_id: str) -> bool:
        return bool(self._move("expire", job_id, TOMBSTONE_SECONDS))

    @_guarded
    def events(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id, cursor in cursors.items():
                pipe.exists(self._key(f"events:{job_id}"))
                pipe.xrange(self._key(f"events:{job_id}"), f"({cursor}")
            answers = pipe.execute()
        pairs = zip(cursors, answers[::2], answers[1::2], strict=True)
        return {i: [event(*e) for e in found] if there else None for i, there, found in pairs}

    @_guarded
    def webhooks_due(self, limit: int = 100) -> list[str]:
        return self._due("webhooks", limit)

    @_guarded
    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        if job_ids:
            self._scripts.call("postpone", "webhooks", seconds, *job_ids)

    @_guarded
    def claim_webhook(self, job_id: str, seconds: float) -> Job | None:
        flat = self._move("claim_webhook", job_id, seconds)
        return from_hash(pairs(flat)) if flat else None

    @_guarded
    def record_delivery(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        return bool(self._move("record_delivery", job_id, attempt, state, detail, delay))

    @_guarded
    def service_secret(self, name: str, proposal: str) -> str:
        key = self._key(f"secret:{name}")
        self._client.set(key, proposal, nx=True)
        return cast("bytes", self._client.get(key)).decode()

    @_guarded
    def dead_leases(self, limit: int = 500) -> list[str]:
        return self._due("leased", limit)

    @_guarded
    def requeue(self, job_id: str, max_claims: int) -> bool:
        return bool(self._move("requeue", job_id, max_claims))

    @_guarded
    def past_deadline(self, limit: int = 500) -> list[str]:
        return self._due("deadlines", limit)

    @_guarded
    def adopt_all(self) -> int:
        count = 0
        if self._client.exists(self._key("unfinished")):  # an earlier version's, with its messages
            self._client.delete("mmml", self._key("newest"))
        for name in ("unfinished", "queued", "leased"):
            members = cast("list[bytes]", self._client.zrange(self._key(name), 0, -1))
            for n in range(0, len(members), _ADOPTED):
                calls = [(i.decode(), ()) for i in members[n : n + _ADOPTED]]
                count += len(self._scripts.move_all("adopt", calls))
        return count

    @_guarded
    def final_for(self, seconds: float, limit: int = 500) -> list[str]:
        return self._due("final", limit, seconds)

    @_guarded
    def existing(self, job_ids: Sequence[str]) -> list[bool]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.exists(self._key(f"job:{job_id}"))
            return [bool(found) for found in pipe.execute()]

    def _due(self, name: str, limit: int, seconds: float = 0.0) -> list[str]:
        return [i.decode() for i in self._scripts.call("due", name, seconds, limit)]

    @_guarded
    def positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        return dict(zip(job_ids, self._scripts.call("positions", *job_ids), strict=True))

    @_guarded
    def claimable(self, groups: Sequence[str]) -> bool:
        lines = [f"turns:{group}:{priority}" for group in groups for priority in Priority]
        return self._client.exists(*map(self._key, lines)) > 0

    @_guarded
    def depth(self) -> int:
        return self._client.zcard(self._key("queued"))

    @_guarded
    def active(self, owner: str) -> int:
        return self._client.scard(self._key(f"active:{owner}"))

    @_guarded
    def load(self) -> Load:
        return self._gauge.load()

    @_guarded
    def drain(self) -> Drain:
        return self._gauge.drain()

    @_guarded
    def listing(
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
                if len(page) == limit or looked_at == LISTING_EFFORT:
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

    @_guarded
    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> None:
        self._scripts.call("heartbeat", worker, dump({**info, "name": worker}), ttl)

    @_guarded
    def farewell(self, worker: str) -> None:
        self._client.zrem(self._key("alive"), worker)
        self._client.hdel(self._key("workers"), worker)

    @_guarded
    def workers(self) -> list[dict[str, Any]]:
        names = self._scripts.call("alive")
        records = self._client.hmget(self._key("workers"), names) if names else []
        return [json.loads(record) for record in cast("list[bytes | None]", records) if record]

    @_guarded
    def ping(self) -> None:
        self._client.ping()


def _created(new: NewJob, answer: Any) -> Job | StoreError | None:
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


def _claimed(flat: Sequence[bytes]) -> Claimed:
    fields = pairs(flat)
    return Claimed(cast("Job", from_hash(fields)), fields[b"token"].decode())


def _yes(answer: Any) -> bool | StoreError:
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


def wait_for(url: str, seconds: float) -> None:
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
