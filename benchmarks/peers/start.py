"""The arguments of a peer's program: subject, weights folder, port."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.pipelines import SUBJECTS, Subject
from jobs.images import encode
from models.pipeline import Item, Output, Pipeline
from models.runtime.cpu.process import reexec_tuned


@dataclass(frozen=True)
class Given:
    """The words of a command line ``SUBJECT WEIGHTS PORT``."""

    subject: Subject
    weights: Path
    port: int

    def pipeline(self) -> Pipeline[Any]:
        return self.subject.pipeline(self.weights)


def given(module: str) -> Given:
    """From the command line of ``python -m module``; allocator and threads as a worker has."""
    os.environ["OMP_NUM_THREADS"] = "1"
    reexec_tuned(module)
    name, weights, port = sys.argv[1:4]
    return Given(SUBJECTS[name], Path(weights), int(port))


def png(pipeline: Pipeline[Any], prepared: Any, output: Output) -> bytes:
    """The answer to a request."""
    return encode(pipeline.finish_output(prepared, output)[0])


def pngs(pipeline: Pipeline[Any], items: list[Item]) -> list[bytes]:
    """A batch, from requests to answers."""
    prepared = [pipeline.prepare(item) for item in items]
    outputs = pipeline.forward(prepared)
    return [png(pipeline, p, x) for p, x in zip(prepared, outputs, strict=True)]
