"""``python -m workers.fake``: the worker of ``mmml serve --fake``."""

from __future__ import annotations

import logging

from workers.fake.pipeline import DrawingLoader
from workers.settings import WorkerSettings
from workers.worker import Worker, WorkerParts


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = WorkerSettings(device="cpu", precision="float32")
    Worker(
        settings, WorkerParts(pipelines=lambda given, _device: DrawingLoader(given.weights_dir))
    ).run()


if __name__ == "__main__":
    main()
