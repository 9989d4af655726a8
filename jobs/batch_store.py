"""Batches in the job store: made, closed and erased here; the scripts that create and end jobs
count them in their batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from jobs.batch import Batch, new_batch_id
from jobs.errors import StoreError, UnreadableRecord
from jobs.records import read_job_or_batch
from jobs.redis_scripts import Scripts, translate_errors
from jobs.store import BatchRefused

_CHUNK = 100  # jobs of one call: a few milliseconds of the server


@translate_errors
class BatchStore:
    """Methods block, and are safe to call from several threads."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._scripts = Scripts(client, prefix)

    def create(
        self, owner: str, webhook: str | None, most: int, most_jobs: int, lifetime: float
    ) -> Batch:
        """An open batch for at most ``most_jobs`` jobs of ``owner``, which may have ``most``
        batches; kept for ``lifetime`` seconds after its last unfinished job has ended. Raises
        BatchRefused.
        """
        batch_id = new_batch_id()
        limits = most, most_jobs, max(int(lifetime), 1)
        answer = self._scripts.move("create_batch", batch_id, owner, *limits, webhook or "")
        reason, _, count = answer.decode().partition(" ")
        if count:
            raise BatchRefused(reason, int(count))
        found = self.get(batch_id)
        if found is None:
            raise StoreError(f"batch {batch_id} has vanished")
        return found

    def get(self, batch_id: str) -> Batch | None:
        fields: Any = self._client.hgetall(f"{self._prefix}job:{batch_id}")
        found = read_job_or_batch(batch_id, fields)
        if isinstance(found, UnreadableRecord):
            raise found
        return found if isinstance(found, Batch) else None

    def members(self, batch_id: str) -> list[str]:
        """Ids of its jobs in the order in which they were accepted, erased ones included."""
        found: Any = self._client.zrange(f"{self._prefix}members:{batch_id}", 0, -1)
        return [job_id.decode() for job_id in found]

    def close(self, batch_id: str) -> bool:
        """It takes no more jobs. False when there is no such batch."""
        return bool(self._scripts.move("close_batch", batch_id, 0))

    def erase(self, batch_id: str) -> None:
        """Close it, forget its webhook, cancel its jobs and have all of them erased, then forget
        it. What a dying process leaves is done by the next call.
        """
        self._scripts.move("close_batch", batch_id, 1)
        for job_ids in chunks(self.members(batch_id)):
            self._scripts.move_all("cancel", [(job_id, ("1",)) for job_id in job_ids])
        self._scripts.move("forget_batch", batch_id)


def chunks(job_ids: Sequence[str]) -> list[Sequence[str]]:
    """A batch's jobs in parts that are read or changed together."""
    return [job_ids[n : n + _CHUNK] for n in range(0, len(job_ids), _CHUNK)]
