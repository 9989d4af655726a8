"""Redis over TLS, with a certificate of an authority of one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs.connections import connect, wait_until_ready
from tests.real.redis_servers import Server, make_certificates, tls_options, tls_server
from tests.real.test_redis import does_its_work, service

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mmml-") as made:
        make_certificates(Path(made))
        yield Path(made)


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """Without options."""
    options = {"requirepass": "letters", **tls_options(folder)}
    server = Server(folder, tls_server(), options, tls=True)
    server.start()
    url = f"rediss://:letters@127.0.0.1:{server.port}/0"
    wait_until_ready(f"{url}?ssl_ca_certs={folder / 'ca.crt'}", 20)
    yield url
    server.end()


def test_every_process_trusts_the_authority_that_the_address_names(
    folder: Path, address: str
) -> None:
    with service(folder, f"{address}?ssl_ca_certs={folder / 'ca.crt'}") as http:
        does_its_work(http)


def test_a_certificate_that_nobody_vouches_for_is_refused(address: str) -> None:
    client = connect(address)
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        client.ping()


def test_a_certificate_of_another_name_is_refused(folder: Path, address: str) -> None:
    other = address.replace("127.0.0.1", "localhost")
    client = connect(f"{other}?ssl_ca_certs={folder / 'ca.crt'}")
    with pytest.raises(redis.ConnectionError, match="Hostname mismatch"):
        client.ping()
