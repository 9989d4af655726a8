"""A gateway's backends on a real broker, for tests that have settings of their own."""

from __future__ import annotations

from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.job import new_id


def connected(settings: GatewaySettings, redis_url: str) -> Services:
    """With keys of its own on that broker, so that it finds nothing of other tests."""
    own = {"redis_url": redis_url, "redis_prefix": f"{new_id()}:"}
    return Services.connect(settings.model_copy(update=own))
