"""Refusing work before it hurts: a full queue, full memory, a caller with too many jobs at once.

``Retry-After`` is what the service has measured of itself, not a constant.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pydantic import ByteSize

from app.gateway.auth import Caller
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.blobs import BlobStore
from jobs.load import Load, Throughput
from jobs.redis_store import JobStore
from jobs.store import NewJob, Quota

_HEADROOM = 0.9  # of the memory; the rest is for messages, limits and what a job weighs in excess
_RECORDS_SHARE = 4  # times what is left: the records that one owner may have
_ROOM = 0.1  # of the queue, free again when those who were refused come back
_UNKNOWN = 30  # seconds, when nothing was seen to end
_LONGEST = 3600  # seconds
_DELETE = "Delete finished jobs (DELETE /jobs/ID), or wait until they expire."


def check_admission(store: JobStore, settings: GatewaySettings, caller: Caller) -> None:
    """Raises Problem: 429 for a caller who has used up a quota, 503 for a service without room.
    Blocks.
    """
    load = store.load()
    check_load(store, settings, load)
    if caller.key is None:
        return
    used, (places, records) = store.usage(caller.owner), shares(settings, load)
    active = caller.key.max_active or settings.max_active
    for quota, count, most in (
        (Quota.unfinished, used.unfinished, min(active, places)),
        (Quota.records, used.records, records),
        (Quota.stored, used.stored, settings.max_stored or None),
    ):
        if most is not None and count >= most:
            raise quota_problem(store, settings, quota, count)


def shares(settings: GatewaySettings, load: Load) -> tuple[int, int | None]:
    """How many unfinished jobs and how many records one owner may have, None for any number: less,
    the less is left for all others. So whoever comes later finds some room (Choudhury and Hahne,
    "Dynamic queue length thresholds", 1998).
    """
    left = _left_bytes(load)
    records = None if left is None else max(int(_RECORDS_SHARE * left / load.bytes_per_job), 0)
    return max(settings.max_queue - load.waiting, 0), records


def with_shares(new: NewJob, settings: GatewaySettings, load: Load) -> NewJob:
    """The job with what its owner, if it has one, may have now."""
    if new.max_unfinished is None:
        return new
    places, records = shares(settings, load)
    return replace(new, max_unfinished=min(new.max_unfinished, places), max_records=records)


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


def check_disk(blobs: BlobStore, settings: GatewaySettings) -> None:
    """Raises Problem 503 when the disk has too little room for what is made of uploads. Blocks."""
    free, least = blobs.free_bytes(), settings.min_free_disk
    if free is not None and free < least:
        raise Problem(
            503,
            f"The service's disk has {_size(free)} left, and {_size(least)} are kept for the jobs "
            "accepted before. Delete finished jobs (DELETE /jobs/ID), or try again when old "
            "results have expired; whoever runs the service can add space.",
            retry_after=60,
        )


def quota_problem(store: JobStore, settings: GatewaySettings, quota: Quota, used: int) -> Problem:
    """429 for an owner who has ``used`` all that it may, 409 for a batch that takes no more jobs.
    Blocks.
    """
    details = {
        Quota.unfinished: f"This key has {used} unfinished jobs, which is all that it may have "
        "now; it may have fewer while the queue is nearly full. Wait until one has ended, or "
        "cancel some.",
        Quota.records: f"This key's {used} jobs, the finished ones too, fill its share of the "
        f"memory for job records. {_DELETE}",
        Quota.stored: f"This key's images take {_size(used)}, and this job's might not fit into "
        f"the {_size(settings.max_stored)} that it may store. {_DELETE}",
        Quota.batches: f"This key has {used} batches, which is all that it may have. Delete some "
        "(DELETE /batches/ID), or wait until they expire.",
        Quota.batch: f"This batch takes no more jobs: it was closed or deleted, or its {used} jobs "
        "are all that one may have. Create another batch.",
    }
    if quota is Quota.batch:
        return Problem(409, details[quota])
    throughput = store.throughput()
    if quota is not Quota.unfinished:
        seconds = _until_expiry(settings, throughput)
    else:
        seconds = _seconds(1 / throughput.rate) if throughput.rate else _UNKNOWN
    return Problem(429, details[quota], retry_after=seconds)


def _queue_full(store: JobStore, settings: GatewaySettings, load: Load) -> Problem:
    rate = store.throughput().rate
    excess = load.waiting - (1 - _ROOM) * settings.max_queue
    seconds = _seconds(excess / rate) if rate else _UNKNOWN
    speed = f"{rate:.3g} of them end per second" if rate else "none of them has ended lately"
    return Problem(
        503,
        f"{load.waiting} jobs are waiting, which is all this service takes; {speed}. "
        f"Try again in {seconds} s.",
        retry_after=seconds,
    )


def _left_bytes(load: Load) -> float | None:
    """What is left for further jobs: each is reckoned with what it will weigh when it is done, so
    that none can keep those accepted before from being finished. None without a limit.
    """
    if load.limit_bytes is None:
        return None
    return _HEADROOM * load.limit_bytes - load.used_bytes - load.unfinished * load.bytes_per_job


def _memory_full(load: Load) -> bool:
    left = _left_bytes(load)
    return left is not None and left < load.bytes_per_job


def _no_memory(store: JobStore, settings: GatewaySettings) -> Problem:
    """Room is made when the oldest results' lifetime is over, if there are any."""
    throughput = store.throughput()
    seconds = _until_expiry(settings, throughput)
    if throughput.oldest_age is None:
        helps = (
            "No finished job takes any of it: only whoever runs the service can help, by raising "
            "maxmemory of Redis and MMML_REDIS_MEMORY."
        )
    else:
        helps = (
            "Deleting finished jobs (DELETE /jobs/ID) makes room at once; the oldest one expires "
            f"in {seconds} s. Whoever runs the service can raise maxmemory of Redis and "
            "MMML_REDIS_MEMORY, or lower MMML_RESULT_TTL."
        )
    detail = f"The memory for job records is full; jobs accepted before are finished. {helps}"
    return Problem(503, detail, retry_after=seconds)


def _until_expiry(settings: GatewaySettings, throughput: Throughput) -> int:
    """Seconds until the oldest result expires."""
    age = throughput.oldest_age
    return _seconds(settings.result_ttl - age if age is not None else _UNKNOWN)


def _seconds(value: float) -> int:
    return min(max(math.ceil(value), 1), _LONGEST)


def _size(count: int) -> str:
    return ByteSize(count).human_readable()
