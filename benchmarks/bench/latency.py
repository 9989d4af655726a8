"""What one client feels: idle, waking up, and submitting."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.bench.contest import Say
from benchmarks.load import loaded
from benchmarks.load.connections import Server
from benchmarks.load.exchanges import checked, fields, wait
from benchmarks.load.report import percentiles
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import running

MODEL_MS = 10.0  # of one picture of the subject that sleeps
OFFERED = 300.0  # submissions per second
_WARM = 10


def latency(folder: Path, rounds: int, say: Say) -> dict[str, Any]:
    """Milliseconds over the model, milliseconds from a job's end to its client, submissions per
    second. The service is idle first; then its queue grows, as one worker makes 100 pictures a
    second.
    """
    with running(folder / "latency", SUBJECTS["sleep10"]) as service:
        idle = asyncio.run(_idle(service.url, 60 * rounds))
        woken = asyncio.run(_woken(service.url, 60 * rounds))
        say(f"latency: idle p50 {idle['p50']:.1f} ms over the model, woken p95 {woken['p95']:.1f}")
        offered = [
            loaded(service.url, "submit", offered=OFFERED, seconds=3, warm=1) for _ in range(rounds)
        ]
        most = [loaded(service.url, "submit", clients=8, seconds=3) for _ in range(rounds)]
    found = {
        "idle": idle,
        "woken": woken,
        "submit_p99": statistics.median(r.p99 for r in offered),
        "submit_offered": statistics.median(r.rate for r in offered),
        "submit_rate": statistics.median(r.rate for r in most),
        "submit_failures": sum(r.failures for r in (*offered, *most)),
        "reason": next((r.reason for r in (*offered, *most) if r.reason), ""),
    }
    result = f"{found['submit_rate']:.0f}/s, p99 {found['submit_p99']:.1f} ms {found['reason']}"
    say(f"latency: submit {result}")
    return found


async def _idle(url: str, count: int) -> dict[str, float]:
    """One request after the other: how much longer than the model each takes."""
    server, times = Server(url), []
    for number in range(count + _WARM):
        began = time.perf_counter()
        await wait(server, fields(number))
        times.append(1000 * (time.perf_counter() - began) - MODEL_MS)
    return percentiles(times[_WARM:])


async def _woken(url: str, count: int) -> dict[str, float]:
    """From the end of a job, as its record has it, to its client's having read the answer."""
    server, times = Server(url), []
    for number in range(count + _WARM):
        answer = checked(await server.post("/synthesize?wait=60", fields(number)), 200)
        now = time.time()
        ended = datetime.fromisoformat(json.loads(answer.body)["finished_at"]).timestamp()
        times.append(1000 * (now - ended))
    return percentiles(times[_WARM:])
