"""``python -m benchmarks.profile [--against CHECKOUT] [--flame]``: what the service costs for each
job, and where; beside another checkout of it, in turns on the same machine.

Writes ``hot-path.json`` and ``hot-path-table.md`` in ``benchmarks/results/``; with ``--flame`` the
stacks of gateway and worker to ``benchmarks/profiles/``, and whose code they are of to
``hot-path-where.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from benchmarks.chaos.processes import ROOT
from benchmarks.profile.flame import condense, recording, shares
from benchmarks.profile.scenarios import PROCESSES, SCENARIOS, Result, Scenario, measured, middle
from benchmarks.profile.service import running

_RESULTS = ROOT / "benchmarks" / "results"
_PROFILES = ROOT / "benchmarks" / "profiles"
Found = dict[str, dict[str, list[Result]]]  # by scenario and side


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, measured as 'before'")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=1, help="of both sides in turns")
    parser.add_argument("--flame", action="store_true", help="only record stacks with py-spy")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    if given.flame:
        _flames(given.seconds)
        return
    sides = {"before": given.against.resolve()} if given.against else {}
    sides["after"] = ROOT
    found: Found = defaultdict(lambda: defaultdict(list))
    for _ in range(given.rounds):
        for side, root in sides.items():
            with running(root) as service:
                for scenario in SCENARIOS:
                    result = measured(service, scenario, given.seconds)
                    found[scenario.name][side].append(result)
                    sys.stdout.write(f"{side}, {scenario.name}: {_line(scenario, result)}\n")
                    sys.stdout.flush()
    _write(found)


def _line(scenario: Scenario, result: Result) -> str:
    share = f" ({result.rate / scenario.limit:.0%} of the model's limit)" if scenario.wait else ""
    costs = ", ".join(f"{name} {result.costs[name]:.0f}" for name in PROCESSES)
    return (
        f"{result.rate:.0f} jobs/s{share}, p50 {result.latency:.1f} ms, p99 {result.p99:.1f} ms, "
        f"beside the model {result.overhead:.1f} ms, woken after {result.wake:.1f} ms; "
        f"µs a job: {costs}; load {result.load:.0f}"
    )


def _write(found: Found) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    raw = {n: {s: [asdict(r) for r in rs] for s, rs in sides.items()} for n, sides in found.items()}
    text = json.dumps({"machine": machine, "scenarios": raw}, indent=1)
    (_RESULTS / "hot-path.json").write_text(text + "\n")
    (_RESULTS / "hot-path-table.md").write_text(_table(found, machine))


def _table(found: Found, machine: str) -> str:
    head = ["load", "side", "jobs/s", "p50 ms", "p99 ms", *(f"{p} µs" for p in PROCESSES), "sum µs"]
    rows = [head, ["---"] * len(head)]
    for name, sides in found.items():
        for side, results in sides.items():
            one = middle(results)
            numbers = [one.rate, one.latency, one.p99, *one.costs.values(), one.cost]
            rows.append([name, side, *(f"{number:,.0f}" for number in numbers)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    load = max(r.load for sides in found.values() for rs in sides.values() for r in rs)
    note = (
        f"`python -m benchmarks.profile` on {machine}, where up to {load:.0f} processes wanted to "
        "run at a time: processor time for each job, in microseconds, tells the sides apart; "
        "jobs/s and latencies say what was left by the others."
    )
    return "\n".join([note, "", *lines, ""])


def _flames(seconds: float) -> None:
    _PROFILES.mkdir(exist_ok=True)
    with running(ROOT) as service:
        names = ("gateway", "worker")
        files = {name: _PROFILES / f"hot-path-{name}.txt" for name in names}
        measured(service, SCENARIOS[0], 2)
        spies = [recording(service.processes[n].pid, seconds, files[n]) for n in names]
        result = measured(service, SCENARIOS[0], seconds)
        lines = ["| process | whose code | µs a job |", "| --- | --- | ---: |"]
        for name, spy in zip(names, spies, strict=True):
            if spy and spy.wait() == 0:
                for owner, share in shares(files[name]).items():
                    lines.append(f"| {name} | {owner} | {share * result.costs[name]:,.0f} |")
                condense(files[name])
        (_RESULTS / "hot-path-where.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
