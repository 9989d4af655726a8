"""The Celery side of a worker: one task whose message is a job id, run in a pool of threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from celery import Celery, signals
from celery.exceptions import Reject

from jobs.errors import JobsError
from jobs.wire import QUEUE, TASK_NAME, celery_config
from workers import transport
from workers.run import JobRunner

log = logging.getLogger(__name__)
# Two lines for each message; the jobs' records say more, and cost nothing.
_CHATTY = ("celery.worker.strategy", "celery.app.trace")


def build(redis_url: str, runner: JobRunner, received: Callable[[], None]) -> Celery:
    """The app; ``received`` is called for every message."""
    transport.use()
    app = Celery("mmml", set_as_current=False)
    app.conf.update(celery_config(redis_url))

    @app.task(name=TASK_NAME, ignore_result=True)  # type: ignore[untyped-decorator]
    def run(
        schema: int,  # noqa: ARG001 (later versions may need it)
        job_ids: Sequence[str] = (),
        job_id: str | None = None,  # in schema 1
    ) -> None:
        received()
        wanted = [*job_ids, job_id] if job_id else list(job_ids)
        try:
            done = runner.run(*wanted)
        except JobsError as error:
            # The store or the storage is away: the steward sends the jobs again once they are back.
            log.warning("jobs %s left to the steward: %s", ", ".join(wanted), error)
            return
        if not done and runner.draining:
            raise Reject("draining", requeue=True)  # another worker takes it at once

    return app


def consume(
    app: Celery, name: str, threads: int, on_ready: Callable[[], None], on_stop: Callable[[], None]
) -> None:
    """Consume until SIGTERM; returns once the running jobs have ended."""

    def ready(**_: object) -> None:
        on_ready()

    def stopping(**_: object) -> None:
        on_stop()

    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)
    app.worker_main(
        [
            "worker",
            *("--pool", "threads"),
            *("--concurrency", str(threads)),
            *("--queues", QUEUE),
            *("--hostname", f"{name}@mmml"),
            *("--loglevel", "INFO"),
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
