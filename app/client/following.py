"""A job's events, over connections that may break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from httpx_sse import ServerSentEvent

from app.client.errors import MmmlError
from app.client.patience import Patience
from app.client.requests import Call

PAUSE = 0.5  # seconds before a stream that ended early is taken up again


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. ``kind``: status, position, progress or final; the data of
    ``final`` is the job.
    """

    kind: str
    data: Mapping[str, Any]
    id: str = ""


class Following:
    """What was heard so far, so that a broken stream is taken up where it was. ``over``: nothing
    can follow.
    """

    def __init__(self, job_id: str, patience: float) -> None:
        self._path, self._patience = f"/jobs/{job_id}/events", Patience(patience)
        self._last = ""
        self.over = False

    def call(self) -> Call:
        """The request for what was not heard yet."""
        headers = {"Last-Event-ID": self._last} if self._last else {}
        return Call("GET", self._path, {"headers": headers})

    def heard(self, sent: ServerSentEvent) -> Event | None:
        """None for what only keeps the connection open."""
        if not sent.data:
            return None
        self._patience.rewarded()
        self._last = sent.id or self._last
        self.over = sent.event == "final"
        return Event(sent.event, json.loads(sent.data), sent.id)

    def pause(self, error: MmmlError) -> float:
        """Seconds until the next try. Raises ``error`` when there is none."""
        return self._patience.pause(error)
