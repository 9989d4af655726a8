"""What can be done with finished images: see them all, enlarged, side by side; take them; go on."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from jobs.images import decode_photo
from mmml import Client
from tests.studio.conftest import Stand
from tests.studio.steps import act, choose, done, give_photo, make, write

pytestmark = [pytest.mark.browser]


def several(page: Page, count: int = 3, seed: int = 7) -> str:
    write(page, "a red bird")
    page.locator("#option-seed").fill(str(seed))
    page.locator("#option-count").fill(str(count))
    return make(page)


def test_a_grid_then_one_of_it_then_all_again(page: Page) -> None:
    job = several(page)
    tiles = page.locator(".grid-tile")
    expect(tiles).to_have_count(3)
    tiles.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stage .after")).to_have_attribute("src", f"/jobs/{job}/images/2")
    page.get_by_role("button", name="All images").click()
    expect(tiles).to_have_count(3)
    expect(tiles.first).to_be_focused()


def test_enlarged_with_zoom_and_keys(page: Page) -> None:
    several(page)
    page.get_by_role("button", name="Enlarge").click()
    image, text = page.locator("#lightbox img"), page.locator("#lightbox-text")
    expect(text).to_contain_text("Image 1 of 3 · seed 7")
    fitted = image.evaluate("(e) => e.clientHeight")
    assert fitted > 700  # of an image of 64 pixels
    page.keyboard.press("ArrowLeft")
    expect(text).to_contain_text("Image 3 of 3 · seed 9")
    page.keyboard.press("+")
    assert image.evaluate("(e) => e.clientHeight") > 1.4 * fitted
    expect(image).to_have_class("pixels")
    page.get_by_role("button", name="Fit the window").click()
    assert image.evaluate("(e) => e.clientHeight") == fitted
    page.mouse.move(640, 450)
    page.mouse.wheel(0, 100)
    assert image.evaluate("(e) => e.clientHeight") < fitted
    page.keyboard.press("Escape")
    expect(page.locator("#lightbox")).to_be_hidden()
    expect(page.get_by_role("button", name="Enlarge")).to_be_focused()


def test_the_result_of_a_long_form_comes_into_view(page: Page, stand: Stand, picture: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 700})
    stand.working.clear()
    choose(page, "manipulate")
    give_photo(page, picture)
    write(page, "a red bird")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".status")).to_be_visible()
    stand.working.set()
    done(page)
    expect(page.locator("#stage h2")).to_be_in_viewport()


def test_download_all(page: Page, stand: Stand) -> None:
    job = several(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    assert download.value.suggested_filename == "a-red-bird-7.zip"
    with zipfile.ZipFile(Path(download.value.path())) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"a-red-bird-{seed}.png" for seed in (7, 8, 9)]
        for k, name in enumerate(archive.namelist()):
            assert (decode_photo(archive.read(name)).tobytes()) == stand.made(job, k).tobytes()


def test_the_lock_keeps_the_seed(page: Page, stand: Stand) -> None:
    write(page, "a red bird")
    first = stand.services.store.get(make(page))
    assert first
    lock = page.get_by_role("button", name="Keep the seed")
    expect(lock).to_have_attribute("aria-pressed", "false")
    drawn = lock.locator("use")
    expect(drawn).to_have_attribute("href", re.compile("#unlock$"))
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "true")
    expect(drawn).to_have_attribute("href", re.compile("#lock$"))
    expect(page.locator("#option-seed")).to_have_value(str(first.images[0].seed))
    second = stand.services.store.get(make(page))
    assert second
    assert second.images[0].seed == first.images[0].seed
    lock.click()
    expect(page.locator("#option-seed")).to_have_value("")


def test_variations(page: Page, stand: Stand, picture: Path) -> None:
    choose(page, "manipulate")
    give_photo(page, picture)
    write(page, "a red bird")
    page.locator("#option-seed").fill("7")
    first = make(page)
    page.get_by_role("button", name="Variations").click()
    page.wait_for_url(re.compile(f"#job/(?!{first})"))
    expect(page.locator(".grid-tile")).to_have_count(4)
    job = stand.services.store.get(done(page))
    assert job
    assert (job.request["text"], len(job.images)) == ("a red bird", 4)
    assert 7 not in [image.seed for image in job.images]


def test_compare_any_two(page: Page) -> None:
    several(page, count=2, seed=1)
    write(page, "a blue bird")
    page.locator("#option-count").fill("1")
    make(page)
    act(page, "More", "Compare with another")
    choices = page.get_by_role("radiogroup", name="Second image").locator("input")
    expect(choices).to_have_count(2)
    choices.nth(1).check()
    expect(page.locator("#pair-text")).to_have_text(
        "First: a blue bird, seed 1\nSecond: a red bird, seed 2"
    )
    page.get_by_role("slider", name="First and second").focus()
    page.keyboard.press("Home")
    assert (
        page.locator("#pair .after").evaluate("(e) => e.style.clipPath") == "inset(0px 0px 0px 0%)"
    )


def test_earlier_captions(page: Page) -> None:
    expect(page.locator("#prompts")).to_be_hidden()
    several(page, count=1)
    write(page, "a blue bird")
    make(page)
    page.locator("#prompts summary").click()
    expect(page.locator("#prompts-list button")).to_have_text(["a blue bird", "a red bird"])
    page.get_by_role("button", name="a red bird", exact=True).click()
    expect(page.locator("#text")).to_have_value("a red bird")


def test_jobs_of_programs_and_other_tabs_appear(page: Page, stand: Stand) -> None:
    with Client(stand.url) as client:
        client.synthesize("a bird").wait()
    expect(page.locator("#gallery-jobs img")).to_have_count(1, timeout=15_000)


def test_an_example_with_its_bundle(page: Page) -> None:
    def with_aviary(route: Route) -> None:
        models = route.fetch().json()
        domain = "drawn birds"
        models["bundles"].append({**models["bundles"][0], "name": "aviary", "domain": domain})
        route.fulfill(json=models)

    choose(page, "manipulate")
    expect(page.get_by_role("button", name="Use an example")).to_have_count(0)
    page.route("**/models", with_aviary)
    page.reload()
    choose(page, "inpaint")
    page.get_by_role("button", name="Use an example").click()
    expect(page.locator(".mask-editor .feedback")).to_contain_text(
        "10 % of the photo will be filled"
    )
    expect(page.locator("#option-bundle")).to_have_value("aviary")
    expect(page.locator("#text")).to_have_value("a bird with red wings")
    expect(page.locator(".photo-hint")).to_contain_text("aviary was trained on drawn birds.")
    expect(page.locator(".bundle-card p")).to_contain_text("Trained on drawn birds.")


def test_each_task_has_a_drawing(page: Page) -> None:
    for task in ("synthesize", "manipulate", "inpaint"):
        choose(page, task)
        drawn = page.locator("#stage .drawing use")
        expect(drawn).to_have_attribute("href", re.compile(f"#task-{task}$"))
        # A symbol that is not there has no extent.
        assert page.locator("#stage .drawing").evaluate("(e) => e.getBBox().width") > 50
