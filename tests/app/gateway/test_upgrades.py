"""Requests that offer another protocol are ordinary ones; their bodies are theirs."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from tests.app.gateway.test_slow_clients import port

__all__ = ["port"]  # a fixture

BODY = b'{"text": "a bird", "seed": 7}'
OFFERS = [
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    "Upgrade: TLS/1.0\r\nConnection: keep-alive, upgrade",
    "connection: UPGRADE\r\nupgrade: h2c, foo/2",
]


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def result(port: int, *parts: bytes, pause: float = 0.1) -> list[bytes]:
    """The answers to what is sent in parts."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        line.settimeout(0.4)
        with contextlib.suppress(TimeoutError):
            while data := line.recv(65536):
                heard += data
    return heard.split(b"HTTP/1.1 ")[1:]


def post(offer: str, length: int) -> bytes:
    return head(
        "POST /synthesize", offer, "Content-Type: application/json", f"Content-Length: {length}"
    )


@pytest.mark.parametrize("offer", OFFERS)
def test_the_body_arrives(port: int, offer: str) -> None:
    whole = post(offer, len(BODY)) + BODY
    for parts in ([whole], [whole[: -len(BODY)], BODY], [whole[:40], whole[40:-9], whole[-9:]]):
        (answer,) = result(port, *parts)
        # Nothing is known here: that the text was read is what matters.
        assert b"No bundle offers synthesize" in answer, answer


@pytest.mark.parametrize("offer", OFFERS)
def test_a_body_is_never_the_next_request(port: int, offer: str) -> None:
    inner = head("GET /healthz")
    answers = result(port, post(offer, len(inner)), inner)
    assert len(answers) == 1
    assert answers[0].startswith(b"400")


def test_a_chunked_body_arrives(port: int) -> None:
    start = head(
        "POST /synthesize",
        OFFERS[0],
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
    )
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    (answer,) = result(port, start + chunks[:9], chunks[9:])
    assert b"No bundle offers synthesize" in answer


def test_the_connection_goes_on(port: int) -> None:
    first = head("GET /healthz", OFFERS[1])
    answers = result(port, first + post(OFFERS[0], len(BODY)) + BODY + first)
    assert [answer[:3] for answer in answers] == [b"200", b"503", b"200"]
    assert json.loads(answers[2].split(b"\r\n\r\n")[1])["status"] == "ok"


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_tunnels_and_http_2_are_refused(port: int, line: bytes) -> None:
    answers = result(port, line + head("GET /healthz"))
    assert len(answers) == 1
    assert answers[0].startswith(b"400")
