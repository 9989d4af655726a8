"""SIGTERM under load: every gateway and every worker is replaced, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.chaos.clients import Clients
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import settled
from tests.chaos.processes import Process, wait_until
from tests.chaos.stack import LEASE, Stack, running

_ENDS_WITHIN = 40.0  # seconds after SIGTERM
_BACK = LEASE + 30.0


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick, gateways=2, workers=2)


def rolling_restart(stack: Stack) -> Finding:
    """Two of each, as an update does it."""
    stack.all_ready()
    began = time.time()
    broken: list[str] = []
    slowest = 0.0
    with Clients(stack.urls, text="a bird slow", follow=True) as clients:
        time.sleep(1)
        for process in (*stack.gateways, *stack.workers):
            slowest = max(slowest, _replace(stack, process, broken))
        time.sleep(1)
    found = settled(stack, clients.jobs, time.time(), _BACK, created_since=began)
    broken += [*clients.broken, *clients.impolite()]
    if clients.refused:
        broken.append(f"{clients.refused} requests were refused")
    attempts = _attempts(stack, clients.jobs)
    if attempts - {1}:
        broken.append(f"an attempt was counted though nothing crashed: {attempts}")
    note = f"{len(clients.jobs)} jobs followed, slowest end of a process {slowest:.1f} s"
    return found.but(*broken, notes=[note])


def _replace(stack: Stack, process: Process, broken: list[str]) -> float:
    started = time.monotonic()
    status = process.terminate(_ENDS_WITHIN)
    seconds = time.monotonic() - started
    if status:
        broken.append(f"{process.name} ended with status {status}")
    process.start()
    time.sleep(0.5)
    stack.all_ready()
    wait_until(lambda: len(stack.store.live_workers()) >= len(stack.workers), 60, "every worker")
    return seconds


def _attempts(stack: Stack, jobs: Sequence[str]) -> set[int]:
    return {job.attempts for job in map(stack.store.get, jobs) if job}


FAMILY = Family(
    "restarts",
    opened,
    [
        Fault(
            "SIGTERM under load (rolling restart of gateway and worker)",
            "0 failed requests of accepted work",
            rolling_restart,
            _BACK,
            runs=3,
        )
    ],
)
