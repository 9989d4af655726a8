"""All contestants in turns, several rounds; ratios are taken within a round."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench.contestants import NAMES, Contestant, Peer, Served, contestants
from benchmarks.load import Report
from benchmarks.peers.pipelines import Subject

LOADS = (0.5, 0.8, 0.95)  # of what the raw loop makes
_OPEN = ("service", "litserve")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Length:
    """How long a comparison takes: rounds; seconds of a round, 0 for the subject's own; its
    warm-up; shares of the raw loop's rate that are offered in the open loop.
    """

    rounds: int = 3
    seconds: float = 0.0
    warm: float = 1.0
    loads: tuple[float, ...] = LOADS


def contest(
    folder: Path, subject: Subject, length: Length, say: Say, names: tuple[str, ...] = NAMES
) -> dict[str, Any]:
    """``{"closed": {name: medians}, "ratios": {…}, "costs": {…}, "open": […]}`` of one subject."""
    with contestants(folder, subject, names) as found:
        rounds = [_round(found, subject, length, say) for _ in range(length.rounds)]
        closed = {name: median_report([r[name][0] for r in rounds]) for name in names}
        costs = {name: _median_costs([r[name][1] for r in rounds]) for name in names}
        loads = {load: load * closed["raw"]["rate"] for load in length.loads}
        offered = [_offered(found, subject, length, load, r, say) for load, r in loads.items()]
    reports = [{name: report for name, (report, _) in r.items()} for r in rounds]
    return {"closed": closed, "ratios": ratios(reports), "costs": costs, "open": offered}


def ratios(rounds: Sequence[Mapping[str, Report]]) -> dict[str, float]:
    """Of the service to each other: rate and p95, medians of the ratios within a round."""
    found = {}
    for other in rounds[0]:
        if other in ("service", "poll"):
            continue
        pairs = [(r["service"], r[other]) for r in rounds]
        found[f"rate/{other}"] = statistics.median(a.rate / max(b.rate, 1e-9) for a, b in pairs)
        if other != "raw":
            found[f"p95/{other}"] = statistics.median(a.p95 / b.p95 for a, b in pairs)
    return found


def median_report(reports: Sequence[Report]) -> dict[str, Any]:
    """Value by value, and the sum of failures."""
    names = ("rate", "p50", "p95", "p99", "cpu")
    found: dict[str, Any] = {n: statistics.median(getattr(r, n) for r in reports) for n in names}
    found["failures"] = sum(r.failures for r in reports)
    found["reason"] = next((r.reason for r in reports if r.reason), "")
    return found


def _round(
    found: Mapping[str, Contestant], subject: Subject, length: Length, say: Say
) -> dict[str, tuple[Report, dict[str, float]]]:
    seconds = length.seconds or subject.seconds
    done = {}
    for name, contestant in found.items():
        before = contestant.costs()
        report = contestant.closed(subject.clients, seconds, length.warm)
        used = {k: v - before.get(k, 0.0) for k, v in contestant.costs().items()}
        done[name] = report, {k: 1e6 * v / max(report.total, 1) for k, v in used.items()}
        say(f"{subject.name}: {name} {report.rate:.1f}/s, p95 {report.p95:.1f} ms {report.reason}")
    return done


def _median_costs(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {kind: statistics.median(row[kind] for row in rows) for kind in rows[0]}


def _offered(
    found: Mapping[str, Contestant],
    subject: Subject,
    length: Length,
    load: float,
    rate: float,
    say: Say,
) -> dict[str, Any]:
    seconds = length.seconds or subject.seconds
    row: dict[str, Any] = {"load": load, "offered": rate}
    for name in _OPEN:
        server = found[name]
        assert isinstance(server, Peer | Served)
        report = server.open(rate, seconds, length.warm)
        row[name] = asdict(report)
        say(f"{subject.name}: {name} offered {rate:.0f}/s: {report.rate:.1f}/s, p95 {report.p95}")
    return row
