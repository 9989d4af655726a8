"""The arguments of a peer's program: subject, weights folder, port."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.pipelines import SUBJECTS, Subject
from models.pipeline import Pipeline
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
    """From the command line of ``python -m module``; with the allocator and the number of threads
    that the service's worker has.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    reexec_tuned(module)
    name, weights, port = sys.argv[1:4]
    return Given(SUBJECTS[name], Path(weights), int(port))
