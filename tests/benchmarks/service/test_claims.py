"""The jobs that claims are measured on, and the table of the results."""

from __future__ import annotations

from itertools import islice

from benchmarks.service.claims import SIZES, claim_times, new_jobs, table
from jobs.connections import connect
from jobs.job import Priority
from jobs.redis_store import JobStore
from tests.conftest import private_broker


def test_so_many_jobs_wait_before_and_after() -> None:
    with private_broker() as address:
        client = connect(address)
        found = claim_times(client, jobs=50, owners=5, claims=3)
        assert JobStore(client).load().waiting == 50
        client.close()
    assert list(found) == [str(size) for size in SIZES]
    for times in found.values():
        redis, worker = times["redis"], times["worker"]
        assert 0 < redis["p50"] <= redis["p95"] <= redis["p99"]
        assert redis["p50"] < worker["p50"]


def test_every_owner_has_jobs_of_each_kind() -> None:
    jobs = [new.job for new in islice(new_jobs(5), 50)]
    kinds = {(job.owner, job.priority, job.request["bundle"]) for job in jobs}
    assert len(kinds) == 5 * len(Priority) * 2


def test_the_table_has_a_row_for_each_size_and_queue() -> None:
    times = {clock: {"p50": 0.1, "p95": 0.2, "p99": n} for n, clock in enumerate(("a", "b"), 1)}
    rows = table({"jobs": 100_000, "few": {"1": times}, "many": {"1": times}}).splitlines()
    assert rows[2:] == [
        "| 1 | 0 | 0.10 | 0.20 | 1.00 | 0.10 | 0.20 | 2.00 |",
        "| 1 | 100,000 | 0.10 | 0.20 | 1.00 | 0.10 | 0.20 | 2.00 |",
    ]
    assert rows[0].count("|") == rows[1].count("|") == rows[2].count("|")
