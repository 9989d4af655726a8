"""``python -m benchmarks.service [SUBJECT]``: the service around a pipeline that is measured, until
Ctrl-C. Prints its address; ``python -m benchmarks.load ADDRESS wait`` puts load on it.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import running


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("subject", nargs="?", default="hard", choices=SUBJECTS)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args(words)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def main(words: Sequence[str]) -> int:
    given = _arguments(words)
    signal.signal(signal.SIGTERM, _end)
    with (
        tempfile.TemporaryDirectory(prefix="mmml-bench-") as name,
        running(Path(name), SUBJECTS[given.subject], given.workers) as service,
        suppress(KeyboardInterrupt),
    ):
        pids = ", ".join(f"{k} {p.pid}" for k, p in service.processes.items())
        sys.stdout.write(f"{service.url}\n{pids}; logs: {name}/logs\n")
        sys.stdout.flush()
        signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
