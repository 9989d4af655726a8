"""How processes reach each other: names on the wire, and Celery's settings as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

QUEUE = "mmml"
TASK_NAME = "mmml.run"
MESSAGE_SCHEMA = 2
JOBS_HEADER = "jobs"  # of a message: for how many it is


def message(job_ids: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of the Celery task: a hint that these jobs wait."""
    return {"job_ids": list(job_ids), "schema": MESSAGE_SCHEMA}


def broker_url(redis_url: str) -> str:
    """The same server in Celery's words: unix sockets are spelled differently there."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    db = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={db}"


def celery_config(redis_url: str) -> dict[str, Any]:
    """Settings for publisher and worker.

    Late acknowledgement and one message per task thread; the one-hour visibility timeout is a
    backstop only, since
    the steward recovers jobs from their records.
    """
    return {
        "broker_url": broker_url(redis_url),
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "health_check_interval": 10,
            "socket_keepalive": urlsplit(redis_url).scheme != "unix",
            "socket_timeout": 30,
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
