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
from jobs.job import ErrorCode, Failure, Job, Status, Timings, WebhookState
from jobs.load import Drain, Load
from jobs.redis_load import RedisGauge
from jobs.redis_scripts import Scripts
from jobs.store import (
    LISTING_EFFORT,
    MESSAGE_PATIENCE,
    TOMBSTONE_SECONDS,
    Cursor,
    OnceKey,
    Outcome,
    Remembered,
    Renewal,
)

P = ParamSpec("P")
T = TypeVar("T")

_JSON_FIELDS = ("request", "inputs", "images", "warnings", "error", "timings", "receipt")
_FLOAT_FIELDS = ("created_at", "started_at", "finished_at", "deadline")
_INT_FIELDS = ("schema_version", "attempts", "done")
_CHUNK = 100  # records fetched at a time for a page


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
        self._run = self._scripts.run

    def _key(self, name: str) -> str:
        return self._prefix + name

    @_guarded
    def create(self, job: Job, once: OnceKey | None = None) -> bool:
        return bool(self._run("create", job.id, *_creation(job, once)))

    @_guarded
    def create_all(self, jobs: Sequence[tuple[Job, OnceKey | None]]) -> list[bool | StoreError]:
        calls = [(job.id, _creation(job, once)) for job, once in jobs]
        return list(map(_yes, self._scripts.run_all("create", calls)))

    @_guarded
    def remembered(self, name: str) -> Remembered | None:
        found = cast("bytes | None", self._client.get(self._key(f"once:{name}")))
        return Remembered(*found.decode().split(" ", 1)) if found else None

    @_guarded
    def get(self, job_id: str) -> Job | None:
        return _from_hash(self._client.hgetall(self._key(f"job:{job_id}")))

    @_guarded
    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self._key(f"job:{job_id}"))
            return list(map(_from_hash, pipe.execute()))

    @_guarded
    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        flat = self._run("start", job_id, token, lease_ttl)
        if not flat:
            return None
        return _from_hash(_pairs(flat))

    @_guarded
    def start_fresh(
        self, claims: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Job | StoreError | None]:
        calls = [(job_id, (token, lease_ttl, 1)) for job_id, token in claims]
        answers = self._scripts.run_all("start", calls)
        return [a if isinstance(a, StoreError) else _from_hash(_pairs(a or ())) for a in answers]

    @_guarded
    def renew(self, job_id: str, token: str, lease_ttl: float) -> Renewal:
        answer: bytes = self._run("renew", job_id, token, lease_ttl)
        return Renewal(answer.decode())

    @_guarded
    def progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        return bool(self._run("progress", job_id, token, done, total))

    @_guarded
    def finish(self, job_id: str, token: str, outcome: Outcome) -> bool:
        return bool(self._run("finish", job_id, token, *_ending(outcome)))

    @_guarded
    def finish_all(self, endings: Sequence[tuple[str, str, Outcome]]) -> list[bool | StoreError]:
        calls = [(job_id, (token, *_ending(outcome))) for job_id, token, outcome in endings]
        return list(map(_yes, self._scripts.run_all("finish", calls)))

    @_guarded
    def release(self, job_id: str, token: str) -> bool:
        return bool(self._run("release", job_id, token))

    @_guarded
    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        answer: bytes | None = self._run("cancel", job_id, int(erase))
        return Status(answer.decode()) if answer else None

    @_guarded
    def cancel_done(self, job_id: str, token: str) -> bool:
        return bool(self._run("finish", job_id, token, Status.canceled))

    @_guarded
    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        error = Failure(code=code, detail=detail).model_dump(mode="json")
        return bool(self._run("give_up", job_id, code, _dump(error)))

    @_guarded
    def expire(self, job_id: str) -> bool:
        return bool(self._run("expire", job_id, TOMBSTONE_SECONDS))

    @_guarded
    def events(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id, cursor in cursors.items():
                pipe.exists(self._key(f"events:{job_id}"))
                pipe.xrange(self._key(f"events:{job_id}"), f"({cursor}")
            answers = pipe.execute()
        pairs = zip(cursors, answers[::2], answers[1::2], strict=True)
        return {i: [_event(*e) for e in found] if there else None for i, there, found in pairs}

    @_guarded
    def webhooks_due(self, limit: int = 100) -> list[str]:
        found = self._client.zrangebyscore(
            self._key("webhooks"), "-inf", self._now(), start=0, num=limit
        )
        return [i.decode() for i in cast("list[bytes]", found)]

    @_guarded
    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        if job_ids:
            due = dict.fromkeys(job_ids, self._now() + seconds)
            # gt: one that was claimed meanwhile keeps its patience.
            self._client.zadd(self._key("webhooks"), due, xx=True, gt=True)

    @_guarded
    def claim_webhook(self, job_id: str, patience: float) -> Job | None:
        flat = self._run("claim_webhook", job_id, patience)
        return _from_hash(_pairs(flat)) if flat else None

    @_guarded
    def settle_webhook(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        return bool(self._run("settle_webhook", job_id, attempt, state, detail, delay))

    @_guarded
    def service_secret(self, name: str, proposal: str) -> str:
        key = self._key(f"secret:{name}")
        self._client.set(key, proposal, nx=True)
        return cast("bytes", self._client.get(key)).decode()

    @_guarded
    def due(self, limit: int = 500) -> list[str]:
        found = self._client.zrangebyscore(
            self._key("unfinished"), "-inf", self._now(), start=0, num=limit
        )
        return [i.decode() for i in cast("list[bytes]", found)]

    @_guarded
    def note_message(self, job_id: str, patience: float = MESSAGE_PATIENCE) -> None:
        self.note_messages([job_id], patience)

    @_guarded
    def note_messages(self, job_ids: Sequence[str], patience: float) -> None:
        if job_ids:
            due = self._now() + patience
            self._client.zadd(self._key("unfinished"), dict.fromkeys(job_ids, due), xx=True)

    @_guarded
    def final_before(self, timestamp: float, limit: int = 500) -> list[str]:
        found = self._client.zrangebyscore(
            self._key("final"), "-inf", timestamp, start=0, num=limit
        )
        return [i.decode() for i in cast("list[bytes]", found)]

    @_guarded
    def position(self, job_id: str) -> int | None:
        return cast("int | None", self._client.zrank(self._key("queued"), job_id))

    @_guarded
    def positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.zrank(self._key("queued"), job_id)
            return dict(zip(job_ids, pipe.execute(), strict=True))

    @_guarded
    def newest_started(self) -> float:
        return float(cast("bytes | None", self._client.get(self._key("newest"))) or 0)

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
            yield scores, list(zip(ids, map(_from_hash, records), strict=True))
            if len(scores) < _CHUNK:
                return
            last, score = next(reversed(scores.items()))
            offset = offset + _CHUNK if score == top else 0
            top, before = score, min(before or (score, last), (score, last))

    @_guarded
    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> None:
        record = {**info, "name": worker, "until": self._now() + ttl}
        self._client.hset(self._key("workers"), worker, _dump(record))

    @_guarded
    def farewell(self, worker: str) -> None:
        self._client.hdel(self._key("workers"), worker)

    @_guarded
    def workers(self) -> list[dict[str, Any]]:
        now = self._now()
        records = cast("list[bytes]", self._client.hvals(self._key("workers")))
        return [w for w in map(json.loads, records) if w["until"] > now]

    @_guarded
    def ping(self) -> None:
        self._client.ping()

    def _now(self) -> float:
        """The server's clock, which every lease is measured by."""
        seconds, micro = self._client.time()
        return seconds + micro / 1e6


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _to_hash(job: Job) -> dict[str, str]:
    """Flat strings; what is empty is left out."""
    raw = job.model_dump(mode="json")
    fields = {k: _dump(raw[k]) for k in _JSON_FIELDS if getattr(job, k) not in _EMPTY}
    fields |= {k: repr(raw[k]) for k in _FLOAT_FIELDS if raw[k] is not None}
    fields |= {k: str(raw[k]) for k in _INT_FIELDS}
    if job.webhook:
        fields |= {"webhook": job.webhook.url, "webhook_state": job.webhook.state.value}
    names = {"id": job.id, "task": job.task, "owner": job.owner}
    return fields | names | {"status": job.status.value}


_EMPTY: tuple[Any, ...] = (None, (), {}, Timings())


def _from_hash(fields: Mapping[bytes, bytes] | Any) -> Job | None:
    if not fields:
        return None
    text = {k.decode(): v.decode() for k, v in fields.items()}
    raw: dict[str, Any] = {"id": text["id"], "task": text["task"], "status": text["status"]}
    raw |= {k: json.loads(text[k]) for k in _JSON_FIELDS if k in text}
    raw |= {k: float(text[k]) for k in _FLOAT_FIELDS if k in text}
    raw |= {k: int(text[k]) for k in _INT_FIELDS if k in text}
    raw["owner"] = text.get("owner", "")
    raw["cancel_requested"] = text.get("cancel_requested") == "1"
    raw.setdefault("request", {})
    if "webhook" in text:
        prefix = "webhook_"
        rest = {k.removeprefix(prefix): v for k, v in text.items() if k.startswith(prefix)}
        raw["webhook"] = {"url": text["webhook"], **rest}
    return Job.model_validate(raw)


def _creation(job: Job, once: OnceKey | None) -> list[Any]:
    """What the script that creates the job is told."""
    memory = [once.name, once.fingerprint, max(int(once.ttl * 1000), 1)] if once else [""] * 3
    flat = [x for pair in _to_hash(job).items() for x in pair]
    return [job.created_at, MESSAGE_PATIENCE, *memory, *flat]


def _ending(outcome: Outcome) -> list[Any]:
    """What the script that ends the job is told beside the token."""
    images = [image.model_dump(mode="json", exclude_defaults=True) for image in outcome.images]
    timings = outcome.timings.model_dump_json(exclude_none=True)
    fields = {"images": _dump(images), "timings": timings, "receipt": _dump(outcome.receipt)}
    if outcome.warnings:
        fields["warnings"] = _dump(list(outcome.warnings))
    if outcome.error:
        fields["error"] = outcome.error.model_dump_json()
    status = Status.failed if outcome.error else Status.succeeded
    return [status.value, *(x for pair in fields.items() for x in pair)]


def _yes(answer: Any) -> bool | StoreError:
    return answer if isinstance(answer, StoreError) else bool(answer)


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _event(event_id: bytes, fields: Mapping[bytes, bytes]) -> JobEvent:
    text = {k.decode(): v.decode() for k, v in fields.items()}
    return JobEvent.model_validate({"id": event_id.decode(), **text})


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
