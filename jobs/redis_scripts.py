"""The Lua scripts of ``jobs/scripts`` on a Redis server: moves of jobs, one or many by one call,
and what else has to be atomic; what they are given, and what they answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from types import FunctionType
from typing import Any, TypeVar

import redis
from redis.commands.core import Script

from jobs.errors import StoreError
from jobs.job import Job, JobEvent, Status
from jobs.records import to_hash, to_json
from jobs.store import JobOutcome, NewJob, OverQuota, Quota

_REPLICA_MILLISECONDS = 1000
MoveCall = tuple[str, Sequence[Any]]  # a job's id, and what its move is given beside it
_SHARED = ("prelude", "each")
T = TypeVar("T")


def _load_scripts() -> dict[str, str]:
    """The scripts as they are sent: one that defines a move is run for each of many jobs."""
    folder = files("jobs") / "scripts"
    texts = {p.name.removesuffix(".lua"): p.read_text("utf-8") for p in folder.iterdir()}
    before, after = (texts.pop(name) for name in _SHARED)
    return {
        name: "\n".join(
            [_first_line(name), before, text, *([after] if "function move(" in text else [])]
        )
        for name, text in texts.items()
    }


def _first_line(name: str) -> str:
    """Only what is new needs memory that Redis may lack: whatever brings jobs to their end, or
    erases them, makes room. A replica refuses any script that begins so.
    """
    return "#!lua" if name in ("create", "start_session") else "#!lua flags=allow-oom"


SCRIPTS = _load_scripts()


def translate_errors(store: type[T]) -> type[T]:
    """Have every public method turn the errors of ``_client`` into StoreError."""
    for name, method in list(vars(store).items()):
        if isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(store, name, _translated(method))
    return store


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            if isinstance(error, redis.ReadOnlyError):  # the address may mean another master by now
                self._client.connection_pool.disconnect(inuse_connections=False)
            raise StoreError(f"the job store can't be reached: {error}") from error

    return call


class Scripts:
    """Raises redis.RedisError when the server can't be reached."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._scripts = {name: Script(client, text) for name, text in SCRIPTS.items()}

    def call(self, script: str, *args: Any) -> Any:
        """The answer of a script that is no move."""
        return self._scripts[script]([self._prefix], args)

    def move(self, script: str, job_id: str, *args: Any) -> Any:
        """The answer for one job; raises its error."""
        answer = self._send(script, [(job_id, args)])[0]
        if isinstance(answer, redis.RedisError):
            raise answer
        return answer

    def move_all(self, script: str, calls: Sequence[MoveCall], replicas: int = 0) -> list[Any]:
        """The answers in the calls' order, and what the script says beside them; each call is a
        move of its own, and StoreError stands in the place of one that the server refused.
        ``replicas``: so many have to have what the server knows now, or else it is StoreError.
        """
        if not calls:
            return []
        return [_to_store_error(answer) for answer in self._send(script, calls, replicas)]

    def _send(self, script: str, calls: Sequence[MoveCall], replicas: int = 0) -> list[Any]:
        flat = [x for job_id, args in calls for x in (job_id, len(args), *args)]
        with self.replicated(replicas) as client:
            return list(self._scripts[script]([self._prefix], flat, client))

    @contextmanager
    def replicated(self, replicas: int) -> Iterator[redis.Redis]:
        """A client. StoreError unless so many replicas have, at the end, what the server knows."""
        if not replicas:
            yield self._client
            return
        with self._client.client() as connection:  # Redis waits for what one connection saw
            yield connection
            there = connection.wait(replicas, _REPLICA_MILLISECONDS)
        if there < replicas:
            raise StoreError(
                f"{there} of {replicas} replicas of Redis follow, and MMML_REDIS_REPLICAS asks for "
                "more: what was recorded may be lost with the server"
            )


def _to_store_error(answer: Any) -> Any:
    if isinstance(answer, redis.RedisError):
        return StoreError(f"the job store refused: {answer}")
    return answer


def creation_arguments(new: NewJob) -> list[Any]:
    idempotency = new.idempotency_key
    record = (
        [idempotency.name, idempotency.fingerprint, max(int(idempotency.ttl * 1000), 1)]
        if idempotency
        else [""] * 3
    )
    limits = [new.max_unfinished, new.max_running, new.max_records, new.max_stored, new.stored]
    limit_arguments = ["" if limit is None else limit for limit in [*limits, new.start_within]]
    flat = [x for pair in to_hash(new.job).items() for x in pair]
    return [new.job.owner, *limit_arguments, *record, new.job.batch, *flat]


def outcome_arguments(outcome: JobOutcome) -> list[Any]:
    """The arguments of the script that ends the job beside the token."""
    images = [image.model_dump(mode="json", exclude_defaults=True) for image in outcome.images]
    timings = outcome.timings.model_dump_json(exclude_none=True)
    fields = {"images": to_json(images), "timings": timings, "receipt": to_json(outcome.receipt)}
    if outcome.warnings:
        fields["warnings"] = to_json(list(outcome.warnings))
    if outcome.error:
        fields["error"] = outcome.error.model_dump_json()
    status = Status.failed if outcome.error else Status.succeeded
    return [status.value, outcome.stored, *(x for pair in fields.items() for x in pair)]


def parse_event(event_id: bytes, fields: Mapping[bytes, bytes]) -> JobEvent:
    text = {k.decode(): v.decode() for k, v in fields.items()}
    return JobEvent.model_validate({"id": event_id.decode(), **text})


def creation_result(new: NewJob, answer: Any) -> Job | StoreError | None:
    if isinstance(answer, StoreError):
        return answer
    text = answer.decode()
    if text == "-1":
        return None
    quota, _, used = text.partition(" ")
    if used:
        return OverQuota(Quota(quota), int(used))
    at = float(text)
    deadline = None if new.start_within is None else at + new.start_within
    return new.job.model_copy(update={"created_at": at, "deadline": deadline})


def to_bool(answer: Any) -> bool | StoreError:
    return answer if isinstance(answer, StoreError) else bool(answer)
