"""For the tests of programs that use the service: ``from mmml.testing import fake_service``."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from mmml.cli.root import find_service_command

VARIABLE = "MMML_SERVICE"
# What belongs to this Python, and would mislead that of another environment.
_OWN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class NotStarted(RuntimeError):
    """The fake service did not start; the message says why, or holds the end of its log."""


@contextlib.contextmanager
def fake_service(start_timeout: float = 60.0, **settings: str) -> Iterator[str]:
    """Address of a private ``mmml serve --fake``, ready for jobs until the end of the block. It is
    started from where the environment's ``MMML_SERVICE`` points, a checkout of the service or its
    ``mmml`` command, else from this environment. ``settings`` are the service's, such as
    ``MMML_RATE_SUBMIT="1/minute"``; those of the environment are left out. Raises NotStarted after
    ``start_timeout`` seconds, or where there is no service.
    """
    start_timeout = float(settings.pop("patience", start_timeout))  # its name before
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*service_command(os.environ), "serve", "--fake", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="mmml-log-") as folder:
        log = Path(folder) / "serve.log"
        process = _start(command, log, settings)
        try:
            _wait_until_ready(url, process, log, start_timeout)
            yield url
        finally:
            _stop(process)


def service_command(environment: Mapping[str, str]) -> list[str]:
    """The service's ``mmml`` command. Raises NotStarted where there is none."""
    given = environment.get(VARIABLE)
    if given:
        path = Path(given).expanduser().absolute()
        program = path / ".venv" / "bin" / "mmml" if path.is_dir() else path
        if not os.access(program, os.X_OK):
            raise NotStarted(
                f"{VARIABLE} is {given}, but there is no program {program}. Let it name a checkout "
                "of the service in which 'make setup' was run, or the service's mmml command."
            )
        return [str(program)]
    if find_service_command("serve") is None:
        raise NotStarted(
            f"The service is not installed in this environment. Set {VARIABLE} to a checkout of "
            "the service in which 'make setup' was run, or to the service's mmml command."
        )
    return [sys.executable, "-P", "-m", "mmml"]


def _start(command: list[str], log: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A service that ends with this process, however that ends: its stdin is closed then."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    if os.environ.get(VARIABLE):
        inherited = {k: v for k, v in inherited.items() if k not in _OWN_VARIABLES}
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (the command is built here)
            [*command, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=inherited | dict(settings),
            start_new_session=True,
        )


def _wait_until_ready(
    url: str, process: subprocess.Popen[bytes], log: Path, seconds: float
) -> None:
    deadline = time.monotonic() + seconds
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
