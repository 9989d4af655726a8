"""Who gets which job when many wait: a worker that joins, and a single job beside a crowd."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from jobs.job import Job, new_id
from jobs.store import NewJob
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import settled
from tests.chaos.processes import wait_until
from tests.chaos.stack import Stack, running

_LONG_JOBS, _CROWD = 120, 300
_SLOTS = 16  # of a worker
_FULL = 1.0  # seconds after which one that has joined has no free slot
_NEXT = 2  # batches


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick)


def _submit(stack: Stack, owner: str, text: str, count: int, pictures: int = 1) -> list[str]:
    """Straight into the store, so that many are there at one moment."""
    request = {"text": text, "count": pictures, "bundle": "null", "method": "fake"}
    jobs = [
        Job(id=new_id(), task="synthesize", owner=owner, pictures=pictures, request=request)
        for _ in range(count)
    ]
    stack.store.create_all([NewJob(job) for job in jobs])
    return [job.id for job in jobs]


def worker_joins(stack: Stack) -> Finding:
    """Jobs of four seconds wait; a second worker comes and has all its slots full at once."""
    stack.ready()
    jobs = _submit(stack, "", "a bird long", _LONG_JOBS)
    wait_until(lambda: _held(stack) >= _SLOTS, 30, "a full first worker")
    second = stack.add_worker()
    try:
        stack.all_ready()
        ready = time.monotonic()
        wait_until(lambda: _held(stack) >= 2 * _SLOTS, 30, "a full second worker")
        took = time.monotonic() - ready
        found = settled(stack, jobs, time.time(), 4.0 * _LONG_JOBS / 8)
    finally:
        second.terminate(30)
        stack.remove(second)
    attempts = {job.attempts for job in stack.store.get_readable(jobs)}
    note = f"the second worker was full after {took:.2f} s"
    broken = [note] if took > _FULL else []
    if attempts != {1}:
        broken.append(f"jobs ran {sorted(attempts)} times")
    return found.but(*broken, notes=[note])


def _held(stack: Stack) -> int:
    load = stack.store.load()
    return load.unfinished - load.waiting


def single_beside_a_crowd(pictures: int) -> Callable[[Stack], Finding]:
    """One key has 300 jobs of so many pictures in line, another one has a single job."""

    def trial(stack: Stack) -> Finding:
        stack.ready()
        stack.strikes.forget()
        crowd = _submit(stack, "many", "a bird slow", _CROWD, pictures)
        wait_until(lambda: len(stack.strikes.notes("batches")) > 4, 30, "some batches")
        before = len(stack.strikes.notes("batches"))
        (single,) = _submit(stack, "single", "a single bird slow", 1)
        wait_until(lambda: bool(stack.strikes.notes("single")), 60, "the single job's batch")
        place = stack.strikes.notes("single")[0] - before
        struck = time.time()
        _cancel(stack, crowd[_CROWD // 8 :])
        found = settled(stack, [single], struck, 15)
        note = f"its batch was number {place} after its submission"
        return found.but(*([note] if place > _NEXT else []), notes=[note])

    return trial


def _cancel(stack: Stack, jobs: Sequence[str]) -> None:
    """What else the crowd wanted; nobody waits for that."""
    for job in jobs:
        stack.store.cancel(job)
    wait_until(lambda: not stack.store.load().unfinished, 120, "the end of the crowd")


FAMILY = Family(
    "crowds",
    opened,
    [
        Fault(
            "a second worker joins 120 jobs of 4 s",
            "full within 1 s, no job runs twice",
            worker_joins,
            4.0 * _LONG_JOBS / 8,
            runs=1,
        ),
        *(
            Fault(
                f"a single job beside 300 of another key, each of {pictures}",
                "starts within the next two batches",
                single_beside_a_crowd(pictures),
                15,
                runs=2,
            )
            for pictures in (1, 16)
        ),
    ],
)
