"""What operators do to the queue as a whole."""

from __future__ import annotations

from jobs.job import Status
from jobs.redis_store import JobStore

_PAGE = 500  # jobs


def purge(store: JobStore, owner: str | None, task: str | None, by: str) -> int:
    """Cancel the jobs that wait, of that owner and task if they are given. Returns how many.
    by: who does it, for the list of what operators did.
    """
    ids, count = store.waiting(), 0
    for n in range(0, len(ids), _PAGE):
        for job in store.get_readable(ids[n : n + _PAGE]):
            if owner in (None, job.owner) and task in (None, job.task):
                count += store.cancel(job.id) is Status.canceled
    store.record_action(
        by, "purge", f"{count} jobs of {owner or 'all owners'}, {task or 'all tasks'}"
    )
    return count
