"""What a hostile client costs, and whether others are served meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter

import httpx

from tests.chaos.faults import Finding
from tests.chaos.target import Target

MB = 2**20
_OTHERS = 5.0  # seconds in which everybody else is answered meanwhile
_LONG = 60.0


class Bystander:
    """Somebody else, who asks for their jobs all the time."""

    def __init__(self, target: Target) -> None:
        self.slowest, self.failures, self.count = 0.0, Counter[str](), 0
        self._target, self._stop = target, threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_LONG)

    def _loop(self) -> None:
        with self._target.client(self._target.theirs) as http:
            while not self._stop.wait(0.1):
                started = time.monotonic()
                try:
                    status = str(http.get("/jobs").status_code)
                except httpx.TransportError as error:
                    status = type(error).__name__
                self.count += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                if status != "200":
                    self.failures[status] += 1

    def complaints(self) -> list[str]:
        slow = self.slowest > _OTHERS
        result = [f"somebody else was answered after {self.slowest:.1f} s"] if slow else []
        return result + [f"somebody else was answered {what}" for what in self.failures]


class Watch:
    """What an attack costs the gateway, and what is left of it."""

    def __init__(self, target: Target, memory: int) -> None:
        """``memory``: bytes that it may cost at most."""
        self._target, self._most = target, memory
        self._bystander = Bystander(target)
        self.broken: list[str] = []
        self.notes: list[str] = []

    def __enter__(self) -> Watch:
        self._target.forget_peak()
        self._memory, self._held = self._target.memory(), self._target.connections()
        self._bystander.__enter__()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._bystander.__exit__()
        if kind is None:
            self._look()

    def _look(self) -> None:
        target = self._target
        if not target.alive():
            self.broken.append("the gateway has died")
            return
        cost = target.peak() - self._memory
        self.notes.append(
            f"{cost / MB:.0f} MB at most; others answered within {self._bystander.slowest:.2f} s"
        )
        if cost > self._most:
            self.broken.append(f"it cost {cost / MB:.0f} MB, and {self._most / MB:.0f} may be")
        self.broken += self._bystander.complaints()
        deadline = time.monotonic() + 30
        while target.connections() > self._held + 5 and time.monotonic() < deadline:
            time.sleep(0.2)
        left = target.connections() - self._held
        if left > 5:
            self.broken.append(f"{left} connections are left")
        target.a_job(target.theirs)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.broken.append(otherwise)

    def finding(self) -> Finding:
        self.broken += leaks(self._target, "the log", self._target.log())
        return Finding(broken=tuple(dict.fromkeys(self.broken)), notes=tuple(self.notes))


def leaks(target: Target, where: str, text: str) -> list[str]:
    """What must never be disclosed to anybody."""
    secrets = {
        "a key": target.theirs,
        "the attacker's key": target.mine,
        "a traceback": "Traceback (most recent",
        "a path": str(target.folder),
        "a system file": "root:x:0",
    }
    return [f"{where} holds {what}" for what, text_of in secrets.items() if text_of in text]
