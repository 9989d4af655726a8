"""The job store on Redis: a hash per job, sorted sets as indices, Lua for every move."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import redis

from jobs.errors import StoreError
from jobs.job import ErrorCode, Failure, Job, Status
from jobs.load import Drain, Load
from jobs.lua import SCRIPTS
from jobs.redis_load import RedisGauge
from jobs.store import MESSAGE_PATIENCE, TOMBSTONE_SECONDS, Outcome, Renewal

P = ParamSpec("P")
T = TypeVar("T")

_JSON_FIELDS = ("request", "inputs", "images", "warnings", "error", "timings", "receipt")
_FLOAT_FIELDS = ("created_at", "started_at", "finished_at", "deadline")
_INT_FIELDS = ("schema_version", "attempts")


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
        self._scripts = {name: client.register_script(text) for name, text in SCRIPTS.items()}

    def _run(self, script: str, job_id: str, *args: Any) -> Any:
        return self._scripts[script](keys=[self._prefix, job_id], args=list(args))

    def _key(self, name: str) -> str:
        return self._prefix + name

    @_guarded
    def create(self, job: Job) -> bool:
        flat = [x for pair in _to_hash(job).items() for x in pair]
        return bool(self._run("create", job.id, job.created_at, MESSAGE_PATIENCE, *flat))

    @_guarded
    def get(self, job_id: str) -> Job | None:
        return _from_hash(self._client.hgetall(self._key(f"job:{job_id}")))

    @_guarded
    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        flat = self._run("start", job_id, token, lease_ttl)
        if not flat:
            return None
        return _from_hash(dict(zip(flat[::2], flat[1::2], strict=True)))

    @_guarded
    def renew(self, job_id: str, token: str, lease_ttl: float) -> Renewal:
        answer: bytes = self._run("renew", job_id, token, lease_ttl)
        return Renewal(answer.decode())

    @_guarded
    def finish(self, job_id: str, token: str, outcome: Outcome) -> bool:
        status = Status.failed if outcome.error else Status.succeeded
        fields = {
            "images": _dump([i.model_dump(mode="json") for i in outcome.images]),
            "timings": _dump(outcome.timings.model_dump(mode="json")),
            "receipt": _dump(outcome.receipt),
            "warnings": _dump(list(outcome.warnings)),
            "error": _dump(outcome.error.model_dump(mode="json") if outcome.error else None),
        }
        flat = [x for pair in fields.items() for x in pair]
        return bool(self._run("finish", job_id, token, status, *flat))

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
    def due(self, limit: int = 500) -> list[str]:
        found = self._client.zrangebyscore(
            self._key("unfinished"), "-inf", self._now(), start=0, num=limit
        )
        return [i.decode() for i in cast("list[bytes]", found)]

    @_guarded
    def note_message(self, job_id: str, patience: float = MESSAGE_PATIENCE) -> None:
        self._client.zadd(self._key("unfinished"), {job_id: self._now() + patience}, xx=True)

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
        self, status: Status | None, limit: int, before: float | None, owner: str | None = None
    ) -> tuple[list[Job], float | None]:
        """Pages of at most ``limit`` jobs; a page filtered by status may be shorter than that."""
        top = "+inf" if before is None else f"({before!r}"
        index = self._key("jobs" if owner is None else f"jobs:{owner}")
        ids = self._client.zrevrangebyscore(index, top, "-inf", start=0, num=limit)
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in cast("list[bytes]", ids):
                pipe.hgetall(self._key(f"job:{job_id.decode()}"))
            jobs = [job for job in map(_from_hash, pipe.execute()) if job]
        cursor = jobs[-1].created_at if len(ids) == limit and jobs else None
        return [j for j in jobs if status is None or j.status is status], cursor

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
    """Flat strings; absent values are left out."""
    raw = job.model_dump(mode="json")
    fields = {k: _dump(raw[k]) for k in _JSON_FIELDS}
    fields |= {k: repr(raw[k]) for k in _FLOAT_FIELDS if raw[k] is not None}
    fields |= {k: str(raw[k]) for k in _INT_FIELDS}
    names = {"id": job.id, "task": job.task, "owner": job.owner}
    return fields | names | {"status": job.status.value}


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
    return Job.model_validate(raw)


def connect(url: str, timeout: float = 5.0) -> redis.Redis:
    """A client that fails after ``timeout`` seconds instead of hanging."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=min(timeout, 2.0)
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
