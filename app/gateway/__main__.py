"""``python -m app.gateway``: the gateway alone, beside workers and a reconciler that run
elsewhere.
"""

from __future__ import annotations

from app.gateway.server import (
    check_access,
    exit_on_sigterm,
    gateway_server,
    raise_open_file_limit,
    require_keys_unless_loopback,
)
from app.settings import GatewaySettings
from jobs.errors import JobsError
from jobs.settings import read_settings
from jobs.storage_identity import require_own_storage


def main() -> None:
    exit_on_sigterm()
    given = read_settings(GatewaySettings)
    settings = require_keys_unless_loopback(given, given.host)
    raise_open_file_limit()
    try:
        check_access(settings)
        require_own_storage(settings)
    except JobsError as error:
        raise SystemExit(f"mmml: {error}") from error
    gateway_server(settings, settings.host, settings.port, settings.grace).run()


if __name__ == "__main__":
    main()
