"""Settings of the gateway, beside those all processes share; environment names start with
``MMML_``.
"""

from __future__ import annotations

from typing import Annotated

from limits import parse
from pydantic import AfterValidator, ByteSize, Field, SecretStr

from jobs.settings import SharedSettings


def _rate(text: str) -> str:
    parse(text)  # ValueError when it is not a rate
    return text


Rate = Annotated[str, AfterValidator(_rate)]  # such as 600/minute


class GatewaySettings(SharedSettings):
    """Sizes in bytes, times in seconds."""

    max_body: int = Field(64 * 1024 * 1024, description="largest request body")
    max_pixels: int = Field(50_000_000, description="largest photo")
    max_queue: int = Field(1000, ge=1, description="jobs that may wait")
    max_active: int = Field(500, ge=1, description="unfinished jobs that one key may have")
    max_streams: int = Field(64, ge=1, description="event streams that one caller may keep open")
    max_waits: int = Field(256, ge=1, description="requests of one caller that wait for a job")
    redis_memory: ByteSize = Field(
        ByteSize(0), description="memory for job records; 0 is what the server says of itself"
    )
    rate_submit: Rate = Field("600/minute", description="jobs that one key may submit")
    rate_read: Rate = Field("3000/minute", description="other requests that one key may send")
    require_keys: bool = Field(False, description="never serve without API keys")
    first_key: SecretStr | None = Field(None, description="an API key to start with")
    header_timeout: float = Field(10.0, gt=0, description="for a request's headers to arrive")
    body_timeout: float = Field(30.0, gt=0, description="longest pause within a request's body")
    body_rate: float = Field(
        16 * 1024, gt=0, description="bytes per second that a slow body must keep up on average"
    )
    max_wait: float = Field(60.0, description="longest ?wait=")
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]", "testserver"),
        description="host names under which the service answers; with API keys any, unless set",
    )
