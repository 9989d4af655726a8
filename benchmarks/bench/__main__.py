"""``python -m benchmarks.bench [--only PART …]``: measure, write ``bench.json`` and ``bench.md``;
exit status 0 when every bar holds. ``--quick`` compares a few ratios with those stored instead.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench.bars import verdict
from benchmarks.bench.bundles import bundles
from benchmarks.bench.contest import Length, contest
from benchmarks.bench.contestants import NAMES
from benchmarks.bench.latency import latency
from benchmarks.bench.machine import file_us, machine
from benchmarks.bench.regressions import Baseline, best, guarded_ratios, regressions
from benchmarks.bench.tables import Results
from benchmarks.bench.workers import workers
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.claims import claims
from tests.chaos.processes import ROOT, at_end, end_all

Part = Callable[[Path, int], dict[str, Any]]
_QUICK = ("sleep10", "hard", "demo")
_QUICK_NAMES = ("raw", "service", "litserve", "echo")


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def _subject(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    length = Length(rounds, loads=() if name == "net256" else Length.loads)
    names = NAMES if name == "hard" else tuple(n for n in NAMES if n != "poll")
    return contest(folder, SUBJECTS[name], length, say, names)


PARTS: dict[str, Part] = {
    "sleep10": partial(_subject, "sleep10"),
    "hard": partial(_subject, "hard"),
    "demo": partial(_subject, "demo"),
    "net256": partial(_subject, "net256"),
    "latency": lambda folder, rounds: latency(folder, rounds, say),
    "workers": lambda folder, rounds: workers(folder, rounds, 4, say),
    "bundles": lambda folder, rounds: bundles(folder, 20 * rounds, say),
    "claims": lambda folder, _rounds: claims(folder),
}


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], metavar="PART")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--quick", action="store_true", help="the guard: a few ratios")
    parser.add_argument(
        "--store", action="store_true", help="make the quick ratios the stored ones"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args(words)


def run_bench(given: argparse.Namespace, folder: Path) -> int:
    """All parts that are asked for; each is written as soon as it is there. Their folders are
    erased at the end, as that may cost the next part (see :func:`file_us`).
    """
    results, where = Results(given.results), machine()
    rows: list[dict[str, Any]] = []
    for name in given.only:
        place = folder / name
        place.mkdir()
        about = {**where, "file_us": file_us(folder)}
        rows = results.keep(name, PARTS[name](place, given.rounds), about)
    sys.stdout.write(f"\n{(given.results / 'bench.md').read_text()}\n{verdict(rows)}\n")
    return 0 if all(row["ok"] for row in rows) else 1


def check_regressions(given: argparse.Namespace, folder: Path) -> int:
    """Measure; what seems to have regressed is measured again, and must do so twice."""
    baseline, where = Baseline(given.results / "bench-quick-baseline.json"), machine()
    now = _quick_ratios(folder / "first", _QUICK)
    if given.store:
        baseline.store(now, where)
        return 0
    stored = baseline.ratios()
    worse = regressions(stored, now)
    if worse:
        say("measured again: " + "; ".join(worse))
        again = [name for name in _QUICK if any(text.startswith(name) for text in worse)]
        now = best(now, _quick_ratios(folder / "second", again))
        worse = regressions(stored, now)
    for name, ratio in now.items():
        sys.stdout.write(f"{name}: {ratio:.3f} (stored: {stored.get(name, float('nan')):.3f})\n")
    sys.stdout.write("".join(f"WORSE {text}\n" for text in worse))
    sys.stdout.write(f"bench-quick: {len(stored) - len(worse)}/{len(stored)} ratios hold\n")
    return 1 if worse else 0


def _quick_ratios(folder: Path, names: Sequence[str]) -> Mapping[str, float]:
    folder.mkdir()
    length = Length(rounds=3, seconds=1.5, warm=0.5, loads=())
    with_echo = {"hard": _QUICK_NAMES}
    parts = {
        name: contest(folder, SUBJECTS[name], length, say, with_echo.get(name, _QUICK_NAMES[:3]))
        for name in names
    }
    return guarded_ratios(parts)


def _give_up(_number: int, _frame: object) -> None:
    end_all()
    os._exit(130)


def main(words: Sequence[str]) -> int:
    given = _arguments(words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _give_up)
    folder = Path(tempfile.mkdtemp(prefix="mmml-bench-"))  # short: sockets have short paths
    with at_end(partial(shutil.rmtree, folder, ignore_errors=True)):
        return (check_regressions if given.quick or given.store else run_bench)(given, folder)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
