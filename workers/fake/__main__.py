"""``python -m workers.fake``: the worker of ``mmml serve --fake``."""

from __future__ import annotations

from jobs.logs import configure_logging
from workers.fake.pipeline import DrawingLoader
from workers.settings import WorkerSettings
from workers.worker import Worker


def main() -> None:
    settings = WorkerSettings(device="cpu", precision="float32")
    configure_logging(settings, worker=settings.worker_name)
    loader = DrawingLoader(settings.weights_dir, settings.serve_bundles)
    Worker(settings, make_pipelines=lambda *_: loader).run()


if __name__ == "__main__":
    main()
