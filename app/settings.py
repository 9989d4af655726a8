"""Settings of the gateway, beside those all processes share; environment names start with
``MMML_``.
"""

from __future__ import annotations

from pydantic import Field

from jobs.settings import SharedSettings


class GatewaySettings(SharedSettings):
    """Sizes in bytes, times in seconds."""

    host: str = Field("127.0.0.1", description="address that python -m app.gateway listens on")
    port: int = Field(8000, ge=1, le=65535, description="its port")
    grace: float = Field(25.0, ge=0, description="seconds for running requests after SIGTERM")
    max_body: int = Field(64 * 1024 * 1024, description="largest request body")
    max_pixels: int = Field(50_000_000, description="largest photo")
    max_queue: int = Field(1000, ge=1, description="jobs that may wait")
    max_wait: float = Field(60.0, description="longest ?wait=")
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]", "testserver"),
        description="host names under which the open service answers",
    )
