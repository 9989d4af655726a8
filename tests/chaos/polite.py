"""A polite caller beside a hostile one, who has a process of its own: how long the polite one waits
for its jobs to be accepted, alone and meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.steady_load import percentile
from tests.chaos.target import Target

_PAUSE = 0.15  # seconds between two jobs
_POLITE_ADDRESS = "127.0.0.2"  # where there are no keys, an address is a caller
_NICENESS = 10  # a hostile client has a machine of its own: it must not take this one's time


@dataclass
class Polite:
    """Sends ``requests`` in turn, and cancels each job. ``seconds``: how long each took."""

    target: Target
    requests: Sequence[tuple[str, dict[str, Any]]]
    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def send_for(self, seconds: float) -> float:
        """The 95th percentile of that time, in seconds."""
        deadline, self.seconds = time.monotonic() + seconds, []
        with self._client() as http:
            while time.monotonic() < deadline:
                for path, request in self.requests:
                    self._send(http, path, request)
                    time.sleep(_PAUSE)
        return percentile(self.seconds, 0.95)

    def _client(self) -> httpx.Client:
        key = self.target.theirs
        return httpx.Client(
            base_url=self.target.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=60,
            transport=httpx.HTTPTransport(local_address=_POLITE_ADDRESS),
        )

    def _send(self, http: httpx.Client, path: str, request: dict[str, Any]) -> None:
        started = time.monotonic()
        try:
            answer = http.post(path, **request)
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return
        finally:
            self.seconds.append(time.monotonic() - started)
        if answer.status_code == 202:
            http.delete(answer.headers["Location"])
        else:
            self.refused[f"{answer.status_code} {answer.text[:120]}"] += 1


@contextmanager
def hostile(attack: Callable[[], None]) -> Iterator[None]:
    """``attack`` runs during the block, in another process."""

    def run() -> None:
        os.nice(_NICENESS)
        threading.Timer(120, os._exit, (1,)).start()  # whatever happens to this program
        attack()

    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    try:
        time.sleep(1.0)
        yield
    finally:
        process.kill()
        process.join()
