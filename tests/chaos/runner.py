"""Runs families of faults: several at a time, those that measure speed alone."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.faults import Family, Fault, Finding, Tally
from tests.chaos.processes import at_end
from tests.chaos.stack import Stack


def selected(families: Sequence[Family[Any]], words: Sequence[str]) -> list[Family[Any]]:
    """The families with the faults whose name, or whose family's name, contains a word; all without
    words.
    """

    def wanted(family: Family[Any], fault: Fault[Any]) -> bool:
        names = f"{family.name}\n{fault.name}".lower()
        return not words or any(word.lower() in names for word in words)

    kept = [replace(f, faults=[x for x in f.faults if wanted(f, x)]) for f in families]
    return [family for family in kept if family.faults]


def run_all(
    families: Sequence[Family[Any]],
    quick: bool,
    runs: int,
    lanes: int,
    done: Callable[[list[Tally]], None] = lambda _: None,
) -> list[Tally]:
    """Tallies in the order of the families. ``runs``: trials of each fault, 0 for its own number;
    ``lanes``: families at a time; ``done`` gets those of each family as soon as it has ended.
    """
    lock = threading.Lock()
    folder = Path(tempfile.mkdtemp(prefix="mmml-chaos-"))  # short: sockets have short paths
    with at_end(partial(shutil.rmtree, folder, ignore_errors=True)):
        found: dict[str, list[Tally]] = {}

        def run(family: Family[Any]) -> None:
            found[family.name] = run_family(family, folder, quick, runs)
            with lock:
                done(found[family.name])

        with ThreadPoolExecutor(lanes) as pool:
            list(pool.map(run, [f for f in families if not f.alone]))
        for family in families:
            if family.alone:
                run(family)
        return [tally for family in families for tally in found[family.name]]


def run_family(family: Family[Any], folder: Path, quick: bool, runs: int) -> list[Tally]:
    """Inflict each fault as often as it should be; after a trial that failed, on a new service."""
    tallies = [Tally(fault) for fault in family.faults]
    number = 0
    with ExitStack() as opened:
        service: Any = None
        for tally in tallies:
            for turn in range(runs or _runs(tally.fault, quick)):
                if service is None:
                    number += 1
                    place = folder / f"{family.name.replace(' ', '-')}-{number}"
                    service = _opened(family, place, quick, opened, tally)
                    if service is None:
                        break
                finding = _trial(tally.fault, service)
                tally.findings.append(finding)
                _tell(tally, turn, finding)
                if finding.lost or finding.broken:
                    _show_logs(service)
                    opened.close()
                    service = None
    return tallies


def _runs(fault: Fault[Any], quick: bool) -> int:
    return fault.quick_runs if quick else fault.runs


def _opened(
    family: Family[Any], folder: Path, quick: bool, opened: ExitStack, tally: Tally
) -> Any | None:
    folder.mkdir(parents=True)
    try:
        return opened.enter_context(family.opened(folder, quick))
    except Exception as error:  # reported as a fault that does not hold
        finding = Finding(broken=(f"it could not be tried: {error}",))
        tally.findings.append(finding)
        _tell(tally, 0, finding)
        return None


def _trial(fault: Fault[Any], service: Any) -> Finding:
    try:
        return fault.trial(service)
    except Exception as error:  # the other faults are to be tried all the same
        traceback.print_exc()
        return Finding(broken=(f"{type(error).__name__}: {error}",))


def _tell(tally: Tally, turn: int, finding: Finding) -> None:
    words = [
        time.strftime("%H:%M:%S"),
        f"{tally.fault.name} #{turn + 1}: {finding.seconds:.1f} s",
        f"lost {finding.lost}, duplicated {finding.duplicated}",
        *finding.broken,
        *finding.notes,
    ]
    sys.stdout.write("; ".join(words) + "\n")
    sys.stdout.flush()


def _show_logs(service: Any) -> None:
    stack = getattr(service, "stack", service)
    if isinstance(stack, Stack):
        sys.stdout.write(stack.tail() + "\n")
