"""One delivery, to receivers that do their worst."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from app.webhooks.addresses import Address, AddressPolicy
from app.webhooks.sender import DeliveryResult, PinnedBackend, WebhookSender
from tests.app.webhooks.receiver import HERE, Receiver, Respond, answering


def post(receiver: Receiver, timeout: float = 10.0, policy: AddressPolicy = HERE) -> DeliveryResult:
    sender = WebhookSender(policy, timeout)
    return asyncio.run(sender.post(receiver.url(), {"webhook-id": "msg_1"}, b'{"a": 1}'))


def test_a_plain_delivery() -> None:
    with Receiver().running() as receiver:
        assert post(receiver) == DeliveryResult()
    (message,) = receiver.got
    assert message.line == "POST /hook?x=1 HTTP/1.1"
    assert message.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert message.headers["webhook-id"] == "msg_1"
    assert message.body == b'{"a": 1}'


@pytest.mark.parametrize("status", [201, 204, 299])
def test_every_success_counts(status: int) -> None:
    with Receiver([answering(status)]).running() as receiver:
        assert not post(receiver).problem


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with Receiver().running() as inner:
        outer = Receiver([answering(status, f"location: {inner.url()}")])
        with outer.running():
            answer = post(outer)
    assert str(status) in answer.problem
    assert "redirects are not followed" in answer.problem
    assert not answer.permanent
    assert inner.got == []


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (answering(500), DeliveryResult("The receiver answered 500.")),
        (
            answering(410),
            DeliveryResult("The receiver answered 410: it wants no more messages.", True),
        ),
        (
            answering(429, "retry-after: 90"),
            DeliveryResult("The receiver answered 429.", retry_after=90.0),
        ),
        (
            answering(503, "Retry-After: 999999"),
            DeliveryResult("The receiver answered 503.", retry_after=86400),
        ),
        (
            answering(503, "retry-after: Fri, 31 Dec 2100 23:59:59 GMT"),
            DeliveryResult("The receiver answered 503.", retry_after=86400),
        ),
        (
            answering(503, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT"),
            DeliveryResult("The receiver answered 503."),
        ),
        (answering(503, "retry-after: soon"), DeliveryResult("The receiver answered 503.")),
    ],
)
def test_refusals(respond: Respond, expected: DeliveryResult) -> None:
    with Receiver([respond]).running() as receiver:
        assert post(receiver) == expected


async def _silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(300):
        writer.write(b"x-a: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail ready\r\n" * 10)


async def _headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100_000):
        writer.write(b"x-a: " + b"b" * 1000 + b"\r\n")
        await writer.drain()


async def _body_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n")
    while True:
        writer.write(b"b" * 65536)
        await writer.drain()


async def _nothing(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("respond", [_silence, _drip])
def test_slow_receivers_are_left(respond: Respond) -> None:
    with Receiver([respond]).running() as receiver:
        started = time.monotonic()
        assert "did not answer within 0.5 s" in post(receiver, 0.5).problem
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("respond", [_nonsense, _headers_without_end, _nothing])
def test_what_speaks_no_http(respond: Respond) -> None:
    with Receiver([respond]).running() as receiver:
        assert "can't be reached, or speaks no HTTP" in post(receiver).problem


def test_an_endless_body_is_not_read() -> None:
    with Receiver([_body_without_end]).running() as receiver:
        started = time.monotonic()
        assert post(receiver) == DeliveryResult()
        assert time.monotonic() - started < 5


def test_nobody_listens() -> None:
    gone = Receiver(port=9)
    assert "can't be reached" in post(gone).problem


def test_inner_addresses_are_refused_for_good() -> None:
    with Receiver().running() as receiver:
        answer = post(receiver, policy=AddressPolicy(allow_http=True, ports=()))
        assert answer.permanent
        assert "127.0.0.1 is not a public address" in answer.problem
        assert receiver.got == []


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client) contexts of hook.example.com; the client trusts this certificate alone."""
    certificate, key = _self_signed("hook.example.com")
    (tmp_path / "pair.pem").write_bytes(key + certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pair.pem")
    return server, ssl.create_default_context(cadata=certificate.decode())


def _self_signed(name: str) -> tuple[bytes, bytes]:
    """(certificate, private key) as PEM, valid for an hour."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - hour)
        .not_valid_after(now + hour)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(pem, kind, plain)


async def _here(host: str, port: int) -> list[Address]:
    return [ip_address("127.0.0.1")]


def test_tls_verifies_the_name_though_the_address_is_pinned(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = tls
    with Receiver(tls=server).running() as receiver:
        sender = WebhookSender(HERE, 10, PinnedBackend(HERE, _here), client)
        right = f"https://hook.example.com:{receiver.port}/"
        assert asyncio.run(sender.post(right, {}, b"{}")) == DeliveryResult()
        assert receiver.got[0].headers["host"] == f"hook.example.com:{receiver.port}"
        wrong = f"https://other.example.com:{receiver.port}/"
        assert asyncio.run(sender.post(wrong, {}, b"{}")).problem
        assert len(receiver.got) == 1
        distrusting = WebhookSender(HERE, 10, PinnedBackend(HERE, _here))
        assert asyncio.run(distrusting.post(right, {}, b"{}")).problem
