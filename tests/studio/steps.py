"""What a person does on the page, by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect


def choose(page: Page, task: str) -> None:
    page.locator(f"#tasks input[value={task}]").check()


def give_photo(page: Page, path: Path) -> None:
    page.locator("#photos input[type=file]").first.set_input_files(path)
    expect(page.locator(".photo-shown")).to_be_visible()


def paint(page: Page, *points: tuple[float, float]) -> None:
    """A stroke through points given as parts of the photo's sides."""
    canvas = page.locator("canvas.mask")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    for k, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if k == 0:
            page.mouse.down()
    page.mouse.up()


def write(page: Page, text: str) -> None:
    page.locator("#text").fill(text)


def make(page: Page) -> str:
    """Ask, wait for the pictures, and return the job's id."""
    before = page.url
    page.get_by_role("button", name="Generate").click()
    expect(page).not_to_have_url(before)  # an earlier job's pictures may still be there
    return done(page)


def act(page: Page, menu: str, name: str) -> None:
    """Choose from a menu below the result."""
    page.locator("#stage summary", has_text=menu).click()
    page.locator("#stage .menu-items").get_by_role("button", name=name).click()


def done(page: Page) -> str:
    expect(page.locator("#stage .actions")).to_be_visible()
    return job_id(page)


def job_id(page: Page) -> str:
    found = re.search(r"#job/(\w+)$", page.url)
    assert found, page.url
    return found[1]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, selector: str, limit: int = 60) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(limit):
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} can't be reached with the Tab key")
