"""Each task, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from jobs.images import decode_photo
from tests.studio.conftest import Stand
from tests.studio.steps import choose, done, give_photo, make, paint, press, tab_to, write

pytestmark = [pytest.mark.browser]


def test_synthesize_by_mouse(page: Page, stand: Stand) -> None:
    page.locator("#text").click()
    page.keyboard.type("a red bird")
    page.get_by_role("button", name="Roll a seed").click()
    page.get_by_role("button", name="More images").click()
    seed = int(page.locator("#option-seed").input_value())
    job = stand.services.store.get(make(page))
    assert job
    assert job.request["text"] == "a red bird"
    assert [image.seed for image in job.images] == [seed, (seed + 1) % 2**32]
    page.get_by_role("button", name="Image 2, seed").click()
    expect(page.locator("#stage .after")).to_have_attribute("src", f"/jobs/{job.id}/images/1")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"a-red-bird-{job.images[1].seed}.png"
    fetched = decode_photo(Path(download.value.path()).read_bytes())
    assert np.array_equal(np.asarray(fetched), np.asarray(stand.made(job.id, 1)))


def test_synthesize_by_keyboard(page: Page, stand: Stand) -> None:
    tab_to(page, "#text")
    page.keyboard.type("a blue bird")
    tab_to(page, "#option-seed")
    page.keyboard.type("42")
    press(page, "Control+Enter")
    job = stand.services.store.get(done(page))
    assert job
    assert job.request["seed"] == 42
    assert job.request["text"] == "a blue bird"


def test_a_size_is_sent_once_it_is_chosen(page: Page, stand: Stand) -> None:
    write(page, "a red bird")
    first = stand.services.store.get(make(page))
    assert first
    assert "size" not in first.request
    page.locator(".more summary").click()
    page.locator("#option-size").select_option("64")
    second = stand.services.store.get(make(page))
    assert second
    assert second.request["size"] == 64


def test_manipulate_by_mouse(page: Page, stand: Stand, picture: Path) -> None:
    choose(page, "manipulate")
    give_photo(page, picture)
    write(page, "a red bird")
    job = make(page)
    assert stand.made(job).size == (120, 80)
    slider = page.get_by_role("slider", name="Before and after")
    assert int(slider.input_value()) <= 20  # the result is what is seen at first
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    place = int(slider.input_value())
    assert 15 < place < 35
    clip = page.locator("#stage .after").evaluate("(image) => image.style.clipPath")
    assert clip == f"inset(0px 0px 0px {place}%)"
    # What was given is shown on the other side of the edge.
    assert page.locator("#stage .before").evaluate("(image) => image.naturalWidth") == 120


def test_manipulate_by_keyboard(page: Page, stand: Stand, picture: Path) -> None:
    # Listened for from the start: what is sent to the browser just before the key comes too late.
    page.on("filechooser", lambda chooser: chooser.set_files(picture))
    tab_to(page, "#tasks input")
    press(page, "ArrowRight")
    tab_to(page, "#text")
    page.keyboard.type("a green bird")
    tab_to(page, "#file-image")
    press(page, "Enter")
    expect(page.locator(".photo-shown")).to_be_visible()
    press(page, "Control+Enter")
    job = stand.services.store.get(done(page))
    assert job
    assert job.task == "manipulate"
    tab_to(page, "#stage .compare input")
    press(page, "ArrowLeft", "ArrowLeft")
    assert page.locator("#stage .compare input").input_value() == "18"


def test_inpaint_by_mouse(page: Page, stand: Stand, picture: Path) -> None:
    choose(page, "inpaint")
    give_photo(page, picture)
    paint(page, (0.25, 0.5), (0.5, 0.5))
    write(page, "a red bird")
    job = make(page)
    mask = np.asarray(stand.sent(job, "mask"))
    assert mask.shape == (80, 120)
    assert mask[40, 30] == mask[40, 60] == 255
    assert mask[5, 5] == mask[40, 100] == 0
    before, after = np.asarray(stand.sent(job, "image")), np.asarray(stand.made(job))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask > 0], after[mask > 0])


def test_inpaint_by_keyboard(page: Page, stand: Stand, picture: Path) -> None:
    choose(page, "inpaint")
    give_photo(page, picture)
    tab_to(page, "canvas.mask")
    press(page, "Space", *["ArrowRight"] * 8, "Space")
    expect(page.locator(".mask-editor .feedback")).to_contain_text("will be filled")
    tab_to(page, "#option-seed")
    write(page, "a red bird")
    press(page, "Control+Enter")
    mask = np.asarray(stand.sent(done(page), "mask"))
    assert mask[40, 60] == mask[40, 74] == 255
    assert mask[40, 20] == 0


def test_a_task_that_the_page_never_heard_of(page: Page, stand: Stand) -> None:
    """A fourth task is described by /openapi.json and /models alone."""

    def openapi(route) -> None:  # type: ignore[no-untyped-def]
        result = route.fetch().json()
        task = result["paths"]["/manipulate"]["post"]
        fields = result["components"]["schemas"]["ManipulateForm"]["properties"]
        fields["strength"] = {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}
        fields["mirrored"] = {"type": "boolean", "default": False}
        result["paths"]["/mirror"] = {"post": {**task, "summary": "Mirror a photo"}}
        route.fulfill(json=result)

    page.route("**/openapi.json", openapi)
    page.reload()
    choose(page, "mirror")
    expect(page.locator("#summary")).to_have_text("Mirror a photo")
    expect(page.get_by_label("Strength")).to_have_value("0.5")
    expect(page.get_by_label("Mirrored")).not_to_be_checked()
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    write(page, "a bird")
    page.get_by_role("button", name="Generate").click()
    # The service's own sentence: this one has no such task.
    expect(page.locator("#problem")).to_contain_text("There is nothing at this address")
