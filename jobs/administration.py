"""What operators do to the queue as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from jobs.job import Status
from jobs.redis_store import JobStore

_PAGE = 500  # jobs


class UsageView(BaseModel):
    """Jobs of one owner."""

    owner: str = Field(description="id of a key; empty for jobs of a time without keys")
    jobs: int = Field(description="created within the hours, and not erased")
    unfinished: int = Field(description="that wait or run")


def usage(store: JobStore, owners: Sequence[str], seconds: float) -> list[UsageView]:
    """Of each owner, the busiest first. ``seconds``: how far back."""
    counts = store.count_jobs(owners, seconds)
    found = [
        UsageView(owner=owner, jobs=jobs, unfinished=unfinished)
        for owner, (jobs, unfinished) in zip(owners, counts, strict=True)
    ]
    return sorted(found, key=lambda u: (-u.jobs, u.owner))


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
