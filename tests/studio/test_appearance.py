"""On a phone, in the dark, for people who see little or use no mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.studio.chromium import TIMEOUT
from tests.studio.conftest import Stand
from tests.studio.steps import act, choose, give_photo, make, paint, write

pytestmark = [pytest.mark.browser]
AXE = (Path(__file__).parent / "axe/axe.min.js").read_text(encoding="utf-8")


def faults(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds on the page as it is."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        {"rule": v["id"], "where": [n["html"][:200] for n in v["nodes"]]}
        for v in found["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, picture: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert faults(page) == []
    write(page, "a zorgly bird")
    page.locator("#vocabulary summary").click()
    choose(page, "manipulate")
    assert faults(page) == []
    choose(page, "inpaint")
    give_photo(page, picture)
    paint(page, (0.3, 0.3), (0.6, 0.6))
    page.locator("#option-count").fill("2")
    make(page)
    assert faults(page) == []
    page.get_by_role("button", name="Image 2, seed").click()
    assert faults(page) == []
    page.get_by_role("button", name="Enlarge").click()
    assert faults(page) == []
    page.keyboard.press("Escape")
    for name in ("Compare with another", "Copy as curl"):
        act(page, "More", name)
        assert faults(page) == []
        page.keyboard.press("Escape")
    page.locator("#option-count").fill("99")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem")).to_be_visible()
    assert faults(page) == []


def test_the_colours_can_be_chosen(page: Page) -> None:
    shown = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shown)
    page.get_by_role("button", name="Colours: as the system").click()
    assert page.evaluate(shown) == light
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(shown) != light
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(shown) != light


# Everything that can be touched, and is not wider or higher than a finger needs.
SMALL = """() => [...document.querySelectorAll(
    "button, a, input:not(.hidden), select, textarea, summary, .segment")]
  .filter((e) => e.offsetParent && !e.closest("[aria-hidden=true]") && !e.matches(".skip"))
  .map((e) => [e.outerHTML.slice(0, 90), e.type === "checkbox" ? e.closest("label") : e])
  .map(([html, e]) => [html, e.getBoundingClientRect()])
  .filter(([, { width, height }]) => width < 43.5 || height < 43.5)
  .map(([html, { width, height }]) => `${html} ${width}x${height}`)"""
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def test_a_phone(context: BrowserContext, stand: Stand, picture: Path) -> None:
    made = context.browser.new_context(  # type: ignore[union-attr]
        base_url=stand.url, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True
    )
    made.set_default_timeout(TIMEOUT)
    page = made.new_page()
    page.goto("/")
    choose(page, "inpaint")
    assert page.evaluate(SMALL) == []
    expect(page.get_by_text("Take a photo")).to_be_visible()
    give_photo(page, picture)
    canvas = page.locator("canvas.mask")
    canvas.scroll_into_view_if_needed()
    canvas.tap()
    expect(page.locator(".mask-editor .feedback")).to_contain_text("will be filled")
    page.locator("#text").fill("a zorgly bird with red wings and a very very very long tail")
    page.locator("#option-count").fill("3")
    assert not page.evaluate(WIDER)
    page.get_by_role("button", name="Generate").tap()
    expect(page.locator("#stage .actions")).to_be_visible()
    expect(page.locator("#stage")).to_be_in_viewport()
    assert not page.evaluate(WIDER)
    assert page.evaluate(SMALL) == []
    assert faults(page) == []
    made.close()


def test_nothing_moves_for_those_who_want_less_motion(page: Page, stand: Stand) -> None:
    stand.working.clear()
    write(page, "a red bird")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".status")).to_be_visible()
    moving = """() => [...document.querySelectorAll("*")]
      .flatMap((e) => [null, "::before", "::after"].map((part) => getComputedStyle(e, part)))
      .filter((s) => s.animationName !== "none" || s.transitionDuration !== "0s").length"""
    assert page.evaluate(moving) == 0


def test_the_focus_is_seen(page: Page) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        seen = """() => {
            const all = [];
            for (let e = document.activeElement; e; e = e.parentElement) all.push(e);
            return all.slice(0, 3).some((e) => getComputedStyle(e).outlineStyle !== "none");
        }"""
        assert page.evaluate(seen), page.evaluate("document.activeElement.outerHTML")
