"""The whole service by one command: broker, worker, reconciler and gateway, supervised."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from app.local.broker import default_state_dir, make_private, service_broker
from app.local.fake_bundle import FAKE_WORKER_MODULE, fake_environment
from app.local.supervisor import PYTHON_COMMAND, ChildProcess, Supervisor, temporary_environment
from app.settings import GatewaySettings
from jobs.settings import read_settings

GRACE_SECONDS = 5.0  # for running requests, and then for running jobs, once the service is to end


def _child_processes(state_dir: Path, worker: str) -> list[ChildProcess]:
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return [
        ChildProcess(
            "reconciler", [*PYTHON_COMMAND, "-m", "app.reconciler"], logs / "reconciler.log"
        ),
        ChildProcess("worker", [*PYTHON_COMMAND, "-m", worker], logs / "worker.log"),
    ]


@contextlib.contextmanager
def run_processes(
    state_dir: Path, check: Callable[[], None] = lambda: None, worker: str = "workers"
) -> Iterator[None]:
    """Everything but the gateway, running; addresses are in the environment for this process and
    children. ``check`` may refuse once the broker answers, before anything else is started;
    ``worker`` is the module that is the worker.
    """
    blobs = os.environ.get("MMML_STORAGE_URL") or (state_dir / "blobs").absolute().as_uri()
    drain = os.environ.get("MMML_DRAIN") or str(GRACE_SECONDS)
    with (
        service_broker(state_dir) as url,
        temporary_environment(
            MMML_STATE_DIR=str(state_dir),
            MMML_STORAGE_URL=blobs,
            MMML_REDIS_URL=url,
            MMML_DRAIN=drain,
        ),
    ):
        check()
        supervisor = Supervisor(_child_processes(state_dir, worker))
        try:
            supervisor.start()
            yield
        finally:
            supervisor.stop()


def _exit_on_sigterm(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def serve(host: str, port: int, state_dir: Path | None = None, fake: bool = False) -> None:
    """Run the service until Ctrl-C or SIGTERM; ``fake``: without networks.

    Without API keys the service is open, so only loopback addresses are accepted then (AccessError
    otherwise).
    """
    from app.gateway.server import (
        check_access,
        gateway_server,
        raise_open_file_limit,
        require_keys_unless_loopback,
    )

    def settings() -> GatewaySettings:
        return require_keys_unless_loopback(read_settings(GatewaySettings), host)

    raise_open_file_limit()
    # uvicorn raises the signal again once it has shut down; this turns it into an orderly exit of
    # the rest.
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    if not fake:
        make_private(state_dir or default_state_dir())
    own = (
        fake_environment(state_dir)
        if fake
        else contextlib.nullcontext(state_dir or default_state_dir())
    )
    with (
        contextlib.suppress(KeyboardInterrupt),
        own as folder,
        run_processes(
            folder.absolute(),
            lambda: check_access(settings()),
            FAKE_WORKER_MODULE if fake else "workers",
        ),
    ):
        gateway_server(settings(), host, port, grace=GRACE_SECONDS).run()
