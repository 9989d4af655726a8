"""Clients that send slowly, or nothing, against a real server on a loopback port."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import GatewaySettings
from tests.services import connected, listening

TIMEOUT = 0.5  # seconds that the server has
Eventually = Callable[[Callable[[], bool], float], None]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[int]:
    weights: Path = tmp_path_factory.mktemp("weights")
    settings = GatewaySettings(
        weights_dir=weights, header_timeout=TIMEOUT, body_timeout=TIMEOUT, body_rate=100_000
    )
    with listening(connected(settings, valkey)) as port:
        yield port


@pytest.fixture
def line(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as made:
        yield made


def head(method: str, path: str, length: int | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if length is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(line: socket.socket) -> str:
    """Everything until the server hangs up."""
    data = b""
    try:
        while chunk := line.recv(4096):
            data += chunk
    except ConnectionResetError:
        pass
    return data.decode()


def drip(line: socket.socket, data: bytes) -> float:
    """Send one byte at a time, again and again; returns after how many seconds it was refused."""
    started = time.monotonic()
    while time.monotonic() - started < 20:
        try:
            line.sendall(data)
        except OSError:
            break
        time.sleep(0.05)
    return time.monotonic() - started


def test_a_connection_that_says_nothing_is_closed(line: socket.socket) -> None:
    started = time.monotonic()
    assert answer(line) == ""
    assert time.monotonic() - started >= TIMEOUT * 0.9


def test_headers_that_never_end(line: socket.socket) -> None:
    line.sendall(head("GET", "/healthz")[:-2])
    assert drip(line, b"X") < 20


def test_empty_lines_between_requests(line: socket.socket) -> None:
    line.sendall(head("GET", "/healthz"))
    assert b"200 OK" in line.recv(4096)
    assert drip(line, b"\r\n") < 20


def test_a_body_that_never_comes(line: socket.socket) -> None:
    line.sendall(head("POST", "/synthesize", 100))
    result = answer(line)
    assert result.startswith("HTTP/1.1 408")
    assert "application/problem+json" in result
    assert "connection: close" in result.lower()


def test_a_body_that_trickles(line: socket.socket) -> None:
    line.sendall(head("POST", "/synthesize", 10_000_000))
    assert drip(line, b" ") < 20


def test_a_body_that_is_slow_but_steady_is_taken(line: socket.socket) -> None:
    data = b'{"text": "a bird"}' + b" " * 110_000
    line.sendall(head("POST", "/synthesize", len(data)))
    started = time.monotonic()
    for k in range(0, len(data), 11_000):
        line.sendall(data[k : k + 11_000])
        time.sleep(0.1)
    assert time.monotonic() - started > TIMEOUT
    assert b"503" in line.recv(4096)  # read to its end: there are no weights


def test_what_follows_a_refused_body_is_not_read_for_ever(line: socket.socket) -> None:
    line.sendall(head("POST", "/nowhere", 10_000_000))
    assert drip(line, b" ") < 20


def test_ordinary_clients_notice_nothing(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        for pause in (0, 0.1, 2 * TIMEOUT):
            time.sleep(pause)
            assert http.get("/healthz").status_code == 200


def test_headers_that_are_too_large(line: socket.socket) -> None:
    line.sendall(head("GET", "/healthz")[:-2])
    result = flood(line, b"X-Bird: " + b"x" * 1000 + b"\r\n")
    assert result.startswith("HTTP/1.1 431")
    assert "Send less in them." in result
    assert "application/problem+json" in result


@pytest.mark.parametrize("start", [b"X: ", b""])
def test_trailers_that_are_too_large(line: socket.socket, start: bytes) -> None:
    chunked = b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    line.sendall(head("POST", "/synthesize")[:-2] + chunked + b"2\r\n{}\r\n0\r\n" + start)
    flood(line, b"X" * 1000 if start else b"X-Bird: " + b"x" * 1000 + b"\r\n")


def flood(line: socket.socket, piece: bytes) -> str:
    """Send until the server hangs up, which it must within some megabytes."""
    with contextlib.suppress(ConnectionError):
        for _ in range(20_000):
            line.sendall(piece)
        pytest.fail("the server took 20 MB")
    return answer(line)


@pytest.mark.parametrize("said", [b"bird\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02"])
def test_what_is_no_http_is_a_problem(line: socket.socket, said: bytes) -> None:
    line.sendall(said)
    result = answer(line)
    assert result.startswith("HTTP/1.1 400")
    assert "Send it with an HTTP library." in result
    assert "application/problem+json" in result
