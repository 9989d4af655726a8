"""``python -m workers``: load the bundles, warm up, then work until SIGTERM."""

from __future__ import annotations

from models.runtime.cpu.process import reexec_tuned


def main() -> None:
    # After the re-exec: importing torch twice would double the start-up time.
    from jobs.logs import configure_logging
    from jobs.settings import read_settings
    from workers.settings import WorkerSettings
    from workers.worker import Worker

    settings = read_settings(WorkerSettings)
    configure_logging(settings, worker=settings.worker_name)
    Worker(settings).run()


if __name__ == "__main__":
    reexec_tuned("workers")
    main()
