"""What operators watch of the job store, read in one round trip."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from jobs.job import Priority

_PRIORITIES = tuple(reversed(Priority))  # as in jobs/scripts/prelude.lua


class WaitingView(BaseModel):
    """Jobs that wait."""

    jobs: int = Field(description="how many")
    oldest_age: float = Field(description="age of the oldest in seconds; 0 of none")


class QueueView(BaseModel):
    """The job store at this moment."""

    waiting: dict[Priority, WaitingView] = Field(
        description="by priority, jobs that a worker could have now"
    )
    all_waiting: WaitingView  # also jobs put off, and those of owners at their max_running
    leased: int = Field(description="jobs that a worker holds")
    suspects: int = Field(description="jobs that died with a worker and wait to run alone")
    delayed: int = Field(description="jobs put off because the storage was unavailable")
    results_due: int = Field(description="jobs that are over for longer than results live")
    webhooks_due: int = Field(description="webhooks to be sent")
    workers: int = Field(description="that are alive")
    used_bytes: int = Field(description="memory that Redis uses")
    limit_bytes: int | None = Field(description="memory that Redis may use; null without a limit")

    @classmethod
    def parse(cls, answer: list[Any]) -> QueueView:
        """From the answer of ``jobs/scripts/gauges.lua``, whose counts stand in the order above."""
        lines, counts = answer
        pairs = zip(lines[::2], lines[1::2], strict=True)
        waiting = [WaitingView(jobs=int(jobs), oldest_age=float(age)) for jobs, age in pairs]
        by_priority = dict(zip(_PRIORITIES, waiting[:-1], strict=True))
        names = list(cls.model_fields)[2:]
        named: dict[str, Any] = dict(zip(names, map(int, counts), strict=True))
        named["limit_bytes"] = named["limit_bytes"] or None
        return cls(waiting=by_priority, all_waiting=waiting[-1], **named)
