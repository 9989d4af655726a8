"""Settings of the gateway and the steward, beside those all processes share; environment names
start with ``MMML_``.
"""

from __future__ import annotations

from ipaddress import ip_network

from pydantic import Field, SecretStr, field_validator

from app.webhooks.addresses import AddressPolicy, Network
from app.webhooks.signing import check_secret
from jobs.settings import SharedSettings


class WebhookSettings(SharedSettings):
    """Times in seconds. Secrets are separated by spaces: all sign, so that they can be rotated."""

    webhook_secret: SecretStr = Field(
        SecretStr(""), description="whsec_…, signs webhooks; drawn and kept in Redis when absent"
    )
    webhook_allow_http: bool = Field(False, description="allow http:// webhooks")
    webhook_ports: tuple[int, ...] = Field((443, 8443), description="ports; [] allows any")
    webhook_networks: tuple[Network, ...] = Field(
        (), description='networks allowed beside public addresses, such as ["10.1.0.0/16"]'
    )
    webhook_timeout: float = Field(15.0, gt=0, description="one delivery, all in all")
    webhook_delays: tuple[float, ...] = Field(
        (5, 300, 1800, 7200, 18000, 36000), description="pauses between the deliveries tried"
    )

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, given: object) -> object:
        return tuple(map(ip_network, given)) if isinstance(given, list | tuple) else given

    @field_validator("webhook_secret")
    @classmethod
    def _secrets(cls, given: SecretStr) -> SecretStr:
        for secret in given.get_secret_value().split():
            check_secret(secret)
        return given

    def webhook_policy(self) -> AddressPolicy:
        """Where webhooks may lead."""
        return AddressPolicy(self.webhook_allow_http, self.webhook_ports, self.webhook_networks)


class GatewaySettings(WebhookSettings):
    """Sizes in bytes, times in seconds."""

    max_body: int = Field(64 * 1024 * 1024, description="largest request body")
    max_pixels: int = Field(50_000_000, description="largest photo")
    max_queue: int = Field(1000, ge=1, description="jobs that may wait")
    max_feeds: int = Field(2000, ge=1, description="event streams of all callers together")
    idempotency_ttl: float = Field(
        24 * 3600.0, gt=0, description="how long an Idempotency-Key is remembered"
    )
    max_wait: float = Field(60.0, description="longest ?wait=")
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]", "testserver"),
        description="host names under which the open service answers",
    )
