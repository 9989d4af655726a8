"""Clients that never give up: what is refused is sent again under the same Idempotency-Key."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Sequence
from types import TracebackType

import httpx

from tests.chaos.ledger import Answer, post

_TIMEOUT = 60.0  # seconds that a client goes on after the end, until its last request is accepted
_REPEAT = 0.4  # seconds before a refused request is sent again
_FINAL = ("succeeded", "failed", "canceled", "expired")


class Clients:
    """``count`` of them, each sending a request every ``pause`` seconds for as long as the block
    runs. ``follow``: each also waits for the end of its job, over HTTP. A gateway that takes no
    connection is passed over, as a load balancer does.
    """

    def __init__(
        self,
        urls: Sequence[str],
        count: int = 8,
        pause: float = 0.4,
        text: str = "a bird",
        follow: bool = False,
    ) -> None:
        self.answers: list[Answer] = []
        self.jobs: list[str] = []
        self.broken: list[str] = []  # requests for accepted work that were not answered well
        self.unheard = 0  # requests never accepted
        self._urls, self._pause, self._text, self._follow = list(urls), pause, text, follow
        self._next = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT + 40)

    def impolite(self) -> list[str]:
        """Answers that a client can't make sense of, or waits too long for."""
        bad = [a for a in self.answers if not a.polite]
        return list(dict.fromkeys(_describe(a) for a in bad))

    @property
    def slowest(self) -> float:
        return max((a.seconds for a in self.answers), default=0.0)

    @property
    def refused(self) -> int:
        return sum(not a.accepted for a in self.answers)

    def _loop(self) -> None:
        # No connection is kept: one that the server closes while it idles tells nothing.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(timeout=35, limits=limits) as http:
            while not self._stop.is_set():
                job = self._submit(http)
                if job and self._follow:
                    self._until_final(http, job)
                self._stop.wait(self._pause)

    def _submit(self, http: httpx.Client) -> str:
        key, over = uuid.uuid4().hex, None
        while True:
            answer = self._post(http, key)
            if answer.accepted:
                self.jobs.append(answer.job)
                return answer.job
            if self._stop.is_set():
                over = over or time.monotonic() + _TIMEOUT
                if time.monotonic() > over:
                    self.unheard += 1
                    return ""
            time.sleep(_REPEAT)

    def _post(self, http: httpx.Client, key: str) -> Answer:
        for url in self._in_turn():
            answer = post(http, url, key, text=self._text)
            if not answer.problem.startswith("ConnectError"):
                break
        self.answers.append(answer)
        return answer

    def _in_turn(self) -> list[str]:
        """Every gateway, a different one first each time."""
        first = next(self._next) % len(self._urls)
        return self._urls[first:] + self._urls[:first]

    def _until_final(self, http: httpx.Client, job: str) -> None:
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            try:
                answer = http.get(f"{self._in_turn()[0]}/jobs/{job}", params={"wait": 20})
            except httpx.ConnectError:
                time.sleep(0.05)
                continue
            except httpx.TransportError as error:
                self.broken.append(f"a request for a job broke: {error!r}")
                continue
            if answer.status_code != 200:
                self.broken.append(f"a request for a job was answered {answer.status_code}")
            elif answer.json()["status"] in _FINAL:
                return
        self.broken.append("a client did not see the end of its job")


def _describe(answer: Answer) -> str:
    what = f"answered {answer.status}" if answer.status else f"not answered ({answer.problem})"
    return f"a request was {what} after {round(answer.seconds)} s"
