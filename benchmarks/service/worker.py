"""``python -m benchmarks.service.worker SUBJECT``: the worker, around a pipeline that sleeps."""

from __future__ import annotations

import logging
import sys

from benchmarks.peers.pipelines import SUBJECTS, sleeping
from models.runtime.cpu.process import reexec_tuned
from tests.squares import FakeLoader
from workers.settings import WorkerSettings
from workers.worker import Worker


def main(name: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sleeps = SUBJECTS[name].sleeps
    assert sleeps  # others have networks, and the worker as it is
    loader = FakeLoader(sleeping(*sleeps))
    Worker(WorkerSettings(), make_pipelines=lambda *_: loader).run()


if __name__ == "__main__":
    reexec_tuned("benchmarks.service.worker")
    main(sys.argv[1])
