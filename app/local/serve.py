"""The whole service by one command: broker, worker, reconciler and gateway, supervised."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.gateway.server import (
    check_access,
    exit_on_sigterm,
    gateway_server,
    raise_open_file_limit,
    require_keys_unless_loopback,
)
from app.gateway.services import Services
from app.local.announce import WorkerInfo, announcing, ready_text, service_address
from app.local.broker import (
    LocalServiceError,
    configured_redis_url,
    default_state_dir,
    make_private,
    service_broker,
)
from app.local.supervisor import PYTHON_COMMAND, ChildProcess, Supervisor, temporary_environment
from app.settings import GatewaySettings
from jobs.captions import END
from jobs.connections import connect
from jobs.job import ErrorCode
from jobs.redis_store import JobStore
from jobs.requests import TASKS
from jobs.settings import read_settings
from jobs.storage_identity import require_own_storage

FAKE_WORKER_MODULE = "workers.fake"
_DIRECTIVES = f"fail partial slow {' '.join(ErrorCode)} {' '.join(map(str, range(61)))}"
_SPEC = {
    "method": "fake",
    "size": 256,
    "max_words": 40,
    "tokenizer": "regexp",
    "vocabulary": "vocabulary.json",
}
# What explanations need of a bundle beside the tasks.
_ENCODERS = [part for task in TASKS.values() for part in task.explained_by or ()]


@contextlib.contextmanager
def fake_environment(state_dir: Path | None) -> Iterator[Path]:
    """The state folder of a service of fakes, new and erased at the end unless one is given. The
    environment then names its bundles: those of ``MMML_WEIGHTS_DIR`` if it is set, whose words and
    methods are as they are, or else a bundle "fake".
    """
    if configured_redis_url():
        raise LocalServiceError(
            "MMML_REDIS_URL is set, and a worker of fakes must not take real jobs. Unset it."
        )
    with tempfile.TemporaryDirectory(prefix="mmml-fake-") as folder:
        state = state_dir or Path(folder)
        make_private(state)
        write_fake_bundle(state / "weights" / "fake")
        weights = os.environ.get("MMML_WEIGHTS_DIR") or str(state / "weights")
        blobs = (state / "blobs").absolute().as_uri()
        with temporary_environment(MMML_WEIGHTS_DIR=weights, MMML_STORAGE_URL=blobs):
            yield state


def write_fake_bundle(folder: Path) -> None:
    """What a gateway reads of a bundle that offers every task."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "format": 1,
        "name": folder.name,
        "domain": "drawings with the text on them, for tests",
        "licence": "Apache-2.0",
        "tasks": dict.fromkeys([*TASKS, *_ENCODERS], _SPEC),
    }
    (folder / "bundle.json").write_text(json.dumps(described))
    known = Path(__file__).with_name("fake_words.txt").read_text()
    words = sorted({*known.split(), *_DIRECTIVES.split()})
    (folder / "vocabulary.json").write_text(json.dumps({"words": [END, *words]}))


GRACE_SECONDS = 5.0  # for running requests, and then for running jobs, once the service is to end


@contextlib.contextmanager
def _run_processes(state_dir: Path, host: str, worker: str) -> Iterator[None]:
    """Everything but the gateway, running; addresses are in the environment for this process and
    children. What speaks against a start is found once the broker answers, before anything else is
    started. ``worker`` is the module that is the worker.
    """
    blobs = os.environ.get("MMML_STORAGE_URL") or (state_dir / "blobs").as_uri()
    drain = os.environ.get("MMML_DRAIN") or str(GRACE_SECONDS)
    private = not configured_redis_url()
    with (
        service_broker(state_dir) as url,
        temporary_environment(
            MMML_STATE_DIR=str(state_dir),
            MMML_STORAGE_URL=blobs,
            MMML_REDIS_URL=url,
            MMML_DRAIN=drain,
        ),
    ):
        settings = local_settings(host)
        require_bundles(settings.weights_dir)
        check_access(settings)
        require_own_storage(settings)
        if private:
            _forget_workers(settings)
        supervisor = Supervisor(_child_processes(state_dir, worker, settings.metrics_port))
        try:
            supervisor.start()
            yield
        finally:
            supervisor.stop()


def _child_processes(state_dir: Path, worker: str, metrics_port: int) -> list[ChildProcess]:
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    children = {"reconciler": "app.reconciler", "worker": worker}
    return [
        ChildProcess(
            name,
            [*PYTHON_COMMAND, "-m", module],
            logs / f"{name}.log",
            environment={"MMML_METRICS_PORT": str(metrics_port + n)} if metrics_port else {},
        )
        for n, (name, module) in enumerate(children.items(), start=1)
    ]


def _forget_workers(settings: GatewaySettings) -> None:
    """Those that a killed service left in a broker of its own, which look alive for a while."""
    store = JobStore(connect(settings.redis_url), settings.redis_prefix)
    for worker in store.live_workers():
        store.remove_worker(worker["name"])


def require_bundles(folder: Path) -> None:
    """LocalServiceError when ``folder`` holds no bundle."""
    if not any(folder.glob("*/bundle.json")):
        empty = "holds no bundle, which is a folder with a bundle.json"
        raise LocalServiceError(
            "There are no weights to serve: "
            f"{folder.absolute()} {empty if folder.is_dir() else 'does not exist'}. Start in a "
            "checkout of the project, whose weights folder is used, or set MMML_WEIGHTS_DIR to a "
            "folder of bundles; docs/bundles.md describes them."
        )


def serve(host: str, port: int, state_dir: Path | None = None, fake: bool = False) -> None:
    """Run the service until Ctrl-C or SIGTERM; ``fake``: without networks.

    Without API keys the service is open, so only loopback addresses are accepted then (AccessError
    otherwise).
    """
    raise_open_file_limit()
    exit_on_sigterm()
    own: contextlib.AbstractContextManager[Path]
    if fake:
        own = fake_environment(state_dir)
    else:
        own = contextlib.nullcontext(state_dir or default_state_dir())
        make_private(state_dir or default_state_dir())
    with contextlib.suppress(KeyboardInterrupt), own as folder:
        state = folder.absolute()
        with _run_processes(state, host, FAKE_WORKER_MODULE if fake else "workers"):
            _run_gateway(host, port, state)


def local_settings(host: str) -> GatewaySettings:
    """The settings of the environment, for a person at a terminal: no line for each request unless
    it is asked for, and keys where others can reach the service.
    """
    settings = read_settings(GatewaySettings)
    if "access_log" not in settings.model_fields_set:
        settings = settings.model_copy(update={"access_log": False})
    return require_keys_unless_loopback(settings, host)


def _run_gateway(host: str, port: int, state_dir: Path) -> None:
    settings = local_settings(host)
    services = Services(settings)
    server = gateway_server(settings, host, port, GRACE_SECONDS, services)
    if settings.log_format == "json":
        server.run()
        return
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # what follows says it better
    address = settings.public_url or service_address(host, port)

    def ready(worker: WorkerInfo, seconds: float) -> str:
        return ready_text(address, services.catalogue.current(), worker, state_dir, seconds)

    log = state_dir / "logs" / "worker.log"
    with announcing(services.store.live_workers, ready, log):
        try:
            server.run()
        finally:
            sys.stderr.write("\nStopping: running jobs have a few seconds to finish.\n")
