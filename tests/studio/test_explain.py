"""Fields that a service may have: heat maps of words, and a morph between two captions."""

from __future__ import annotations

import base64
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.picture_files import saved
from tests.studio.steps import done, make, write

pytestmark = [pytest.mark.browser]


def grey(value: int) -> str:
    data = saved(Image.new("L", (8, 8), value))
    return "data:image/png;base64," + base64.b64encode(data).decode()


def explained(route: Route) -> None:
    told = route.fetch().json()
    for image in told["images"]:
        image["explanation"] = f"/jobs/{told['id']}/images/{image['index']}/explanation"
    route.fulfill(json=told)


def explanation(route: Route) -> None:
    words = [
        {"word": "red", "start": 2, "end": 5, "known": True, "maps": {"region": grey(255)}},
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
    strong = heat.evaluate(pixel)
    words.nth(1).focus()
    page.mouse.move(0, 0)
    words.nth(1).focus()
    page.wait_for_timeout(100)
    weak = heat.evaluate(pixel)
    assert strong[3] > weak[3]
    assert sum(strong[:3]) > sum(weak[:3])
    expect(page.get_by_role("button", name="W: what the text scales")).to_be_visible()


def test_nothing_is_said_without_an_explanation(page: Page) -> None:
    write(page, "a red bird")
    make(page)
    expect(page.locator(".explanation")).to_have_count(0)


def test_a_morph_sends_two_captions(page: Page) -> None:
    def openapi(route: Route) -> None:
        told = route.fetch().json()
        content = told["paths"]["/synthesize"]["post"]["requestBody"]["content"]
        fields = content["multipart/form-data"]["schema"]["properties"]
        fields["frames"] = {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]}
        fields["explain"] = {"type": "boolean", "default": False}
        route.fulfill(json=told)

    page.route("**/openapi.json", openapi)
    page.reload()
    page.get_by_label("Show where each word acted").check()
    page.locator("#morph summary").click()
    write(page, "a red bird")
    page.get_by_label("Second caption").fill("a blue bird")
    page.get_by_label("Frames").fill("8")
    with page.expect_request("**/synthesize") as asked:
        page.get_by_role("button", name="Make").click()
    body = asked.value.post_data or ""
    values = re.findall(r'name="(\w+)"\r\n\r\n(.*?)\r\n', body)
    assert [v for name, v in values if name == "text"] == ["a red bird", "a blue bird"]
    assert dict(values)["frames"] == "8"
    assert dict(values)["explain"] == "true"
    assert "format" not in dict(values)
    expect(page.locator("#problem")).to_be_visible()  # this service has no such fields
