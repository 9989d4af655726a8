"""``python -m tests.chaos.gateway FOLDER``: the gateway, which dies between a job's record and
its message when FOLDER says so.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.deps import Services
from app.queue import Queue
from app.server import gateway_server
from app.settings import GatewaySettings
from tests.chaos.strikes import Strikes


class DyingQueue:
    """A queue whose process dies instead of sending a message."""

    def __init__(self, queue: Queue, strikes: Strikes) -> None:
        self._queue, self._strikes = queue, strikes

    def publish(self, *job_ids: str) -> None:
        self._strikes.kill_here("before-enqueue")
        self._queue.publish(*job_ids)

    def publish_all(self, hints: Sequence[Sequence[str]]) -> None:
        self._strikes.kill_here("before-enqueue")
        self._queue.publish_all(hints)

    def waiting(self) -> int:
        return self._queue.waiting()


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def main(folder: str) -> None:
    signal.signal(signal.SIGTERM, _end)
    settings = GatewaySettings()
    services = Services.connect(settings)
    services = replace(services, queue=DyingQueue(services.queue, Strikes(Path(folder))))
    gateway_server(settings, settings.host, settings.port, settings.grace, services).run()


if __name__ == "__main__":
    main(sys.argv[1])
