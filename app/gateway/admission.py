"""Refusing work before it hurts: a full queue, full memory, a caller with too many jobs at once.

``Retry-After`` is what the service has measured of itself, not a constant.
"""

from __future__ import annotations

import math

from app.gateway.auth import Caller
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.load import Load
from jobs.redis_store import JobStore

_HEADROOM = 0.9  # of the memory; the rest is for messages, limits and what a job weighs in excess
_ROOM = 0.1  # of the queue, free again when those who were refused come back
_UNKNOWN = 30  # seconds, when nothing was seen to end
_LONGEST = 3600  # seconds


def check_admission(store: JobStore, settings: GatewaySettings, caller: Caller) -> None:
    """Raises Problem: 429 for a caller with too many unfinished jobs, 503 for a service without
    room. Blocks.
    """
    _check_unfinished_jobs(store, settings, caller)
    check_load(store, settings, store.load())


def check_load(store: JobStore, settings: GatewaySettings, load: Load) -> None:
    """Raises Problem 503 for a service without room. Blocks only to say when there will be."""
    if load.waiting >= settings.max_queue:
        raise _queue_full(store, settings, load)
    if _memory_full(load):
        raise _no_memory(store, settings)


def check_memory(store: JobStore, settings: GatewaySettings) -> None:
    """The same for what is no job. Blocks."""
    if _memory_full(store.load()):
        raise _no_memory(store, settings)


def _check_unfinished_jobs(store: JobStore, settings: GatewaySettings, caller: Caller) -> None:
    if caller.key is None:
        return
    most = caller.key.max_active or settings.max_active
    count = store.count_unfinished(caller.owner)
    if count >= most:
        raise too_many_unfinished(store, count, most)


def too_many_unfinished(store: JobStore, count: int, most: int) -> Problem:
    """429, until some of the ``count`` unfinished jobs of a key have ended. Blocks."""
    rate = store.throughput().rate
    seconds = _seconds((count - most + 1) / rate) if rate else _UNKNOWN
    return Problem(
        429,
        f"This key has {count} unfinished jobs, and {most} are allowed. Wait until one has ended.",
        headers={"Retry-After": str(seconds)},
    )


def _queue_full(store: JobStore, settings: GatewaySettings, load: Load) -> Problem:
    rate = store.throughput().rate
    excess = load.waiting - (1 - _ROOM) * settings.max_queue
    seconds = _seconds(excess / rate) if rate else _UNKNOWN
    speed = f"{rate:.3g} of them end per second" if rate else "none of them has ended lately"
    return Problem(
        503,
        f"{load.waiting} jobs are waiting, which is all this service takes; {speed}. "
        f"Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _memory_full(load: Load) -> bool:
    """Whether one more job could keep those accepted before from being finished: each is reckoned
    with what it will weigh when it is done.
    """
    if load.limit_bytes is None:
        return False
    promised = (load.unfinished + 1) * load.bytes_per_job
    return load.used_bytes + promised > _HEADROOM * load.limit_bytes


def _no_memory(store: JobStore, settings: GatewaySettings) -> Problem:
    """Room is made when the oldest results' lifetime is over."""
    age = store.throughput().oldest_age
    over = settings.result_ttl - age if age is not None else _UNKNOWN
    seconds = _seconds(over)
    return Problem(
        503,
        "The memory for job records is nearly full, so no new job is taken; those accepted are "
        f"finished. Room is made as old results expire, or when jobs are deleted. Try again in "
        f"{seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _seconds(value: float) -> int:
    return min(max(math.ceil(value), 1), _LONGEST)
