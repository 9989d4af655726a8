"""Logs as JSON, with ids."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from jobs.logs import JsonFormatter, configure_logging, log_ids, note_id, noted_id
from jobs.settings import SharedSettings


def line(message: str, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("shop", logging.INFO, "x.py", 1, message, (), **more)
    text = JsonFormatter({"worker": "w1"}).format(record)
    assert "\n" not in text
    read: dict[str, Any] = json.loads(text)
    return read


def test_a_line_is_an_object_with_its_ids() -> None:
    with log_ids(request="r", key=""):
        note_id("job", "j")
        assert noted_id("request") == "r"
        found = line("two\nlines", exc_info=None)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        **{"level": "info", "logger": "shop", "message": "two\nlines"},
        **{"worker": "w1", "request": "r", "job": "j"},
    }


def test_outside_of_a_block_nothing_is_noted() -> None:
    note_id("job", "j")
    assert noted_id("job") == ""
    assert "job" not in line("later", exc_info=None)


def test_errors_are_told_with_their_trace() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        found = line("failed", exc_info=sys.exc_info())
    assert "ValueError: wrong" in found["exception"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_format_is_a_setting(log_format: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging(SharedSettings(log_format=log_format))
    (handler,) = root.handlers
    assert isinstance(handler.formatter, JsonFormatter) is (log_format == "json")
