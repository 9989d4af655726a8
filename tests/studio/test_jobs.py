"""A job's life as the page tells it, and what can be done with it afterwards."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import time
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from jobs.images import decode_photo
from jobs.job import Status
from mmml import Client
from tests.studio.conftest import Stand
from tests.studio.steps import act, choose, done, give_photo, job_id, make, paint, write

pytestmark = [pytest.mark.browser]


def ask(page: Page, text: str = "a red bird") -> None:
    write(page, text)
    page.get_by_role("button", name="Generate").click()


def test_the_queue_and_a_reload_meanwhile(page: Page, stand: Stand) -> None:
    stand.working.clear()
    with Client(stand.url) as client:
        client.submit("synthesize", "a bird", {})
        ask(page)
        expect(page.locator(".status")).to_have_text("1 job in front")
        job = job_id(page)
        page.reload()
        expect(page.locator(".status")).to_have_text("1 job in front")
        expect(page.locator("#text")).to_have_value("a red bird")
    stand.working.set()
    assert done(page) == job
    expect(page.locator(f"#gallery-jobs [data-id='{job}'] img")).to_be_visible()


def test_cancel(page: Page, stand: Stand) -> None:
    stand.working.clear()
    ask(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#stage")).to_contain_text("This job was canceled.")
    found = stand.services.store.get(job_id(page))
    assert found
    assert found.status is Status.canceled


def test_a_service_that_is_away_for_a_while(page: Page, stand: Stand) -> None:
    """No event stream can be had, and a poll meets a restart."""
    stand.working.clear()
    page.route("**/events", lambda route: route.fulfill(status=503, json={}))
    page.route("**/jobs/*?wait=15", lambda route: route.abort())
    ask(page)
    expect(page.locator(".status")).to_have_text("The connection is lost; trying again…")
    page.unroute("**/jobs/*?wait=15")
    stand.working.set()
    done(page)


def test_again_with_this_seed(page: Page, stand: Stand, picture: Path) -> None:
    choose(page, "inpaint")
    give_photo(page, picture)
    paint(page, (0.3, 0.3), (0.7, 0.7))
    write(page, "a yellow bird")
    first = make(page)
    # Another browser session: only what is kept of the job is there.
    page.evaluate("sessionStorage.clear()")
    page.reload()
    done(page)
    expect(page.locator("#text")).to_have_value("")
    act(page, "More", "Again with this seed")
    expect(page.locator("#text")).to_have_value("a yellow bird")
    expect(page.locator("#text")).to_be_focused()
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url(re.compile(f"#job/(?!{first})"))
    again = done(page)
    assert np.array_equal(np.asarray(stand.made(first)), np.asarray(stand.made(again)))


def test_a_picture_as_the_next_photo(page: Page, stand: Stand) -> None:
    write(page, "a red bird")
    first = make(page)
    act(page, "Edit", "Use in manipulate")
    expect(page.locator(".photo-shown")).to_be_visible()
    write(page, "a blue bird")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url(re.compile(f"#job/(?!{first})"))
    second = done(page)
    given = np.asarray(stand.sent(second, "image").convert("RGB"))
    assert np.array_equal(given, np.asarray(stand.made(first)))


def test_gallery_and_erase(page: Page, stand: Stand) -> None:
    expect(page.locator("#gallery-empty")).to_contain_text("Nothing yet")
    write(page, "a red bird")
    job = make(page)
    card = page.locator("#gallery-jobs a")
    expect(card).to_have_attribute("aria-current", "true")
    page.goto("/")
    card.click()
    assert done(page) == job
    expect(page.locator("#stage")).to_be_focused()
    act(page, "More", "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    expect(page.locator("#stage")).to_contain_text("Your images appear here")
    found = stand.services.store.get(job)
    assert found
    assert found.status is Status.expired


def test_the_gallery_shows_one_task(page: Page, stand: Stand) -> None:
    with Client(stand.url) as client:
        client.synthesize("a bird")
    page.reload()
    expect(page.locator("#gallery-jobs a")).to_have_count(1)
    page.locator("#gallery-filter input[value=inpaint]").check()
    expect(page.locator("#gallery-jobs a")).to_have_count(0)


def test_errors_in_the_services_words(page: Page, stand: Stand) -> None:
    ask(page, "zorgly")
    expect(page.locator("#problem")).to_contain_text("knows no word of this text")
    expect(page.locator("#text")).to_have_attribute("aria-invalid", "true")
    page.locator("#option-count").fill("99")
    ask(page)
    expect(page.locator("#problem")).to_contain_text("count must be at most 16")
    expect(page.locator("#option-count-wrong")).to_have_text("Count must be at most 16.")
    page.locator("#option-count").fill("1")
    expect(page.locator("#problem")).to_be_hidden()
    choose(page, "manipulate")
    ask(page)
    expect(page.locator("#problem")).to_contain_text("image is missing")


def test_a_job_that_fails(page: Page, stand: Stand) -> None:
    ask(page, "a bird crash")
    result = page.locator("#stage .problem")
    expect(result).to_be_visible()
    found = stand.services.store.get(job_id(page))
    assert found
    assert found.error
    expect(result).to_have_text(found.error.detail)
    expect(page.locator("#gallery-jobs .state")).to_have_text("failed")


@pytest.mark.parametrize("as_date", [False, True])  # a proxy may send either
def test_a_service_that_is_full(page: Page, as_date: bool) -> None:
    def full(route) -> None:  # type: ignore[no-untyped-def]
        problem = {"status": 503, "detail": "1000 jobs wait already. Try again in 6 s."}
        after = formatdate(time.time() + 6, usegmt=True) if as_date else "6"
        route.fulfill(status=503, json=problem, headers={"Retry-After": after})

    page.route("**/synthesize", full)
    ask(page)
    expect(page.locator("#problem")).to_contain_text("1000 jobs wait already")
    again = page.locator("#problem button")
    expect(again).to_have_text(re.compile("Try again in"))
    page.unroute("**/synthesize", full)
    expect(again).to_be_enabled()
    again.click()
    done(page)


def test_an_address_of_no_job(page: Page) -> None:
    page.goto(f"/#job/{'0' * 32}")
    expect(page.locator("#stage")).to_contain_text("There is no such job.")


def test_unknown_words_are_marked_while_one_types(page: Page) -> None:
    page.locator("#text").press_sequentially("a zorgly bird")
    expect(page.locator("#text-marks .unknown")).to_have_text("zorgly")
    expect(page.locator("#text-feedback")).to_have_text(
        "paper does not know “zorgly”; it is left out."
    )
    page.locator("#vocabulary summary").click()
    page.locator("#vocabulary-search").fill("crow")
    page.get_by_role("button", name="crown", exact=True).click()
    expect(page.locator("#text")).to_have_value("a zorgly bird crown")


def test_warnings_are_shown(page: Page) -> None:
    write(page, "a zorgly bird")
    make(page)
    expect(page.locator("#stage .note")).to_have_text("Unknown words were left out: zorgly.")


def test_photos_by_drop_and_paste(page: Page, stand: Stand, picture: Path) -> None:
    data = base64.b64encode(picture.read_bytes()).decode()
    fire = """([kind, data]) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "holiday.png", { type: "image/png" }));
        const field = kind === "drop" ? "dataTransfer" : "clipboardData";
        const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
        window.dispatchEvent(new Kind(kind, { [field]: carried, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(fire, ["paste", data])
    # The page goes to a task that takes a photo.
    expect(page.locator("#tasks input[value=manipulate]")).to_be_checked()
    expect(page.locator(".photo-foot p")).to_have_text("holiday.png120 × 80")
    page.get_by_role("button", name="Remove image").click()
    expect(page.locator(".photo-shown")).to_have_count(0)
    page.evaluate(fire, ["drop", data])
    expect(page.locator(".photo-shown")).to_be_visible()
    write(page, "a bird")
    assert stand.sent(make(page), "image").size == (120, 80)


def test_a_file_that_is_no_picture(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    choose(page, "manipulate")
    page.locator("#photos input[type=file]").first.set_input_files(path)
    expect(page.locator("#problem")).to_contain_text("can't read that file as a picture")


def code(page: Page, kind: str) -> str:
    act(page, "More", f"Copy as {kind}")
    text = page.locator("#code-text").inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    return text


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_curl_command_makes_the_same_picture(
    page: Page, stand: Stand, picture: Path, tmp_path: Path
) -> None:
    choose(page, "inpaint")
    give_photo(page, picture)
    paint(page, (0.3, 0.3), (0.7, 0.7))
    write(page, "a bird's red wings")
    job = make(page)
    command = code(page, "curl")
    (tmp_path / "mask.png").write_bytes(stand.services.blobs.get(f"jobs/{job}/in-mask.png"))
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=60)
    made = decode_photo((tmp_path / "picture.png").read_bytes())
    assert np.array_equal(np.asarray(made), np.asarray(stand.made(job)))


def test_code_for_a_job_of_another_browser(page: Page, stand: Stand, picture: Path) -> None:
    with Client(stand.url) as client:
        client.manipulate(picture, "a red bird")
    page.reload()
    page.locator("#gallery-jobs a").click()
    done(page)
    expect(page.locator("#stage .compare")).to_have_count(0)
    act(page, "More", "Copy as curl")
    expect(page.locator("#code-text")).to_contain_text("-F 'image=@\"image.png\"'")
    expect(page.locator("#code-feedback")).to_contain_text("image.png, which this browser does not")


def test_the_python_code_names_everything(page: Page, stand: Stand) -> None:
    write(page, 'a "red" bird')
    page.locator("#option-seed").fill("7")
    make(page)
    text = code(page, "Python")
    compile(text, "snippet", "exec")
    assert f'Client("{stand.url}")' in text
    assert "client.synthesize(" in text
    assert '"a \\"red\\" bird",' in text
    assert "seed=7," in text
    assert "API_KEY" not in text
    assert "job.wait()" in text


def test_words_are_cut_as_the_service_cuts_them(page: Page, stand: Stand) -> None:
    """The page's own tokenizers agree with the service's, in what is unknown."""
    from jobs.captions import Vocabulary
    from tests.conftest import WORDS

    texts = [
        "A red-crowned bird isn't blue, it's YELLOW. wings",
        "café naïve — “bird” 日本 🐦 bird’s",
        "the bird's wings.Blue and/or green... don't can't",
        "  a\nbird\twith 3 wings_2 & a 4th (red)",
        "зелёный bird with ünder wings",
        "a ﬁne b\u00adird with ｂｌｕｅ wings, İstanbul\u200b Ünder ünder 🐦\u200d",
        "it Cannot fly--red--white, w/ a 'blue' crown and o'clock 3,000 wings... gotta",
    ]
    vocabulary = Vocabulary(WORDS)
    module = page.locator("script[type=module]").get_attribute("src")
    assert module
    script = """async ([path, text, known, tokenizer]) => {
        const { look } = await import(path);
        const found = look(text, { known: new Set(known), tokenizer, maxWords: 4 });
        return found.map(({ word, state }) => [word, state]);
    }"""
    for tokenizer in ("regexp", "treebank"):
        for text in texts:
            path = module.replace("main.js", "words.js")
            looked = page.evaluate(script, [path, text, WORDS[1:], tokenizer])
            encoded = vocabulary.encode(text, tokenizer=tokenizer, max_words=4)
            unknown = {word for word, state in looked if state == "unknown"}
            assert unknown == set(encoded.unknown), (tokenizer, text)
            assert [w for w, state in looked if state == "known"] == list(encoded.words)
            assert sum(state == "cut" for _, state in looked) == encoded.truncated
