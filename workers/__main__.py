"""``python -m workers``: load the bundles, warm up, then work until SIGTERM."""

from __future__ import annotations

import logging

from models.runtime.cpu.process import reexec_tuned


def main() -> None:
    # After the re-exec: importing torch twice would double the start-up time.
    from jobs.settings import read_settings
    from workers.settings import WorkerSettings
    from workers.worker import Worker, limit_threads

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = read_settings(WorkerSettings)
    limit_threads(settings.threads)
    Worker(settings).run()


if __name__ == "__main__":
    reexec_tuned("workers")
    main()
