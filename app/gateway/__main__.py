"""``python -m app.gateway``: the gateway alone, beside workers and a reconciler that run
elsewhere.
"""

from __future__ import annotations

import signal
from types import FrameType

from app.gateway.api_keys import ApiKeyError
from app.gateway.auth import AccessError
from app.gateway.server import (
    check_access,
    gateway_server,
    raise_open_file_limit,
    require_keys_unless_loopback,
)
from app.settings import GatewaySettings
from jobs.settings import read_settings


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    # uvicorn raises the signal again once it has shut down: an orderly end, not a death by signal.
    signal.signal(signal.SIGTERM, _end)
    given = read_settings(GatewaySettings)
    settings = require_keys_unless_loopback(given, given.host)
    raise_open_file_limit()
    try:
        check_access(settings)
    except (AccessError, ApiKeyError) as error:
        raise SystemExit(f"mmml: {error}") from error
    gateway_server(settings, settings.host, settings.port, settings.grace).run()


if __name__ == "__main__":
    main()
