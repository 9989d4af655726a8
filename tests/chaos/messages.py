"""Messages that get lost, and the steward that replaces them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from jobs.redis_store import connect
from jobs.store import MESSAGE_PATIENCE
from jobs.wire import QUEUE
from tests.chaos.batches import FAULTS as BATCHES
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import post, settled, submit
from tests.chaos.processes import wait_until
from tests.chaos.stack import LEASE, Stack, running

_JOBS = 16
_BACK = MESSAGE_PATIENCE + LEASE + 30.0  # seconds
_BAR = "0 lost, 0 duplicated"


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick)


class Thief:
    """Takes messages from the queue before the worker does, and drops them."""

    def __init__(self, url: str) -> None:
        self.stolen = 0
        self._url, self._stop = url, threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(5)

    def _loop(self) -> None:
        client = connect(self._url)
        while not self._stop.is_set():
            if client.brpop([QUEUE], timeout=1):
                self.stolen += 1
        client.close()


def _robbed(stack: Stack) -> list[str]:
    """Jobs of which at least one has lost its message."""
    thief = Thief(stack.redis_url)
    jobs: list[str] = []
    with thief.at_work():
        while not thief.stolen or len(jobs) < _JOBS:
            jobs += submit(stack, *["a bird"] * 4)
            assert len(jobs) < 40 * _JOBS, "no message could be stolen"
    return jobs


def message_lost(stack: Stack) -> Finding:
    """Messages vanish between broker and worker."""
    stack.ready()
    struck = time.time()
    return settled(stack, _robbed(stack), struck, _BACK)


def steward_killed(stack: Stack) -> Finding:
    """The steward dies again and again, in the seconds in which it is needed."""
    stack.ready()
    struck = time.time()
    jobs = _robbed(stack)
    steward = stack.stewards[0]
    for pause in (0.0, MESSAGE_PATIENCE - 1, 2.0):
        time.sleep(pause)
        steward.kill()
    return settled(stack, jobs, struck, _BACK + 15)


def two_stewards(stack: Stack) -> Finding:
    """Both recover what lost its message, and what lost its worker."""
    stack.ready()
    second = stack.add_steward()
    try:
        struck = time.time()
        jobs = _robbed(stack) + submit(stack, *["a bird slow"] * 4)
        stack.workers[0].kill()
        return settled(stack, jobs, struck, _BACK + 15)
    finally:
        stack.remove(second)


def gateway_killed(stack: Stack) -> Finding:
    """The gateway dies between a job's record and its message, its client unanswered; the client
    asks again.
    """
    stack.ready()
    stack.strikes.arm("before-enqueue")
    struck = time.time()
    with httpx.Client(timeout=30) as http:
        first = post(http, stack.urls[0], "k" + str(struck), text="a bird")
        wait_until(lambda: not stack.strikes.armed("before-enqueue"), 10, "the gateway's death")
        stack.ready()
        again = post(http, stack.urls[0], "k" + str(struck), text="a bird")
    found = settled(stack, [again.job], struck, _BACK, created_since=struck)
    ok = first.status == 0 and again.accepted
    return found if ok else found.but(f"answers {first} and {again}")


FAMILY = Family(
    "messages",
    opened,
    [
        Fault("message lost between broker and worker", _BAR, message_lost, _BACK, runs=10),
        Fault("steward killed", _BAR, steward_killed, _BACK + 15, runs=5),
        Fault("two stewards at once", _BAR, two_stewards, _BACK + 15, runs=5),
        Fault(
            "gateway killed between job record and enqueue",
            "enqueued on recovery or reported failed; never queued for ever",
            gateway_killed,
            _BACK,
            runs=10,
        ),
        *BATCHES,
    ],
)
