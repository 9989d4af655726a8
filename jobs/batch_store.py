"""Batches in the job store: see :class:`jobs.batch.Batch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import redis

from jobs.batch import BATCH_PREFIX, Batch
from jobs.errors import UnreadableRecord
from jobs.job import new_id
from jobs.records import read_job_or_batch
from jobs.redis_scripts import Scripts, translate_errors
from jobs.store import OverQuota, Quota

_CHUNK = 100  # jobs of one call: a few milliseconds of the server


@translate_errors
class BatchStore:
    """Methods block, and are safe to call from several threads."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._scripts = Scripts(client, prefix)

    def create(self, owner: str, url: str, most: int, most_jobs: int, lifetime: float) -> str:
        """The id of an open batch for at most ``most_jobs`` jobs of ``owner``, who may have
        ``most`` batches; kept for ``lifetime`` seconds after its last unfinished job has ended.
        ``url``: its webhook, or empty. Raises OverQuota.
        """
        batch_id = BATCH_PREFIX + new_id()
        limits = most, most_jobs, max(int(lifetime), 1)
        count = self._scripts.move("create_batch", batch_id, owner, *limits, url)
        if count is not None:
            raise OverQuota(Quota.batches, count)
        return batch_id

    def get(self, batch_id: str) -> Batch | None:
        fields: Any = self._client.hgetall(f"{self._prefix}job:{batch_id}")
        found = read_job_or_batch(batch_id, fields)
        if isinstance(found, UnreadableRecord):
            raise found
        return found if isinstance(found, Batch) else None

    def members(self, batch_id: str) -> Iterator[Sequence[str]]:
        """Ids of its jobs in the order in which they were accepted, some at a time; erased ones,
        too.
        """
        found: Any = self._client.zrange(f"{self._prefix}members:{batch_id}", 0, -1)
        ids = [job_id.decode() for job_id in found]
        return (ids[n : n + _CHUNK] for n in range(0, len(ids), _CHUNK))

    def close(self, batch_id: str) -> None:
        """It takes no more jobs."""
        self._scripts.move("close_batch", batch_id)

    def erase(self, batch_id: str) -> None:
        """Close it, forget its webhook, cancel its jobs and have them erased, then forget it. What
        a dying process leaves is done by the next call.
        """
        self._scripts.move("close_batch", batch_id, "webhook")
        for job_ids in self.members(batch_id):
            self._scripts.move_all("cancel", [(job_id, ("1",)) for job_id in job_ids])
        self._scripts.move("forget_batch", batch_id)
