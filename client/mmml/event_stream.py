"""A job's events, received over connections that may break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from httpx_sse import ServerSentEvent

from mmml.errors import MmmlError
from mmml.requests import ApiRequest
from mmml.retry import RetryPolicy

RECONNECT_DELAY = 0.5  # seconds before a stream that ended early is requested again


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. ``kind``: status, position, progress or final; the data of
    ``final`` is the job.
    """

    kind: str
    data: Mapping[str, Any]
    id: str = ""


class EventCursor:
    """The position in a job's event stream, from which a broken connection is resumed.
    ``finished``: nothing can follow.
    """

    def __init__(self, job_id: str, retry_for: float) -> None:
        self._path, self._retries = f"/jobs/{job_id}/events", RetryPolicy(retry_for)
        self._last_id = ""
        self.finished = False

    def request(self) -> ApiRequest:
        """The request for the events that were not received yet."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        return ApiRequest("GET", self._path, {"headers": headers})

    def receive(self, sent: ServerSentEvent) -> Event | None:
        """The event; None for what only keeps the connection open."""
        if not sent.data:
            return None
        self._retries.reset()
        self._last_id = sent.id or self._last_id
        self.finished = sent.event == "final"
        return Event(sent.event, json.loads(sent.data), sent.id)

    def delay_after(self, error: MmmlError) -> float:
        """Seconds until the next try. Raises ``error`` when there is none."""
        return self._retries.delay_after(error)
