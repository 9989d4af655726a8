"""``python -m tests.chaos [--quick] [--list] [WORD …]``: inflict the faults whose names
contain one of the words, or all, and write the table.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.families import FAMILIES
from tests.chaos.faults import Tally
from tests.chaos.processes import ROOT, end_all
from tests.chaos.runner import run_all, selected
from tests.chaos.table import Table, verdict


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of faults' or families' names")
    parser.add_argument("--quick", action="store_true", help="fewer trials, shorter load")
    parser.add_argument("--list", action="store_true", help="name the faults and do nothing")
    parser.add_argument("--runs", type=int, default=0, help="trials of each fault")
    parser.add_argument("--lanes", type=int, default=4, help="families at a time")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args(words)


def _give_up(_number: int, _frame: object) -> None:
    end_all()
    os._exit(130)


def main(words: Sequence[str]) -> int:
    """Exit status 0 when every fault that was tried holds."""
    given = _arguments(words)
    families = selected(FAMILIES, given.words)
    if given.list or not families:
        lines = [f"{family.name}: {fault.name}" for family in FAMILIES for fault in family.faults]
        sys.stdout.write("\n".join(lines) + "\n")
        return 0 if given.list else 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _give_up)
    table = Table(given.results)
    order = [fault.name for family in FAMILIES for fault in family.faults]

    def keep(found: Sequence[Tally]) -> None:
        table.merge(found, order, given.quick)

    tallies = run_all(families, given.quick, given.runs, given.lanes, keep)
    sys.stdout.write(f"\n{(table.folder / 'chaos.md').read_text()}\n{verdict(tallies)}\n")
    return 0 if all(tally.ok for tally in tallies) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
