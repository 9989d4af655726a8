"""``python -m benchmarks.service.worker SUBJECT``: the worker, around a pipeline that sleeps."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.pipelines import SUBJECTS, Subject
from jobs.requests import TASKS
from models.pipeline import Pipeline
from models.runtime.cpu.process import reexec_tuned
from workers.loader import PipelineKey
from workers.settings import WorkerSettings
from workers.worker import Worker, WorkerParts, limit_threads


class SleepingLoader:
    """A pipeline of its own for each bundle and task, as with real weights."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._held: dict[PipelineKey, Pipeline[Any]] = {}

    def get(
        self,
        bundle: str,
        task: str,
        method: str,
        sha256: str = "",  # noqa: ARG002
    ) -> Pipeline[Any]:
        key = bundle, task, method
        if key not in self._held:
            self._held[key] = self._subject.pipeline(Path())
        return self._held[key]

    def loaded(self) -> dict[PipelineKey, int]:
        return dict.fromkeys(self._held, 0)

    def forget_failures(self) -> None:
        """There are none."""

    def bundles(self) -> dict[str, dict[str, Any]]:
        return {self._subject.bundle: {"sha256": "", "tasks": [*TASKS]}}


def main(name: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = WorkerSettings()
    limit_threads(settings.threads)
    loader = SleepingLoader(SUBJECTS[name])
    Worker(settings, WorkerParts(pipelines=lambda _settings, _device: loader)).run()


if __name__ == "__main__":
    reexec_tuned("benchmarks.service.worker")
    main(sys.argv[1])
