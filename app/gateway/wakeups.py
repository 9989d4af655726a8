"""Wakes workers, by Celery's own publisher. A wake-up that can't be sent is no loss: workers look
for themselves every second.
"""

from __future__ import annotations

import logging
from typing import Protocol

from celery import Celery, uuid
from kombu.exceptions import OperationalError

from jobs.celery_config import QUEUE, TASK_NAME, celery_config

log = logging.getLogger(__name__)
_TIMEOUT = 2.0  # seconds that a silent broker may hold up whoever submits jobs


class WakeUps(Protocol):
    """Wakes as many workers as it is told to."""

    def send(self, count: int) -> None: ...


class CeleryWakeUps:
    """Blocking. Use from one thread."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        self._app = Celery("mmml", set_as_current=False)
        self._app.conf.update(celery_config(redis_url, prefix, _TIMEOUT))
        self._message = self._app.amqp.create_task_message(uuid(), TASK_NAME)

    def send(self, count: int) -> None:
        try:
            for _ in range(count):  # one message for all: to make it takes longer than to send it
                with self._app.producer_or_acquire() as producer:
                    self._app.amqp.send_task_message(
                        producer, TASK_NAME, self._message, queue=QUEUE, retry=False
                    )
        except (OperationalError, OSError) as error:
            log.warning("no worker woken: %s", error)
