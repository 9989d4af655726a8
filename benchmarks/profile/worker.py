"""A worker around a model that only sleeps, as long as the texts say: "a bird 8 0.5" takes 8 ms for
a batch and 0.5 ms for each picture in it.

It imports nothing of the benchmarks, so that it also runs with the code of another checkout.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from models.pipeline import Item
from workers.fake import FakeLoader, FakePipeline
from workers.settings import WorkerSettings
from workers.worker import Parts, Worker, limit_threads


def _sleep(batch: Sequence[Item]) -> None:
    base, each = batch[0].text.split()[-2:]
    time.sleep((float(base) + float(each) * len(batch)) / 1000)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    limit_threads(1)
    pipeline = FakePipeline(on_forward=_sleep)
    parts = Parts(pipelines=lambda _settings, _device: FakeLoader(pipeline))
    Worker(WorkerSettings(), parts).run()


if __name__ == "__main__":
    main()
