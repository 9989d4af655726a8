"""More workers, more jobs."""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bench.contest import Say
from benchmarks.load import loaded
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import running

WORKERS = (1, 4)
_CLIENTS = 32  # for each worker


def workers(folder: Path, rounds: int, seconds: float, say: Say) -> dict[str, Any]:
    """Jobs per second of a pipeline of 20 ms a picture, by number of workers, in turns."""
    subject = SUBJECTS["sleep20"]
    found: dict[int, list[float]] = {count: [] for count in WORKERS}
    with ExitStack() as stack:
        services = {
            count: stack.enter_context(running(folder / f"workers-{count}", subject, count))
            for count in WORKERS
        }
        for _ in range(rounds):
            for count, service in services.items():
                clients = _CLIENTS * count
                report = loaded(service.url, "wait", clients=clients, seconds=seconds)
                found[count].append(report.rate)
                say(f"workers: {count} make {report.rate:.0f}/s {report.reason}")
    rates = {str(count): statistics.median(rows) for count, rows in found.items()}
    pairs = zip(found[WORKERS[0]], found[WORKERS[-1]], strict=True)
    return {"rates": rates, "speedup": statistics.median(b / a for a, b in pairs)}
