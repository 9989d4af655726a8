"""``python -m workers.fake``: the worker of ``mmml serve --fake``."""

from __future__ import annotations

from jobs.logs import configure_logging
from workers.fake.pipeline import DrawingLoader
from workers.settings import WorkerSettings
from workers.worker import Worker, WorkerParts


def main() -> None:
    settings = WorkerSettings(device="cpu", precision="float32")
    configure_logging(settings, worker=settings.worker_name)
    Worker(
        settings, WorkerParts(pipelines=lambda given, _device: DrawingLoader(given.weights_dir))
    ).run()


if __name__ == "__main__":
    main()
