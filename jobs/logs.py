"""Logs: lines for people, or one JSON object a line (``MMML_LOG_FORMAT``), with the ids of what the
line is about: ``request``, ``job``, ``key`` (its id, never its text) and ``worker``. Captions stand
in no line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from jobs.settings import SharedSettings

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ids: ContextVar[dict[str, str] | None] = ContextVar("ids", default=None)


@contextmanager
def log_ids(**ids: str) -> Iterator[None]:
    """Lines that are written within the block name these ids; empty ones are left out."""
    token = _ids.set(dict(ids))
    try:
        yield
    finally:
        _ids.reset(token)


def note_id(name: str, value: str) -> None:
    """One more id, found within a block of :func:`log_ids`; without one it does nothing."""
    ids = _ids.get()
    if ids is not None:
        ids[name] = value


def noted_id(name: str) -> str:
    """That id; empty when it is not known."""
    return (_ids.get() or {}).get(name, "")


class JsonFormatter(logging.Formatter):
    """``extra={"facts": …}`` of a record becomes members of its own."""

    def __init__(self, process: Mapping[str, str]) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._process,
            **{name: value for name, value in (_ids.get() or {}).items() if value},
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(settings: SharedSettings, **process: str) -> None:
    """Log to standard error, from INFO on. ``process``: ids that every JSON line names."""
    handler = logging.StreamHandler()
    as_json = settings.log_format == "json"
    handler.setFormatter(JsonFormatter(process) if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
