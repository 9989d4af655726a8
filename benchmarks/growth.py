"""How a request's cost grows with the number of jobs that wait: ``python -m benchmarks.growth``.

A gateway and a broker without any worker are filled step by step. At each step a few hundred jobs
are submitted, polled and canceled over HTTP; what counts is processor time, of the gateway and of
the broker, since a busy machine changes it least. Writes ``benchmarks/results/growth.{json,md}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from app.steward.recover import Reconciler
from benchmarks.chaos.processes import ROOT
from benchmarks.profile.clients import Connection, body
from benchmarks.profile.service import Service, running
from jobs.job import Job, new_id
from jobs.redis_store import RedisJobStore, connect
from jobs.store import NewJob, Wanted

DEPTHS = (0, 1_000, 10_000, 100_000)
_REQUESTS = 150  # of each kind, at each depth
_REPEATS = 3  # of which the cheapest counts: the others were disturbed
_OWNERS = 1000
_CLAIMS = 200  # of 32 jobs each
_CLAIM_BAR = 2.0  # milliseconds
_MUCH = 1.5  # times as much as with an empty queue: what is called flat on a busy machine


Ask = Callable[[Connection, int], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True)
class Cost:
    """Of one request: microseconds of gateway and broker, milliseconds until its answer."""

    gateway: float
    valkey: float
    latency: float

    @property
    def total(self) -> float:
        return self.gateway + self.valkey


@dataclass(frozen=True)
class Step:
    """``bytes_per_job``: of the broker's memory, by a waiting job; ``round``: milliseconds of the
    steward's own in a round that finds nothing due.
    """

    depth: int
    submit: Cost
    poll: Cost
    cancel: Cost
    position: float  # microseconds of the broker for a place in the queue
    claim: float  # milliseconds of the broker for 32 jobs, all but the slowest in a hundred
    bytes_per_job: float
    round: float


class Bench:
    """A service without workers, and the ids of the jobs that wait there."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = connect(service.redis_url, 60)
        self.store = RedisJobStore(self.client)
        self.waiting: list[str] = []
        self._seed = 0

    def fill(self, depth: int) -> float:
        """Let so many jobs wait; returns bytes for each that was added."""
        before, start = len(self.waiting), self._memory()
        while len(self.waiting) < depth:
            jobs = [self._job() for _ in range(min(200, depth - len(self.waiting)))]
            self.store.create_all([NewJob(job, start_within=36_000) for job in jobs])
            self.waiting += [job.id for job in jobs]
        added = len(self.waiting) - before
        return (self._memory() - start) / added if added else 0.0

    def _memory(self) -> int:
        return int(self.client.info("memory")["used_memory"])  # type: ignore[index]

    def _job(self) -> Job:
        self._seed += 1
        request = {
            "text": "this bird has a red crown, a yellow belly and blue wings",
            "seed": self._seed, "count": 1, "bundle": "null", "method": "fake", "format": "png",
        }  # fmt: skip
        owner = f"o{self._seed % _OWNERS}"
        return Job(id=new_id(), task="synthesize", owner=owner, request=request)

    def step(self, depth: int) -> Step:
        """Fill up and measure."""
        weight = self.fill(depth)
        some = random.Random(depth)  # noqa: S311 (a sample that can be repeated)
        submit = self._measured(self._submit)
        ids = some.choices(self.waiting, k=_REQUESTS)
        poll = self._measured(lambda line, n: line.ask("GET", f"/jobs/{ids[n]}"))
        gone = some.sample(self.waiting, _REPEATS * _REQUESTS)
        turn = iter(gone)
        cancel = self._measured(lambda line, _: line.ask("POST", f"/jobs/{next(turn)}/cancel"))
        self.waiting = sorted(set(self.waiting) - set(gone))
        claim = self._claim()
        place, checked = self._position(ids), self._round()
        return Step(depth, submit, poll, cancel, place, claim, weight, checked)

    async def _submit(self, line: Connection, number: int) -> tuple[int, bytes]:
        status, answer = await line.ask("POST", "/synthesize", body(number, "a bird"))
        self.waiting.append(json.loads(answer)["id"])
        return status, answer

    def _measured(self, ask: Ask) -> Cost:
        costs = [self._once(ask) for _ in range(_REPEATS)]
        return min(costs, key=lambda cost: cost.total)

    def _once(self, ask: Ask) -> Cost:
        latencies: list[float] = []

        async def run() -> None:
            line = await Connection.to(self.service.port)
            for number in range(_REQUESTS):
                started = time.perf_counter()
                status, answer = await ask(line, number)
                latencies.append((time.perf_counter() - started) * 1000)
                if status not in (200, 202):
                    raise RuntimeError(f"{status}: {answer[:300]!r}")
            line.close()

        before = self.service.seconds()
        asyncio.run(run())
        after = self.service.seconds()
        used = {name: (after[name] - before[name]) / _REQUESTS * 1e6 for name in after}
        return Cost(used["gateway"], used["valkey"], median(latencies))

    def _position(self, ids: Sequence[str]) -> float:
        self.client.config_resetstat()
        for job_id in ids:
            self.store.positions([job_id])
        stats = self.client.info("commandstats")
        return float(stats["cmdstat_evalsha"]["usec_per_call"])  # type: ignore[index]

    def _claim(self) -> float:
        """The slowest but one in a hundred, by the broker's own clock."""
        self.client.config_set("slowlog-log-slower-than", 0)
        self.client.config_set("slowlog-max-len", 4 * _CLAIMS)
        times: list[int] = []
        for _ in range(_CLAIMS):
            self.client.slowlog_reset()
            held = self.store.claim(new_id(), Wanted(32, 32), 600).jobs
            times += [
                entry["duration"]
                for entry in self.client.slowlog_get(10)
                if entry["command"].upper().startswith(b"EVALSHA")
            ]
            self.store.release_all([(c.job.id, c.token) for c in held])
        self.client.config_set("slowlog-log-slower-than", 10_000)
        return sorted(times)[int(0.99 * len(times))] / 1000

    def _round(self) -> float:
        """Of a reconciler that finds nothing to do."""
        started = time.process_time()
        Reconciler(self.store).round()
        return (time.process_time() - started) * 1000


