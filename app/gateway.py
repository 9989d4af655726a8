"""``python -m app.gateway``: the gateway alone, beside workers and a steward that run elsewhere."""

from __future__ import annotations

from app.server import gateway_server
from app.settings import GatewaySettings


def main() -> None:
    settings = GatewaySettings()
    gateway_server(settings, settings.host, settings.port, settings.grace).run()


if __name__ == "__main__":
    main()
