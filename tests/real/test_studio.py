"""The studio before the whole service: networks, broker and all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.picture_files import photo, saved
from tests.real.conftest import Service
from tests.studio.chromium import TIMEOUT, chromium
from tests.studio.steps import choose, done, give_photo, make, paint, write

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def test_three_tasks_in_a_browser(browser: Browser, service: Service, tmp_path: Path) -> None:
    service.start()
    service.ready()
    path = tmp_path / "photo.png"
    path.write_bytes(saved(photo(90, 60)))
    context = browser.new_context(base_url=f"http://127.0.0.1:{service.port}")
    context.set_default_timeout(2 * TIMEOUT)
    page = context.new_page()
    page.goto("/")
    write(page, "a red bird")
    made = [make(page)]
    choose(page, "manipulate")
    give_photo(page, path)
    for task in ("manipulate", "inpaint"):
        choose(page, task)
        if task == "inpaint":
            paint(page, (0.3, 0.4), (0.6, 0.6))
        page.get_by_role("button", name="Generate").click()
        expect(page).not_to_have_url(f"/#job/{made[-1]}")
        made.append(done(page))
    expect(page.locator("#gallery-jobs a")).to_have_count(3)
    service.all_succeed(made, 60)
    context.close()
