"""Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TIMEOUT = 30_000  # milliseconds; a busy machine is slow


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none.

    Playwright's event loop runs in this thread until the end, and no other can meanwhile: not for
    longer than the tests that need it.
    """
    with sync_playwright() as playwright:
        path = _path(playwright)
        if path is None:
            pytest.skip("there is no Chromium here: apt-get install chromium")
        expect.set_options(timeout=TIMEOUT)
        made = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield made
        made.close()


def _path(playwright: Playwright) -> str | None:
    """Chromium of the system, or else Playwright's own."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)
