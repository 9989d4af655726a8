"""The suite's own parts: they must not miss, or invent, a fault."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.ledger import Answer
from tests.chaos.processes import Keeper, NeverTrue, Process, wait_until
from tests.chaos.proxy import Proxy
from tests.chaos.steady_load import growth, percentile
from tests.chaos.strikes import Strikes
from tests.ports import free_port


def test_one_process_suffers(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path)
    assert not strikes.take("claim")
    strikes.arm("claim")
    assert [strikes.take("claim"), strikes.take("claim")] == [True, False]
    strikes.note("batches", 8)
    strikes.note("batches", 4)
    assert strikes.notes("batches") == [8, 4]
    strikes.forget()
    assert strikes.notes("batches") == []


def test_a_strike_is_kill_9(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tests.chaos.strikes import Strikes; "
    code += "Strikes(pathlib.Path(sys.argv[1])).kill_here('claim'); print('alive')"
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"alive\n"
    Strikes(tmp_path).arm("claim")
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9


def sleeper(tmp_path: Path) -> Process:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    return Process("sleeper", command, {}, tmp_path / "log")


def test_a_killed_process_is_started_again_unless_it_is_to_stay_down(tmp_path: Path) -> None:
    keeper, process = Keeper(), sleeper(tmp_path)
    keeper.add(process)
    keeper.start()
    try:
        process.kill()
        wait_until(lambda: process.starts == 2, 30, "a second start")
        process.down()
        time.sleep(1)
        assert process.starts == 2
        assert process.resident() == 0
    finally:
        keeper.end()


def test_waiting_in_vain_is_told() -> None:
    with pytest.raises(NeverTrue, match="the end of time did not happen within 0 s"):
        wait_until(lambda: False, 0.1, "the end of time")


def echo(port: int) -> tuple[socket.socket, list[threading.Thread]]:
    """Sends back whatever it is sent, until it is shut down."""
    server = socket.create_server(("127.0.0.1", port))

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(ConnectionError):
            while data := client.recv(100):
                client.sendall(data)

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            lines.append(threading.Thread(target=serve, args=(client,)))
            lines[-1].start()

    lines = [threading.Thread(target=accept)]
    lines[0].start()
    return server, lines


def said(client: socket.socket) -> bytes:
    """What comes back; nothing when the connection is broken."""
    try:
        client.sendall(b"hello")
        return client.recv(100)
    except ConnectionError:
        return b""


def test_connections_are_cut_and_go_deaf() -> None:
    port = free_port()
    (server, threads), proxy = echo(port), Proxy(port)
    proxy.start()
    where = ("127.0.0.1", proxy.port)
    with socket.create_connection(where, 10) as client:
        assert said(client) == b"hello"
        assert proxy.cut() == 1
        assert said(client) == b""
    with socket.create_connection(where, 10) as client:
        assert said(client) == b""
    proxy.mend()
    with socket.create_connection(where, 10) as client:
        assert said(client) == b"hello"
        client.settimeout(1)
        proxy.deafen()
        with pytest.raises(TimeoutError):
            said(client)
        with socket.create_connection(where, 10) as fresh:
            assert said(fresh) == b"hello"
    proxy.stop()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join(10)


def test_polite_answers() -> None:
    assert Answer(202, 0.1, "a").polite
    assert Answer(503, 0.1, retry_after="5").polite
    assert not Answer(503, 0.1).polite
    assert not Answer(503, 5.1, retry_after="5").polite
    assert not Answer(500, 0.1, retry_after="5").polite
    assert not Answer(0, 0.1).polite


def test_statistics() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(range(1, 101), 0.99) == 99
    assert growth([100, 100, 150, 110, 110]) == pytest.approx(1.1)
