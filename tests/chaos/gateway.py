"""``python -m tests.chaos.gateway FOLDER``: the gateway, which dies between a job's record and
the wake-up for it when FOLDER says so.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from app.gateway.enqueue import WakeUpSender
from app.gateway.server import gateway_server
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.chaos.clocks import set_wrong
from tests.chaos.strikes import Strikes


class DyingWakeUps(WakeUpSender):
    """Its process dies instead of waking a worker."""

    def __init__(self, wakeups: WakeUpSender, strikes: Strikes) -> None:
        self._wakeups, self._strikes = wakeups, strikes

    def send(self, count: int) -> None:
        self._strikes.kill_here("before-wakeup")
        self._wakeups.send(count)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def main(folder: str) -> None:
    signal.signal(signal.SIGTERM, _end)
    settings = GatewaySettings()
    services = Services(settings)
    services.wakeups = DyingWakeUps(services.wakeups, Strikes(Path(folder)))
    gateway_server(settings, settings.host, settings.port, settings.grace, services).run()


if __name__ == "__main__":
    set_wrong()
    main(sys.argv[1])
