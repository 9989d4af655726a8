"""What ``mmml serve`` says on the screen."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from app.local.announce import announcing, ready_text, service_address
from jobs.bundles import Catalogue
from jobs.errors import StoreError
from tests.conftest import write_paper_bundle

WORKER = {"device": "cpu", "bundles": {"paper": {"tasks": ["synthesize", "inpaint"]}}}


class Screen(io.StringIO):
    """``is_terminal``: whether lines can be written over."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("localhost", "http://localhost:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),  # noqa: S104
        ("::1", "http://[::1]:8001"),
    ],
)
def test_address_is_one_that_a_browser_opens(host: str, address: str) -> None:
    assert service_address(host, 8001) == address


def test_block_names_what_the_worker_can_load(weights: Path) -> None:
    write_paper_bundle(weights / "damaged")
    text = ready_text("http://h:1", Catalogue.open(weights), WORKER, Path("/state"), 7.4)
    assert "ready on cpu after 7 s" in text
    assert "http://h:1/docs" in text
    assert "/state (jobs" in text
    assert "Ctrl-C" in text
    assert "paper  tests  synthesize, inpaint" in text
    assert "manipulate" not in text
    assert "damaged" not in text


def test_block_marks_defaults(weights: Path) -> None:
    catalogue = Catalogue.open(weights, {"inpaint": "paper", "synthesize": "other"})
    text = ready_text("", catalogue, WORKER, Path("/s"), 1)
    assert "synthesize, inpaint*" in text


def announce(screen: Screen, answers: list[Any]) -> str:
    """What is on the screen once a worker is ready; ``answers`` of the store come one by one."""
    ready = threading.Event()

    def find_workers() -> list[Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def text(worker: Any, _seconds: float) -> str:
        ready.set()
        return f"ready: {worker['device']}\n"

    with announcing(find_workers, text, Path("/logs/worker.log"), screen):
        assert ready.wait(10)
    return screen.getvalue()


def test_loading_and_readiness_are_told_once() -> None:
    shown = announce(Screen(False), [[], StoreError("away"), [], [WORKER]])
    assert shown.splitlines() == [
        "Loading the networks: 0 s (the worker's log: /logs/worker.log)",
        "ready: cpu",
    ]


def test_terminal_has_one_line_of_progress() -> None:
    shown = announce(Screen(True), [[], [WORKER]])
    assert shown.count("\n") == 1
    assert shown.endswith("\r\x1b[Kready: cpu\n")
