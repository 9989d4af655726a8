"""What a webhook says, and with which secret it is signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.gateway.views import job_view
from app.webhooks.signing import derived, new_secret
from jobs.job import Job, Status
from jobs.store import JobStore


def message_id(job: Job) -> str:
    """The same for every attempt, so that a receiver can tell a message it has from a new one."""
    return f"msg_{job.id}"


def body(job: Job) -> bytes:
    """``{"type": "job.succeeded", "timestamp": …, "data": …}``; data is the job as ``GET`` shows
    it, or little more than its id when it has expired meanwhile.
    """
    assert job.webhook is not None  # noqa: S101 (only such jobs are announced)
    ended = datetime.fromtimestamp(job.finished_at or job.created_at, UTC)
    told = {"type": f"job.{job.webhook.event}", "timestamp": ended.isoformat(), "data": _data(job)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _data(job: Job) -> dict[str, Any]:
    if job.status is Status.expired:
        return {"id": job.id, "task": job.task, "status": job.status}
    return job_view(job, None).model_dump(mode="json", exclude={"webhook"})


def signing_secrets(configured: str, store: JobStore, owner: str = "") -> Sequence[str]:
    """The secrets of ``owner``, the present one first: those of the settings, else one that is
    drawn once and kept in the job store.
    """
    secrets = configured.split() or [store.service_secret("webhooks", new_secret())]
    return [derived(secret, owner) for secret in secrets]
