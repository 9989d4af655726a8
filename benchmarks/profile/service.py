"""The service as separate processes of one checkout, and what each of them costs in processor
time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app.embedded import broker_command, wait_for_socket
from benchmarks.chaos.processes import Keeper, Process, free_port, wait_until
from benchmarks.chaos.stack import answers, write_bundle

BATCH = 16  # pictures of a batch, at most
_TICK = os.sysconf("SC_CLK_TCK")
_WORKER = Path(__file__).with_name("worker.py")


class Service:
    """Running processes by name, and where the gateway listens."""

    def __init__(self, url: str, port: int, processes: dict[str, Process]) -> None:
        self.redis_url, self.port, self.processes = url, port, processes

    def seconds(self) -> dict[str, float]:
        """Processor time that each has used so far."""
        return {name: _used(process.pid) for name, process in self.processes.items()}


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def running(root: Path, workers: int = 1, **settings: str) -> Iterator[Service]:
    """A service of the checkout ``root``, ready; ``settings`` are names in the environment. Without
    workers it has no steward either, and its jobs wait.
    """
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:  # short: sockets have short paths
        folder, port, keeper = Path(name), free_port(), Keeper()
        write_bundle(folder / "weights" / "null")
        env = _environment(root, folder, port) | settings
        try:
            made = {}
            for key, command in _commands(folder, workers).items():
                made[key] = keeper.add(Process(key, command, env, folder / f"{key}.log", root))
                if key == "valkey":
                    wait_for_socket(folder / "v.sock")
            path = "readyz" if workers else "healthz"
            ready = partial(answers, f"http://127.0.0.1:{port}/{path}")
            wait_until(ready, 120, "the service being ready")
            yield Service(env["MMML_REDIS_URL"], port, made)
        except Exception:
            for log in folder.glob("*.log"):
                sys.stderr.write(f"{log.name}: {log.read_text()[-2000:]}\n")
            raise
        finally:
            keeper.end()


def _environment(root: Path, folder: Path, port: int) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    return plain | {
        "PYTHONPATH": str(root),
        "MMML_REDIS_URL": f"unix://{folder}/v.sock?db=0",
        "MMML_STORAGE_URL": f"file://{folder}/blobs",
        "MMML_WEIGHTS_DIR": str(folder / "weights"),
        "MMML_PORT": str(port),
        "MMML_MAX_BATCH": str(BATCH),
        "MMML_CONCURRENCY": str(2 * BATCH),
        "MMML_MAX_QUEUE": "1000000",
    }


def _commands(folder: Path, workers: int) -> dict[str, list[str]]:
    python = sys.executable
    made = {
        "valkey": broker_command(folder, folder / "v.sock", 4 * 2**30),
        "gateway": [python, "-m", "app.gateway"],
    }
    if workers:
        made["steward"] = [python, "-m", "app.steward"]
    names = ["worker", *(f"worker {n}" for n in range(2, workers + 1))][:workers]
    return made | {name: [python, str(_WORKER)] for name in names}
