"""What happens to a job, in order: the events that its followers receive.

Every change is published at once, as the id of the job; followed by its status, after a space, when
the job is over. Jobs that change together are lines of one publication.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from jobs.job import Status

CANCEL_REQUESTED = "cancel_requested"
MAX_EVENTS = 64  # of each job; the newest, so the last one is always among them
STREAM_START = "0-0"  # before every event

_ID = re.compile(r"^(\d{1,15})-(\d{1,15})$", re.ASCII)


class JobEvent(BaseModel):
    """``status`` is a :class:`Status` or :data:`CANCEL_REQUESTED`; "" when only ``done`` of
    ``total`` pictures changed. Ids look like ``1764000000000-0`` and grow.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    status: str = ""
    done: int | None = None
    total: int | None = None

    @property
    def final(self) -> bool:
        """The job is over."""
        return self.status in FINAL


FINAL = frozenset(status.value for status in Status if status.final)


def event_order(event_id: str) -> tuple[int, int] | None:
    """A key to sort ids by; None when it is no event's id."""
    found = _ID.match(event_id)
    return (int(found[1]), int(found[2])) if found else None
