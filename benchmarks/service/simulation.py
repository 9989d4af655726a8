"""``python -m benchmarks.service.simulation``: many jobs on many workers whose networks only sleep,
beside the arithmetic of docs/scaling.md: how fast they should be done, and what they should cost by
what a few of them cost. Exit status 1 when speed or memory is further off than 15 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.pipelines import SUBJECTS, Subject
from benchmarks.service.operations import Costs, measure
from benchmarks.service.stack import running
from models.tables import markdown_table

_CLIENTS_PER_PICTURE = 4  # of a batch of all workers: one runs, two are looked ahead, one comes
_SAMPLE = 10  # jobs of each client that the arithmetic is based on
_TOLERANCE = 0.15


def arithmetic_rate(subject: Subject, workers: int) -> float:
    """Jobs of one picture per second that the networks can do, in full batches."""
    batch, picture = subject.sleeps or (0.0, 0.0)
    return workers * subject.batch / (batch + picture * subject.batch)


def comparison(
    rate: float, few: Costs, jobs: int, measured_rate: float, many: Costs
) -> dict[str, tuple[float, float]]:
    """By what is compared the arithmetic's number and the simulation's."""
    shares = {
        f"{name}, share of a core": (rate * few.milliseconds[name], measured_rate * used)
        for name, used in many.milliseconds.items()
    }
    traffic = few.received + few.sent, many.received + many.sent
    return {
        "jobs/s": (rate, measured_rate),
        "minutes": (jobs / rate / 60, jobs / measured_rate / 60),
        "Redis memory kept, MB": (few.kept * jobs / 1e6, many.kept * jobs / 1e6),
        "to and from Redis, kB/s": (rate * traffic[0] / 1e3, measured_rate * traffic[1] / 1e3),
        **{name: (a / 1000, b / 1000) for name, (a, b) in shares.items()},
    }


def deviation(numbers: tuple[float, float]) -> float:
    """Of the simulation from the arithmetic, as a share of that."""
    expected, found = numbers
    return found / expected - 1 if expected else 0.0


def simulate(subject: Subject, jobs: int, workers: int) -> dict[str, tuple[float, float]]:
    """See :func:`comparison`; on a service of its own, with its private Valkey."""
    clients = _CLIENTS_PER_PICTURE * subject.batch * workers
    limits = {"MMML_MAX_WAITS": str(2 * clients)}
    with (
        tempfile.TemporaryDirectory(prefix="mmml-bench-") as folder,
        running(Path(folder), subject, workers, **limits) as service,
    ):
        few, _ = measure(service, min(_SAMPLE * clients, jobs // 2), clients)
        many, rate = measure(service, jobs, clients)
    done = jobs // clients * clients
    return comparison(arithmetic_rate(subject, workers), few, done, rate, many)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service.simulation", description=__doc__
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--subject", default="sleep80", choices=("sleep80", "sleep640"))
    given = parser.parse_args(words)
    compared = simulate(SUBJECTS[given.subject], given.jobs, given.workers)
    what = f"{given.jobs:,} jobs, {given.workers} workers"
    rows = (
        (name, *(f"{number:,.3g}" for number in numbers), f"{deviation(numbers):+.0%}")
        for name, numbers in compared.items()
    )
    table = markdown_table([what, "arithmetic", "simulation", "off by"], rows)
    sys.stdout.write(f"{table}\n")
    wanted = "jobs/s", "Redis memory kept, MB"
    return int(any(abs(deviation(compared[name])) > _TOLERANCE for name in wanted))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
