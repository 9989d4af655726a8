"""How processes reach each other: names on the wire, and Celery's settings as plain data."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from jobs.redis_address import as_celery

QUEUE = "mmml"
TASK_NAME = "mmml.run"
MESSAGE_SCHEMA = 2
JOBS_HEADER = "jobs"  # of a message: for how many it is


def message(job_ids: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of the Celery task: a hint that these jobs wait."""
    return {"job_ids": list(job_ids), "schema": MESSAGE_SCHEMA}


def celery_message(job_ids: Sequence[str]) -> str:
    """The hint as Celery's own publisher would write it to Redis (message protocol 2, in kombu's
    envelope): a string for LPUSH. Celery takes about half a millisecond for it, and a round trip
    each.
    """
    number = str(uuid4())
    options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = json.dumps([[], message(job_ids), options])
    headers = {"id": number, "root_id": number, JOBS_HEADER: len(job_ids), **_HEADERS}
    properties = {"correlation_id": number, "delivery_tag": number, **_PROPERTIES}
    whole = {"body": b64encode(body.encode()).decode(), "headers": headers, **_ENCODING}
    return json.dumps({**whole, "properties": properties})


_ENCODING = {"content-encoding": "utf-8", "content-type": "application/json"}
_HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": TASK_NAME,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "",
    "kwargsrepr": "",
    "origin": "mmml",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
_PROPERTIES = {
    "reply_to": "",
    "delivery_mode": 2,
    "delivery_info": {"exchange": "", "routing_key": QUEUE},
    "priority": 0,
    "body_encoding": "base64",
}


def celery_config(redis_url: str) -> dict[str, Any]:
    """Settings of the worker.

    Late acknowledgement and one message per task thread. Which messages are not acknowledged yet is
    known to the process alone, not written to Redis: that would take two transactions for each,
    and what a dead worker had is sent again by the steward, from the jobs' records.
    """
    return {
        "broker_url": as_celery(redis_url),
        "broker_transport_options": {
            "ack_emulation": False,
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
