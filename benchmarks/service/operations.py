"""``python -m benchmarks.service.operations``: what one job costs Redis, gateway and worker when it
comes alone and when many come at a time; prints the tables of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import uvloop

from benchmarks.load.connections import Server
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import Service, running
from jobs.connections import connect
from models.tables import markdown_table

_SUBJECT = "hard"  # a pipeline that sleeps, so that only the service itself costs anything
_BUSY = 0.6  # share of its processor that a process may use, so that queues stay short
_RATES = (10, 100, 1_000, 10_000)  # jobs per second


@dataclass(frozen=True)
class Costs:
    """Of one job: calls of Redis by clients and commands within them, bytes to and from Redis,
    bytes that stay in its memory until the result expires, processor milliseconds by process.
    """

    calls: float
    commands: float
    received: float
    sent: float
    kept: float
    milliseconds: Mapping[str, float]


def _counters(client: redis.Redis) -> dict[str, float]:
    stats: dict[str, Any] = client.info("stats")
    memory: dict[str, Any] = client.info("memory")
    commands: dict[str, Any] = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in commands.items()}
    return {
        "calls": calls.get("evalsha", 0) + calls.get("eval", 0),
        "commands": sum(calls.values()),
        "received": stats["total_net_input_bytes"],
        "sent": stats["total_net_output_bytes"],
        "kept": memory["used_memory"],
    }


async def _submit(url: str, jobs: int, clients: int) -> None:
    """So many jobs, of each client one after the other, each waited for."""
    server = Server(url)

    async def one_by_one(count: int) -> None:
        while count:
            # The gateway closes idle connections after five seconds; a busy machine may be as late.
            with suppress(ConnectionResetError):
                answer = await server.post("/synthesize?wait=30", {"text": "a red bird"})
                assert json.loads(answer.body)["status"] == "succeeded", answer.body
                count -= 1

    await asyncio.gather(*(one_by_one(jobs // clients) for _ in range(clients)))
    server.close()


def measure(service: Service, jobs: int, clients: int) -> tuple[Costs, float]:
    """Costs of a job, and the jobs per second of this machine meanwhile."""
    client = connect(service.redis_url)
    uvloop.run(_submit(service.url, 2 * clients, clients))  # everything is warm
    before, used, began = _counters(client), service.costs(), time.monotonic()
    uvloop.run(_submit(service.url, jobs, clients))
    seconds = time.monotonic() - began
    after, then = _counters(client), service.costs()
    client.close()
    each = {name: (after[name] - before[name]) / jobs for name in before}
    milliseconds = {name: 1000 * (then[name] - used[name]) / jobs for name in used}
    return Costs(**each, milliseconds=milliseconds), jobs / seconds


def cost_table(measured: Mapping[str, tuple[Costs, float]]) -> str:
    rows: dict[str, Callable[[Costs], str]] = {
        "calls of scripts": lambda c: f"{c.calls:.1f}",
        "Redis commands, those in scripts counted": lambda c: f"{c.commands:.0f}",
        "bytes to Redis": lambda c: f"{c.received:,.0f}",
        "bytes from Redis": lambda c: f"{c.sent:,.0f}",
        "bytes kept in Redis until it expires": lambda c: f"{c.kept:,.0f}",
    }
    columns = [f"{name} ({rate:.0f} jobs/s)" for name, (_, rate) in measured.items()]
    costs = [found for found, _ in measured.values()]
    cells = [[name, *map(text, costs)] for name, text in rows.items()]
    for name in ("broker", "gateway", "worker", "reconciler"):
        times = (f"{found.milliseconds[name]:.2f} ms" for found in costs)
        cells.append([f"processor time, {name}", *times])
    return markdown_table(["a job costs", *columns], cells)


def size_table(costs: Costs) -> str:
    """How many of each at ``_BUSY``; a worker beside its networks."""
    head = ["jobs/s", "Redis", "gateways", "workers", "Redis memory for a day", "to and from Redis"]
    cells = []
    for rate in _RATES:
        needed = (
            f"{max(rate * costs.milliseconds[name] / 1000 / _BUSY, 0.01):.2f}"
            for name in ("broker", "gateway", "worker")
        )
        memory, traffic = rate * 86_400 * costs.kept, rate * (costs.received + costs.sent)
        sums = f"{memory / 1e9:,.0f} GB", f"{traffic / 1e6:,.1f} MB/s"
        cells.append([f"{rate:,}", *needed, *sums])
    return markdown_table(head, cells)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.operations")
    parser.add_argument("--jobs", type=int, default=3200)
    given = parser.parse_args(words)
    with (
        tempfile.TemporaryDirectory(prefix="mmml-bench-") as folder,
        running(Path(folder), SUBJECTS[_SUBJECT]) as service,
    ):
        measured = {
            "one at a time": measure(service, given.jobs // 8, 1),
            "64 at a time": measure(service, given.jobs, 64),
        }
    sizes = size_table(measured["64 at a time"][0])
    sys.stdout.write(f"{cost_table(measured)}\n\n{sizes}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
