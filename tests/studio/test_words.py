"""What the page says: plainly, once, and no longer than it holds."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.studio.conftest import Stand
from tests.studio.steps import choose, make, write

pytestmark = [pytest.mark.browser]


def test_no_words_of_the_api(page: Page) -> None:
    write(page, "zorgly")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem p")).to_have_text("Bundle 'paper' knows no word of this text.")
    expect(page.locator("#text-feedback")).to_be_empty()  # the same is not said twice
    page.locator(".more summary").click()
    for task in ("synthesize", "manipulate", "inpaint"):
        choose(page, task)
        text = page.locator("body").inner_text()
        assert not re.search(r"\b(GET|POST) /|\brequests?\b|\bjson\b", text, re.IGNORECASE)


def test_a_bundle_that_a_message_names_is_a_button(page: Page, stand: Stand) -> None:
    def advice(route: Route) -> None:
        detail = "Bundle 'paper' knows no word of this text. Bundle 'glass' knows zorgly."
        route.fulfill(status=422, json={"status": 422, "detail": detail})

    def two(route: Route) -> None:
        models = route.fetch().json()
        models["bundles"].append({**models["bundles"][0], "name": "glass"})
        route.fulfill(json=models)

    page.route("**/models", two)
    page.route("**/synthesize", advice)
    page.reload()
    write(page, "zorgly")
    page.get_by_role("button", name="Generate").click()
    page.locator("#problem").get_by_role("button", name="glass").click()
    expect(page.locator("#option-bundle")).to_have_value("glass")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_failure_is_told_once_with_one_number(page: Page) -> None:
    def partly(route: Route) -> None:
        job = route.fetch().json()
        if job.get("status") == "succeeded":
            job["warnings"] = ["Image 2 of 2 failed: There was no room."]
            job["images"][1].update(url=None, error={"code": "x", "detail": "There was no room."})
        route.fulfill(json=job)

    write(page, "a red bird")
    page.locator("#option-count").fill("2")
    make(page)
    page.route(re.compile(r"/jobs/\w+$"), partly)
    page.reload()
    expect(page.locator("#stage .note")).to_have_text("Image 2 of 2 failed: There was no room.")
    assert page.locator("#stage").inner_text().count("There was no room") == 1


def test_a_morph_borrows_the_format(page: Page) -> None:
    kind = page.get_by_label("Format")
    expect(kind.locator("option")).to_have_text(["png", "jpeg", "webp"])
    page.locator("#second summary").click()
    page.get_by_label("Second caption").fill("a blue bird")
    expect(kind).to_have_value("webp")
    expect(kind.locator("option")).to_have_text(["png", "jpeg", "webp", "gif"])
    page.locator("#option-seed").fill("3")
    page.locator("#second summary").click()
    expect(kind).to_have_value("png")
    page.locator("#second summary").click()
    page.locator(".more summary").click()
    kind.select_option("gif")
    choose(page, "manipulate")
    expect(kind).to_have_value("png")
    page.reload()
    expect(kind).to_have_value("png")


def test_an_old_error_goes_with_its_cause(page: Page) -> None:
    choose(page, "manipulate")
    write(page, "a red bird")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem")).to_be_visible()
    choose(page, "synthesize")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_field_left_empty_says_what_the_bundle_does(page: Page) -> None:
    page.locator(".more summary").click()
    expect(page.locator("#option-noise_scale")).to_have_attribute(
        "placeholder", re.compile(r"^[\d.]+ by default$")
    )


def test_the_captions_placeholder_fits_the_bundle(page: Page) -> None:
    field = page.locator("#text")
    expect(field).to_have_attribute("placeholder", re.compile("bird"))
    write(page, field.get_attribute("placeholder") or "")
    expect(page.locator("#text-feedback")).to_be_hidden()
