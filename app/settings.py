"""Settings of the gateway and the reconciler, beside those all processes share; environment names
start with ``MMML_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import AfterValidator, ByteSize, Field, SecretStr, field_validator

from app.webhooks.addresses import AddressPolicy, Network
from app.webhooks.signing import secret_key
from jobs.settings import SharedSettings

_MOST = 10**9  # jobs, and seconds, that a rate is counted up to


def check_rate(text: str) -> str:
    """The rate itself. Raises ValueError unless it is one, not several, that can be counted."""
    rates = parse_many(text)
    if len(rates) != 1 or not 1 <= rates[0].amount <= _MOST or rates[0].get_expiry() > _MOST:
        raise ValueError(f"{text!r} is not one rate; write it like 60/minute or 5 per 2 hours")
    return text


def _origin(text: str) -> str:
    parts = urlsplit(text.rstrip("/").lower())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ValueError(
            f"{text!r} is no origin; write scheme and host of a web page, https://app.example"
        )
    return parts.geturl()


def _root_path(text: str) -> str:
    inner = text.strip("/")
    if not re.fullmatch(r"([\w.~-]+(/[\w.~-]+)*)?", inner, re.ASCII):
        raise ValueError(f"{text!r} is no path; write /images, or leave it empty")
    return f"/{inner}" if inner else ""


RootPath = Annotated[str, AfterValidator(_root_path)]  # such as /images, or empty
Origin = Annotated[str, AfterValidator(_origin)]  # such as https://app.example:8443
Rate = Annotated[str, AfterValidator(check_rate)]  # such as 600/minute


class WebhookSettings(SharedSettings):
    """Times in seconds. Secrets are separated by spaces: all sign, so that they can be rotated."""

    root_path: RootPath = Field(
        "",
        description="path below which a proxy serves clients, such as /images: all addresses begin "
        "with it, whether or not the proxy passes it on",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="whsec_…, signs webhooks; generated and kept in Redis if absent"
    )
    webhook_allow_http: bool = Field(False, description="also allow http:// webhooks")
    webhook_ports: tuple[int, ...] = Field((443, 8443), description="allowed ports; [] allows any")
    webhook_networks: tuple[Network, ...] = Field(
        (), description='allowed networks besides public addresses, such as ["10.1.0.0/16"]'
    )
    webhook_timeout: float = Field(15.0, gt=0, description="timeout of one delivery")
    webhook_delays: tuple[float, ...] = Field(
        (5, 300, 1800, 7200, 18000, 36000), description="delays between attempts to deliver"
    )

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, given: object) -> object:
        return tuple(map(ip_network, given)) if isinstance(given, list | tuple) else given

    @field_validator("webhook_secret")
    @classmethod
    def _secrets(cls, given: SecretStr) -> SecretStr:
        for secret in given.get_secret_value().split():
            secret_key(secret)
        return given

    def webhook_policy(self) -> AddressPolicy:
        return AddressPolicy(self.webhook_allow_http, self.webhook_ports, self.webhook_networks)


class GatewaySettings(WebhookSettings):
    """Sizes in bytes, times in seconds."""

    renamed: ClassVar[Mapping[str, str]] = {
        "upload_memory": "body_memory",
        "max_event_streams": "max_feeds",
    }

    host: str = Field("127.0.0.1", description="address that python -m app.gateway listens on")
    port: int = Field(8000, ge=1, le=65535, description="port that it listens on")
    public_url: Origin | None = Field(
        None,
        description="scheme and host that clients use where a proxy stands in front, such as "
        "https://images.example",
    )
    _no_public_url = field_validator("public_url", mode="before")(lambda given: given or None)
    trusted_proxies: tuple[str, ...] = Field(
        ("127.0.0.1",),
        description="addresses and networks of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed",
    )
    licences: tuple[str, ...] = Field(
        (),
        description='licences of bundles that are served, such as ["Apache-2.0"]; others are as if '
        "they were not there; [] allows any",
    )
    access_log: bool = Field(
        True, description="log a line for each request; with mmml serve only where this is set"
    )
    grace: float = Field(
        25.0, ge=0, description="time for running requests to finish after SIGTERM"
    )
    max_body: int = Field(64 * 1024 * 1024, description="largest request body")
    upload_memory: int = Field(
        512 * 1024 * 1024, ge=0, description="memory for all request bodies that are held at a time"
    )
    max_pixels: int = Field(50_000_000, description="largest photo, in pixels")
    decoders: int = Field(
        2,
        ge=1,
        description="uploads decoded at a time; one of 50 megapixels takes 0.6 GB, a WebP 0.9",
    )
    max_queue: int = Field(1000, ge=1, description="most waiting jobs")
    max_event_streams: int = Field(
        2000, ge=1, description="most event streams of all callers together"
    )
    idempotency_ttl: float = Field(24 * 3600.0, gt=0, description="lifetime of an Idempotency-Key")
    max_active: int = Field(500, ge=1, description="most unfinished jobs of one key")
    max_running: int = Field(0, ge=0, description="most running jobs of one key; 0: no limit")
    max_stored: ByteSize = Field(
        ByteSize(10 * 2**30), description="most bytes of images that one key stores; 0: no limit"
    )
    max_batches: int = Field(1000, ge=1, description="most batches of one key")
    max_batch_jobs: int = Field(1000, ge=1, description="most jobs of one batch")
    min_free_disk: ByteSize = Field(
        ByteSize(2**30), description="disk space kept free: below it no job with images is taken"
    )
    max_streams: int = Field(64, ge=1, description="most open event streams of one caller")
    max_downloads: int = Field(
        32, ge=1, description="most large responses that one caller reads at a time"
    )
    write_timeout: float = Field(
        30.0, gt=0, description="timeout for a client that does not read its response"
    )
    max_uploads: int = Field(
        32, ge=1, description="most bodies of more than 1 MiB that one caller sends at a time"
    )
    unread_memory: int = Field(
        256 * 1024 * 1024,
        ge=1,
        description="memory for all responses that clients have not read yet, in bytes",
    )
    max_waits: int = Field(256, ge=1, description="most requests of one caller that wait for a job")
    redis_memory: ByteSize = Field(
        ByteSize(0), description="memory for job records, in bytes; 0: the maxmemory of the server"
    )
    rate_submit: Rate = Field("600/minute", description="most jobs that one key may submit")
    rate_read: Rate = Field("3000/minute", description="most other requests of one key")
    rate_login: Rate = Field(
        "30/minute", description="most browser sessions that one key may start"
    )
    rate_wrong_keys: Rate = Field(
        "60/minute", description="most wrong keys that one address may send"
    )
    require_keys: bool = Field(False, description="refuse to serve without API keys")
    first_key: SecretStr | None = Field(None, description="first API key, 32 characters or more")
    header_timeout: float = Field(10.0, gt=0, description="timeout for the headers of a request")
    body_timeout: float = Field(
        30.0, gt=0, description="longest pause within the body of a request"
    )
    body_rate: float = Field(
        16 * 1024, gt=0, description="lowest average rate of a request body, in bytes per second"
    )
    max_wait: float = Field(60.0, description="longest ?wait=")
    openai_wait: float = Field(
        300.0, gt=0, description="how long a request under /v1 waits for its images"
    )
    link_ttl: float = Field(3600.0, gt=0, description="lifetime of a signed URL of an image")
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="accepted host names; with API keys, any name unless this is set",
    )
    cors_origins: tuple[Origin, ...] = Field(
        (),
        description="origins (CORS) whose web pages may use the service, such as "
        '["https://app.example"]',
    )
    openai_models: dict[str, str] = Field(
        {},
        description="bundles for model names in requests under /v1, such as "
        '{"gpt-image-1": "aviary"}; "" is the default bundle',
    )