def main() -> int:
    """Exit status 1 when something is not flat."""
    with running(ROOT, workers=0) as service:
        bench = Bench(service)
        bench.step(0)  # warms everything up
        steps = []
        for depth in DEPTHS:
            steps.append(bench.step(depth))
            sys.stdout.write(f"{steps[-1]}\n")
            sys.stdout.flush()
    worst = {name: _growth(steps, name) for name in ("submit", "poll", "cancel")}
    _write(steps, worst)
    flat = all(growth < _MUCH for growth in worst.values())
    return 0 if flat and max(step.claim for step in steps) <= _CLAIM_BAR else 1


def _growth(steps: Sequence[Step], name: str) -> float:
    """Of the cost, from the emptiest queue to the longest."""
    first, last = getattr(steps[0], name), getattr(steps[-1], name)
    return float(last.total / first.total)


def _write(steps: Sequence[Step], worst: dict[str, float]) -> None:
    folder = ROOT / "benchmarks" / "results"
    raw = {"steps": [asdict(step) for step in steps], "growth": worst}
    (folder / "growth.json").write_text(json.dumps(raw, indent=1) + "\n")
    (folder / "growth.md").write_text(_table(steps, worst))


def _table(steps: Sequence[Step], worst: dict[str, float]) -> str:
    kinds = ("submit", "poll", "cancel")
    head = [
        "waiting", *(f"{kind} µs (broker)" for kind in kinds), "place µs", "claim p99 ms",
        "bytes a job", "steward's round ms",
    ]  # fmt: skip
    rows = [head, ["---:"] * len(head)]
    for step in steps:
        costs = [getattr(step, kind) for kind in kinds]
        rows.append([
            f"{step.depth:,}", *(f"{c.total:,.0f} ({c.valkey:,.0f})" for c in costs),
            f"{step.position:.1f}", f"{step.claim:.2f}", f"{step.bytes_per_job:,.0f}",
            f"{step.round:,.0f}",
        ])  # fmt: skip
    told = ", ".join(f"{name} {growth:.2f}×" for name, growth in worst.items())
    return "\n".join([
        f"`python -m benchmarks.growth` on {platform.machine()}, {os.cpu_count()} cores: processor "
        "time of gateway and broker for one request, by the number of jobs that wait; the broker's "
        f"own time for a place in the queue, and for a claim of 32 jobs of {_OWNERS:,} owners "
        "(99 % are faster); its memory for a waiting job; one round of the steward.",
        "", *("| " + " | ".join(row) + " |" for row in rows), "",
        f"From {steps[0].depth:,} to {steps[-1].depth:,}: {told}; up to {_MUCH}× is called flat.",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
