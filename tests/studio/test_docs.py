"""The page of the API in a browser: nothing of another host, under the studio's content policy."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, expect

from jobs.requests import TASKS


def test_every_route_is_shown_and_can_be_tried(context: BrowserContext) -> None:
    page = context.new_page()
    answer = page.goto("/docs")
    assert answer
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for task in TASKS:
        expect(page.locator(f'[data-path="/{task}"]')).to_be_visible()
    page.locator('[data-path="/healthz"]').click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .microlight").first).to_contain_text('"ok"')
