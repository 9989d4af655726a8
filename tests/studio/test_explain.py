"""Fields that a service may have: heat maps of words, and a morph between two captions."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.picture_files import saved
from tests.studio.conftest import Stand
from tests.studio.steps import act, done, make, write

pytestmark = [pytest.mark.browser]


def grey(value: int) -> str:
    data = saved(Image.new("L", (8, 8), value))
    return "data:image/png;base64," + base64.b64encode(data).decode()


def explained(route: Route) -> None:
    result = route.fetch().json()
    for image in result["images"]:
        image["explanation"] = f"/jobs/{result['id']}/images/{image['index']}/explanation"
    route.fulfill(json=result)


def explanation(route: Route) -> None:
    words = [
        {
            "word": "red",
            "start": 2,
            "end": 5,
            "known": True,
            "peak": 0.5,
            "maps": {"region": grey(255)},
        },
        {"word": "zorgly", "start": 6, "end": 12, "known": False, "maps": {}},
        {"word": "bird", "start": 13, "end": 17, "known": True, "maps": {"region": grey(0)}},
    ]
    features = {"W": grey(90)}
    route.fulfill(json={"image": 0, "method": "x", "words": words, "features": features})


def test_a_word_shows_where_it_acted(page: Page) -> None:
    page.route(re.compile(r"/jobs/\w+$"), explained)
    page.route(re.compile(r"/explanation$"), explanation)
    write(page, "a red zorgly bird")
    make(page)
    page.reload()
    done(page)
    words = page.locator(".explanation .word")
    expect(words).to_have_text(["red", "bird"])
    heat = page.locator("canvas.heat")
    expect(heat).not_to_have_class(re.compile("shown"))
    words.first.hover()
    expect(heat).to_have_class(re.compile("shown"))
    pixel = "(c) => [...c.getContext('2d').getImageData(4, 4, 1, 1).data]"
    expect(page.locator(".explanation .small")).to_have_text("“red”: 50 % at its strongest place.")
    strong = heat.evaluate(pixel)
    words.nth(1).focus()
    page.mouse.move(0, 0)
    words.nth(1).focus()
    page.wait_for_timeout(100)
    weak = heat.evaluate(pixel)
    # Where the word acted, the picture is seen; the rest is dimmed.
    assert strong[3] == 0
    assert weak[3] > 200
    expect(page.locator(".legend")).to_have_text("Dark: did not act Clear: acted most")
    expect(page.get_by_role("button", name="What the text scales (W)")).to_be_visible()


def test_nothing_is_said_without_an_explanation(page: Page) -> None:
    write(page, "a red bird")
    make(page)
    expect(page.locator(".explanation")).to_have_count(0)


def test_a_morph_is_an_animation(page: Page, stand: Stand) -> None:
    page.locator("#second summary").click()
    write(page, "a red bird")
    page.get_by_label("Second caption").fill("a zorgly bird")
    expect(page.locator("#text-2-feedback")).to_contain_text("does not know “zorgly”")
    page.get_by_label("Frames, from the first to the second").fill("5")
    expect(page.get_by_label("Format")).to_have_value("webp")
    expect(page.get_by_label("Show where each word acted")).to_be_disabled()
    job = stand.services.store.get(make(page))
    assert job
    assert job.request["text"] == ["a red bird", "a zorgly bird"]
    assert (job.request["frames"], job.images[0].format) == (5, "webp")
    with Image.open(io.BytesIO(stand.services.blobs.get(job.images[0].blob))) as picture:
        assert picture.n_frames == 5
    expect(page.locator("#stage h2")).to_have_text("a red bird → a zorgly bird")


def test_a_mix_of_two_captions_and_again(page: Page, stand: Stand) -> None:
    page.locator("#second summary").click()
    write(page, "a red bird")
    page.get_by_label("Second caption").fill("a blue bird")
    page.get_by_role("radio", name="Mix").check()
    page.locator("#share").fill("25")
    job = stand.services.store.get(make(page))
    assert job
    assert [part["weight"] for part in job.request["text"]] == [75, 25]
    page.evaluate("sessionStorage.clear()")
    page.reload()
    done(page)
    act(page, "More", "Again with this seed")
    expect(page.get_by_label("Second caption")).to_have_value("a blue bird")
    expect(page.locator("#share-value")).to_have_text("25 %")
    page.locator("#second summary").click()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#stage h2")).to_have_text("a red bird")
