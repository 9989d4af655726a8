"""How processes reach each other: names on the wire, and Celery's settings as plain data.

Celery carries wake-ups only: a message says that jobs may wait, and a worker that hears it asks the
job store for some. One that is lost costs a second, one too many costs a question.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from jobs.redis_address import as_celery

QUEUE = "wakeups"
TASK_NAME = "mmml.work"


def wakeups_key(prefix: str) -> str:
    """The Redis list in which Celery keeps the messages; the scripts look at its length."""
    return f"{_celery_prefix(prefix)}{QUEUE}"


def _celery_prefix(prefix: str) -> str:
    return f"{prefix}celery:"


def celery_config(redis_url: str, prefix: str, timeout: float = 30.0) -> dict[str, Any]:
    """Settings of whoever sends or hears wake-ups. ``timeout``: seconds after which a silent broker
    counts as away.

    Late acknowledgement and one message at a time, so that a busy worker leaves them to the others.
    What is taken and not acknowledged is not written to Redis: a wake-up is worth no transaction.
    """
    return {
        "broker_url": as_celery(redis_url),
        "broker_transport_options": {
            "ack_emulation": False,
            "global_keyprefix": _celery_prefix(prefix),
            "health_check_interval": 10,
            "socket_keepalive": urlsplit(redis_url).scheme != "unix",
            "socket_timeout": timeout,
            "socket_connect_timeout": 2,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_default_queue": QUEUE,
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_soft_shutdown_timeout": 10,
        "worker_enable_remote_control": False,
    }
