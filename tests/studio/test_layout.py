"""Nothing is covered, cut off or pushed out, from the smallest phone to a wall."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.studio.steps import choose, give_photo, make, paint, write

pytestmark = [pytest.mark.browser]

WIDTHS = [320, 400, 768, 900, 1280, 1920, 2560]
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# What reaches over the edge of its panel.
OUTSIDE = """() => [...document.querySelectorAll(".panel")].flatMap((panel) => {
    const { left, right } = panel.getBoundingClientRect();
    const excepted = ".hidden, .file-name, details:not([open]) > :not(summary)";
    return [...panel.querySelectorAll("*")]
      .filter((e) => e.getClientRects().length && !e.closest(excepted))
      .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
      .filter(([, box]) => box.left < left || box.right > right)
      .map(([html]) => html);
})"""
# Labels whose text is wider than their place.
CUT = """() => [...document.querySelectorAll("button span, label, summary, .chip")]
  .filter((e) => e.getClientRects().length && !e.closest(".hidden, .tools"))
  .filter((e) => e.scrollWidth > Math.ceil(e.clientWidth))
  .filter((e) => getComputedStyle(e).display !== "inline")
  .concat([...document.querySelectorAll("#tasks .segment span")]
    .filter((e) => e.scrollWidth > e.offsetWidth || e.offsetWidth > e.parentElement.clientWidth))
  .map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture
def long_name(picture: Path) -> Path:
    path = picture.with_name("a-photo-" + "of-a-very-long-name-" * 5 + "from-a-phone.png")
    shutil.copy(picture, path)
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_inside_its_panel(page: Page, long_name: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    choose(page, "inpaint")
    give_photo(page, long_name)
    paint(page, (0.3, 0.3), (0.6, 0.6))
    write(page, "a red bird with " + "w" * 60)
    page.locator("#option-count").fill("3")
    page.locator(".more summary").click()
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []
    make(page)
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []
    assert not page.evaluate(WIDER)


@pytest.mark.parametrize("size", [(400, 700), (1280, 720)])
def test_nothing_covers_the_mask(page: Page, picture: Path, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    choose(page, "inpaint")
    give_photo(page, picture)
    covered = """(canvas) => {
        const { left, top, width, height } = canvas.getBoundingClientRect();
        const points = [0.05, 0.5, 0.95].flatMap((x) => [0.05, 0.5, 0.95].map((y) => [x, y]));
        return points.filter(([x, y]) => {
            const [px, py] = [left + x * width, top + y * height];
            const seen = py < innerHeight && document.elementFromPoint(px, py);
            return seen && seen !== canvas;
        });
    }"""
    canvas = page.locator("canvas.mask")
    for block in ("start", "center", "end"):
        canvas.evaluate("(c, block) => c.scrollIntoView({ block })", block)
        assert canvas.evaluate(covered) == []


def test_the_actions_are_few_and_closed_lists_open_by_key(page: Page) -> None:
    write(page, "a red bird")
    make(page)
    first = page.locator("#stage .actions > *")
    assert first.count() <= 4
    tops = first.evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().top)")
    assert max(tops) - min(tops) < 4
    more = page.locator("#stage summary", has_text="More")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy as curl")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Copy as curl")).to_be_hidden()
    expect(more).to_be_focused()
    more.click()
    page.locator("#text").click()
    expect(page.get_by_role("button", name="Copy as curl")).to_be_hidden()


def test_only_the_devices_fonts_are_named() -> None:
    folder = Path(__file__).parents[2] / "app/gateway/studio"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.css"))
    assert "@font-face" not in text
    assert "--sans: system-ui, sans-serif;" in text
