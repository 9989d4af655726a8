"""Whether LitServe would do better with another window than the one that it is compared with."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bench.contest import Say
from benchmarks.bench.contestants import peer
from benchmarks.peers.pipelines import SUBJECTS, write_weights
from benchmarks.peers.start import LITSERVE_WINDOW

WINDOWS = (1, 2, 5, 10, 20)  # milliseconds that a batch waits for company


def windows(folder: Path, rounds: int, seconds: float, say: Say) -> dict[str, Any]:
    """LitServe's jobs per second and p95 in milliseconds by window, where batches matter; all run,
    and take turns.
    """
    return {name: _windows(folder / name, name, rounds, seconds, say) for name in ("hard", "demo")}


def _windows(
    folder: Path, name: str, rounds: int, seconds: float, say: Say
) -> dict[str, dict[str, float]]:
    subject = SUBJECTS[name]
    weights = write_weights(folder / "weights", subject)
    with ExitStack() as stack:
        peers = {
            window: stack.enter_context(
                peer(weights, subject, "litserve", **{LITSERVE_WINDOW: str(window)})
            )
            for window in WINDOWS
        }
        reports = [
            {window: p.closed(subject.clients, seconds, 1.0) for window, p in peers.items()}
            for _ in range(rounds)
        ]
    found = {}
    for window in WINDOWS:
        rows = [r[window] for r in reports]
        rate, p95 = (statistics.median(getattr(r, what) for r in rows) for what in ("rate", "p95"))
        found[str(window)] = {"rate": rate, "p95": p95}
        say(f"windows: {name}, LitServe waiting {window} ms: {rate:.0f}/s, p95 {p95:.0f} ms")
    return found
