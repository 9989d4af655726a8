"""The studio of a service with keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.gateway.api_keys import default_scopes, generate_key, new_api_key, revoke
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.services import connected
from tests.studio.conftest import Stand, Watch
from tests.studio.steps import act, choose, give_photo, make, paint, write

pytestmark = [pytest.mark.browser]


@pytest.fixture
def services(weights: Path, valkey: str) -> Services:
    return connected(GatewaySettings(weights_dir=weights, require_keys=True), valkey)


@pytest.fixture
def key(services: Services) -> str:
    text = generate_key()
    services.authenticator.keys.add(new_api_key(text, "kiosk", default_scopes()))
    return text


@pytest.fixture
def stand(services: Services, key: str):  # type: ignore[no-untyped-def]
    with Stand(services) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext, key: str) -> Page:
    """Signed in."""
    made = context.new_page()
    made.goto("/")
    sign_in(made, key)
    made.locator("#tasks input").first.wait_for(state="attached")
    return made


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in")).to_be_hidden()


def test_a_wrong_key_then_the_right_one(context: BrowserContext, stand: Stand, key: str) -> None:
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill("mmml_nothing")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#sign-in-problem")).to_contain_text("This API key is not known")
    page.keyboard.press("Escape")
    expect(page.locator("#sign-in")).to_be_visible()
    sign_in(page, key)
    expect(page.locator("#who")).to_have_text("Signed in as kiosk")
    write(page, "a red bird")
    make(page)


def test_pictures_and_events_need_no_key_in_an_address(
    page: Page, watch: Watch, stand: Stand, key: str, picture: Path
) -> None:
    choose(page, "inpaint")
    give_photo(page, picture)
    paint(page, (0.3, 0.3), (0.6, 0.6))
    write(page, "a red bird")
    job = make(page)
    after = page.locator("#stage .after")
    after.evaluate("(image) => image.decode()")
    assert after.evaluate("(image) => image.naturalWidth") == 120
    asked = {request.url.removeprefix(stand.url) for request in watch.requests}
    assert f"/jobs/{job}/images/0" in asked
    assert not [url for url in asked if key in url]
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert key not in page.evaluate(kept)
    assert "mmml_session" not in page.evaluate(kept)


def test_events_come_with_the_cookie(page: Page, watch: Watch, stand: Stand) -> None:
    stand.working.clear()
    write(page, "a red bird")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".status")).to_have_text("Next in the queue")
    stand.working.set()
    expect(page.locator("#stage .actions")).to_be_visible()
    assert [r for r in watch.requests if re.search(r"/jobs/\w+/events$", r.url)]


def test_a_session_that_ends_meanwhile(page: Page, services: Services, key: str) -> None:
    write(page, "a red bird")
    found = services.authenticator.keys.all()[0]
    fresh = generate_key()
    services.authenticator.keys.add(new_api_key(fresh, "next", default_scopes()))
    revoke(services.authenticator.keys, found.id)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#sign-in")).to_be_visible()
    sign_in(page, fresh)
    expect(page.locator("#text")).to_have_value("a red bird")
    make(page)


def test_sign_out_leaves_nothing(page: Page, picture: Path) -> None:
    choose(page, "manipulate")
    give_photo(page, picture)
    write(page, "a red bird")
    make(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    count = """async () => {
        const open = indexedDB.open("mmml-studio", 1);
        await new Promise((done) => { open.onsuccess = done; });
        const asked = open.result.transaction("inputs").objectStore("inputs").count();
        await new Promise((done) => { asked.onsuccess = done; });
        return asked.result;
    }"""
    assert page.evaluate(count) == 0
    assert page.evaluate("sessionStorage.length") == 0


def test_the_code_takes_the_key_from_the_environment(page: Page, key: str) -> None:
    write(page, "a red bird")
    make(page)
    act(page, "More", "Copy as curl")
    text = page.locator("#code-text").inner_text()
    assert '-H "Authorization: Bearer $MMML_API_KEY"' in text
    assert key not in text
