"""The lean client, against servers of a few lines."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from benchmarks.load.connections import Answer, Server

BODY = b'{"seed": 1}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def asked(answer: bytes, times: int, keep: bool) -> tuple[list[Answer], list[bytes]]:
    """``times`` requests to a server that always says ``answer``; also the request heads."""
    heads: list[bytes] = []
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(len(BODY))
                writer.write(answer)
                if not keep:
                    break
        writer.close()
        await writer.wait_closed()

    async def main() -> list[Answer]:
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            client = Server(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            try:
                return [await client.post("/predict", {"seed": 1}) for _ in range(times)]
            finally:
                client.close()
                await asyncio.sleep(0.05)  # both ends hear of it

    answers = asyncio.run(main())
    assert connections == (1 if keep else times)
    return answers, heads


def test_a_connection_is_kept() -> None:
    answers, heads = asked(OK, 3, keep=True)
    assert answers == [Answer(200, b"ok")] * 3
    assert all(head.startswith(b"POST /predict HTTP/1.1\r\n") for head in heads)


def test_a_server_that_closes_is_called_again() -> None:
    text = b"HTTP/1.0 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
    assert asked(text, 2, keep=False)[0] == [Answer(503, b"busy")] * 2


def test_an_answer_in_chunks() -> None:
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert asked(text, 2, keep=True)[0] == [Answer(200, b"abc")] * 2


def test_no_answer_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        asked(b"", 1, keep=False)
