"""For the tests of programs that use the service: ``from mmml.testing import fake_service``."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx


class NotStarted(RuntimeError):
    """The service of fakes did not start; the message holds the end of its log."""


@contextlib.contextmanager
def fake_service(patience: float = 60.0, **settings: str) -> Iterator[str]:
    """Address of a ``mmml serve --fake`` of one's own, ready for jobs until the end of the block.
    ``settings`` are of the service, such as ``MMML_RATE_SUBMIT="1/minute"``; those of the
    environment are left out. Raises NotStarted after ``patience`` seconds.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="mmml-log-") as folder:
        log = Path(folder) / "serve.log"
        process = _started(port, log, settings)
        try:
            _wait_until_ready(url, process, log, patience)
            yield url
        finally:
            _stop(process)


def _started(port: int, log: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """Under a guard, so that it ends with this process, however that ends."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    serve = [sys.executable, "-m", "app.cli", "serve", "--fake", "--port", str(port)]
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (the command is built here)
            [sys.executable, "-m", "app.guard", "--", *serve],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=own | settings,
            start_new_session=True,
        )


def _wait_until_ready(
    url: str, process: subprocess.Popen[bytes], log: Path, patience: float
) -> None:
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise NotStarted(f"mmml serve --fake did not start:\n{log.read_text()[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    if process.stdin:
        process.stdin.close()
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
