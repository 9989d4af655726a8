"""Faults of Redis and of the way to it, while clients send requests."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.chaos.clients import Clients
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import ends_of, leftovers, settled
from tests.chaos.processes import wait_until
from tests.chaos.stack import LEASE, Stack, running

_BEFORE = 2.0  # seconds of undisturbed requests
_AFTER = 4.0
_DOWN = 3.0  # seconds until a killed Redis is started again
_PAUSE = 20.0
_CUT = 5.0
_DEAF = 45.0  # seconds until everybody has noticed that a connection is dead
_BACK = LEASE + 40.0  # seconds from the end of the fault
_BAR = "0 accepted jobs lost; meanwhile 503 with Retry-After, never hangs > 5 s"


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick, proxied=True)


def under_load(fault: Callable[[Stack], None], needs_refusals: bool) -> Callable[[Stack], Finding]:
    """``fault`` returns when it is over; what is accepted before, meanwhile and after must end
    well.
    """

    def trial(stack: Stack) -> Finding:
        stack.ready()
        began = time.time()
        with Clients(stack.urls, text="a bird slow") as clients:
            time.sleep(_BEFORE)
            fault(stack)
            over = time.time()
            time.sleep(_AFTER)
        found = settled(stack, clients.jobs, over, _BACK, created_since=began)
        broken = clients.impolite()
        if clients.unheard:
            broken.append(f"{clients.unheard} requests were never accepted")
        if needs_refusals and not clients.refused:
            broken.append("no request was refused, so the fault did not strike")
        return found.but(*broken, notes=_notes(stack, clients))

    return trial


def _notes(stack: Stack, clients: Clients) -> list[str]:
    ends, _ = ends_of(stack, clients.jobs, 0)
    return [
        f"{len(clients.jobs)} accepted, {clients.refused} answers 503, slowest "
        f"{clients.slowest:.1f} s, {leftovers(stack, ends)} superfluous runs"
    ]


def killed(stack: Stack) -> None:
    """kill -9, then a start from the append-only file."""
    stack.broker.down()
    time.sleep(_DOWN)
    stack.broker.start()


def paused(stack: Stack) -> None:
    """It keeps its connections and says nothing."""
    stack.broker.send(signal.SIGSTOP)
    time.sleep(_PAUSE)
    stack.broker.send(signal.SIGCONT)


def cut(stack: Stack) -> None:
    """Every connection is reset, and none is taken for a while."""
    assert stack.proxy
    assert stack.proxy.cut()
    time.sleep(_CUT)
    stack.proxy.mend()


def deaf(stack: Stack) -> None:
    """Every connection is dead, and nobody notices; new ones work. Over when a worker takes jobs
    again.
    """
    assert stack.proxy
    assert stack.proxy.deafen()
    time.sleep(5)
    wait_until(lambda: stack.store.live_workers(), _DEAF, "a worker")


FAMILY = Family(
    "broker",
    opened,
    [
        Fault(
            "kill -9 and restart of Redis (AOF) under load",
            _BAR,
            under_load(killed, True),
            _BACK,
            runs=10,
        ),
        Fault("Redis paused 20 s", _BAR, under_load(paused, True), _BACK, runs=3),
        Fault("connection cut", _BAR, under_load(cut, True), _BACK, runs=3),
        Fault(
            "connection dead, and nobody notices", _BAR, under_load(deaf, False), _BACK + 15, runs=2
        ),
    ],
)
