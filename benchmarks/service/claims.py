"""``python -m benchmarks.service.claims``: what it costs to claim jobs while many of many owners
wait, and while no others do. Exit status 1 when the p99 of Redis for ``USUAL`` jobs among many is
above ``BAR`` ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import redis

from benchmarks.load.report import percentiles
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import Service
from jobs.connections import connect
from jobs.job import Job, Priority, new_id
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, NewJob
from models.tables import markdown_table
from tests.chaos.processes import at_end, wait_until

USUAL = 16  # jobs that a worker on a CPU has room for
SIZES = (1, 8, USUAL, 32)  # jobs
BAR = 2.0
_LEASE = 3600.0  # seconds: longer than this takes


def new_jobs(owners: int) -> Iterator[NewJob]:
    """Of each owner in turn, of two bundles and every priority, as the gateway records them."""
    priorities = tuple(Priority)
    request = {"text": ["a small bird with a red crown"], "method": "efficient_t2i", "count": 1}
    for number in count():
        turn, owner = divmod(number, owners)
        job = Job(
            id=new_id(),
            task="synthesize",
            owner=f"owner-{owner}",
            request_id=new_id(),
            priority=priorities[turn % len(priorities)],
            request={**request, "bundle": ("cub", "aviary")[turn % 2], "seed": number},
            bundle_sha256=64 * "0",
        )
        yield NewJob(job, start_within=_LEASE, max_unfinished=500)


def claim_times(client: redis.Redis, jobs: int, owners: int, claims: int = 500) -> dict[str, Any]:
    """Milliseconds by size of the claim: ``redis``, and ``worker`` until it has read the records.
    Others wait all the time, ``jobs`` of them, as so many come before each claim as it takes.
    """
    store, coming = JobStore(client), new_jobs(owners)
    for start in range(0, jobs, 200):
        store.create_all([*islice(coming, min(200, jobs - start))])
    # Beside its work it may still compact the file that it appends all of this to.
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 60, "quiet")
    client.config_set("slowlog-log-slower-than", 0)
    found: dict[str, Any] = {}
    for size in SIZES:
        pairs = []
        for number in range(claims):
            store.create_all([*islice(coming, size)])
            request = ClaimRequest(size, size, lowest_first=number % 10 == 9)
            pairs.append(_time_claim(client, store, request))
        servers, workers = zip(*pairs, strict=True)
        found[str(size)] = {"redis": percentiles(servers), "worker": percentiles(workers)}
    return found


def _time_claim(client: redis.Redis, store: JobStore, request: ClaimRequest) -> list[float]:
    began = time.perf_counter()
    claimed = store.claim(new_id(), request, _LEASE)
    seconds = time.perf_counter() - began
    (newest,) = client.slowlog_get(1)
    assert len(claimed.jobs) == request.jobs
    return [newest["duration"] / 1000, 1000 * seconds]


def claims(folder: Path, jobs: int = 100_000, owners: int = 1000) -> dict[str, Any]:
    """:func:`claim_times` where ``jobs`` wait, and where none do; each on a Valkey of its own."""
    found: dict[str, Any] = {"jobs": jobs, "owners": owners}
    for name, waiting in (("few", 0), ("many", jobs)):
        service = Service(folder / name, SUBJECTS["sleep10"])
        with at_end(service.end):
            service.start_broker()
            found[name] = claim_times(connect(service.redis_url), waiting, owners)
    return found


def table(found: Mapping[str, Any]) -> str:
    """A row for each size of a claim, while few wait and while many do."""
    clocks = [f"{who}: {p} ms" for who in ("Redis", "worker") for p in ("p50", "p95", "p99")]
    rows: list[list[str]] = []
    for name, waiting in (("few", 0), ("many", found["jobs"])):
        for size, times in found[name].items():
            cells = (f"{value:.2f}" for clock in times.values() for value in clock.values())
            rows.append([size, f"{waiting:,}", *cells])
    return markdown_table(["jobs", "others that wait", *clocks], rows)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.claims")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--owners", type=int, default=1000)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="mmml-bench-") as folder:
        found = claims(Path(folder), given.jobs, given.owners)
    sys.stdout.write(f"{table(found)}\n")
    return int(found["many"][str(USUAL)]["redis"]["p99"] > BAR)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
