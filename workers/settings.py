"""Settings of a worker, beside those all processes share; environment names start with
``MMML_``.
"""

from __future__ import annotations

import os
import socket

from pydantic import Field

from jobs.settings import SharedSettings


def _default_name() -> str:
    """The machine's name and the process's number."""
    return f"{socket.gethostname()}-{os.getpid()}"


class WorkerSettings(SharedSettings):
    """Times in seconds unless named otherwise."""

    worker_name: str = Field(default_factory=_default_name, description="unique among workers")
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto takes CUDA when there is one")
    precision: str = Field("float32", description="float32, bfloat16 or float16")
    threads: int = Field(0, ge=0, description="torch threads on the CPU; 0 means one per core")
    concurrency: int = Field(16, ge=1, description="jobs read, decoded and encoded at a time")
    max_batch: int = Field(8, ge=1, description="pictures per forward pass")
    max_delay_ms: float = Field(4.0, ge=0, description="longest wait for more pictures")
    max_loaded: int = Field(12, ge=1, description="pipelines kept in memory")
    stuck_after: float = Field(
        120.0, gt=0, description="a forward pass this long ends the process, to be restarted"
    )
    drain: float = Field(
        30.0, ge=0, description="seconds for running jobs after SIGTERM; then they are handed back"
    )
    max_pixels: int = Field(50_000_000, description="largest photo")
