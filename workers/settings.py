"""Settings of a worker, beside those all processes share; environment names start with
``MMML_``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Self

from pydantic import ByteSize, Field, model_validator

from jobs.settings import SharedSettings


def _default_name() -> str:
    """The machine's name and the process's number."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _cache() -> Path:
    """The user's cache folder (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmml"


class WorkerSettings(SharedSettings):
    """Times in seconds unless named otherwise."""

    worker_name: str = Field(
        default_factory=_default_name, description="name, unique among workers"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto uses CUDA if available")
    precision: str = Field(
        "auto", description="float32, bfloat16, float16; auto measures each network"
    )
    cache_dir: Path = Field(default_factory=_cache, description="folder for autotuning results")
    threads: int = Field(
        0, ge=0, description="torch threads of the networks on the CPU; 0: one per core"
    )
    concurrency: int = Field(
        0, ge=0, description="jobs held at a time; 0 means 16, or twice MMML_MAX_BATCH on CUDA"
    )
    remote_control: bool = Field(False, description="answer celery inspect and Flower")
    max_batch: int = Field(
        0,
        ge=0,
        description="most images per forward pass, fewer if that is faster; 0 means 8, or 64 on "
        "CUDA",
    )
    max_delay_ms: float = Field(
        4.0, ge=0, description="longest wait for a fuller batch, in milliseconds"
    )
    max_loaded: int = Field(12, ge=1, description="pipelines kept in memory")
    network_memory: ByteSize = Field(
        ByteSize(0),
        description="most bytes of networks' weights kept in memory, the least recently used "
        "leave; 0: any number",
    )
    pinned_bundles: tuple[str, ...] = Field(
        (), description='bundles that are loaded at the start and stay, such as ["cub"]'
    )
    serve_bundles: tuple[str, ...] = Field(
        (),
        description="the only bundles that this worker serves; their jobs wait in queues of their "
        "own; [] serves all",
    )
    stuck_after: float = Field(
        120.0, gt=0, description="longest forward pass; a worker that exceeds it is restarted"
    )
    drain: float = Field(
        30.0,
        ge=0,
        description="time for running jobs to finish after SIGTERM; then they are released",
    )
    max_pixels: int = Field(50_000_000, description="largest photo, in pixels")
    policy: str = Field(
        "", description="`package.module:name` of an object that may refuse requests and images"
    )

    @model_validator(mode="after")
    def _pins_are_served(self) -> Self:
        others = sorted(set(self.pinned_bundles) - set(self.serve_bundles or self.pinned_bundles))
        if others:
            raise ValueError(
                f"MMML_PINNED_BUNDLES names {others[0]}, which MMML_SERVE_BUNDLES leaves out"
            )
        return self

    def sized_for(self, device: str) -> WorkerSettings:
        """With numbers in the place of zeros: a GPU is fast in batches, and needs as many jobs held
        as two of them have.
        """
        on_cuda = device.startswith("cuda")
        batch = self.max_batch or (64 if on_cuda else 8)
        jobs = self.concurrency or (2 * batch if on_cuda else 16)
        return self.model_copy(update={"max_batch": batch, "concurrency": jobs})
