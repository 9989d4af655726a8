"""``python -m benchmarks.load URL EXCHANGE``: put load on a server and print a report as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import asdict

import uvloop

from benchmarks.load.connections import Server
from benchmarks.load.exchanges import EXCHANGES, fields
from benchmarks.load.loops import closed, open_


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("url", help="http://127.0.0.1:PORT")
    parser.add_argument("exchange", choices=EXCHANGES, help="what a client asks")
    parser.add_argument("--clients", type=int, default=32, help="closed loop: clients")
    parser.add_argument("--offered", type=float, help="open loop: jobs per second")
    parser.add_argument("--seconds", type=float, default=5.0, help="time that is measured")
    parser.add_argument("--warm", type=float, default=1.0, help="time before it")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    given = _arguments(words)
    exchange, server = EXCHANGES[given.exchange], Server(given.url)

    def job(number: int) -> Awaitable[bytes]:
        return exchange(server, fields(number))

    gc.freeze()
    if given.offered:
        found = open_(job, given.offered, given.seconds, given.warm)
    else:
        found = closed(job, given.clients, given.seconds, given.warm)
    sys.stdout.write(json.dumps(asdict(uvloop.run(found))) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
