"""The Celery side of a worker: its life, and one task that hears wake-ups and does no work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from jobs.connections import QUEUE, TASK_NAME, celery_config

log = logging.getLogger(__name__)
# Two lines for each message; the jobs' records say more, and cost nothing.
_VERBOSE_LOGGERS = ("celery.worker.strategy", "celery.app.trace")


def build_app(
    redis_url: str,
    prefix: str,
    notify: Callable[[], None],
    draining: Callable[[], bool],
    remote_control: bool = False,
) -> Celery:
    """The app; ``notify`` is called for every wake-up. ``remote_control``: answer Celery's own
    tools, such as ``celery inspect`` and Flower.
    """
    app = Celery("mmml", set_as_current=False)
    app.conf.update(celery_config(redis_url, prefix))
    app.conf.worker_enable_remote_control = remote_control
    app.conf.worker_send_task_events = remote_control

    @app.task(name=TASK_NAME, ignore_result=True, shared=False)  # type: ignore[untyped-decorator]
    def work() -> None:
        if draining():
            raise Reject("draining", requeue=True)  # another worker takes it at once
        notify()

    return app


def send_wakeup(app: Celery) -> None:
    """Send a wake-up; one that can't be sent is made up for within a second."""
    try:
        app.send_task(TASK_NAME, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("no wake-up sent: %s", error)


def run_worker(
    app: Celery,
    name: str,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
    events: bool = False,
) -> None:
    """Consume until SIGTERM. Wake-ups take no time, so no pool of threads is needed for them."""

    def ready(**_: Any) -> None:
        on_ready()

    def stopping(**_: Any) -> None:
        on_stop()

    for chatty in _VERBOSE_LOGGERS:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)
    app.worker_main(
        [
            "worker",
            *("--pool", "solo"),
            *("--queues", QUEUE),
            *("--hostname", f"{name}@mmml"),
            *("--loglevel", "INFO"),
            "--without-gossip",
            "--without-mingle",
            *([] if events else ["--without-heartbeat"]),
        ]
    )
