"""``make studio-pictures``: screenshots of the studio for the docs, with the shipped weights.

Starts a private service, uses the page as a person would, and writes docs/pictures/studio-*.webp.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from docs.tools.provenance import ROOT, record

PICTURES = ROOT / "docs/pictures"
PHOTO = ROOT / "docs/examples/photo.jpg"
BIRD = "a small bird with a red crown and yellow wings"


@contextmanager
def service() -> Iterator[str]:
    """Address of ``mmml serve`` with the shipped weights."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="mmml-") as folder:
        command = [sys.executable, "-P", "-m", "mmml", "serve", "--port", str(port)]
        command += ["--state-dir", folder]
        settings = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        process = subprocess.Popen(command, env=settings, stdout=-3, stderr=-3)  # noqa: S603
        try:
            wait_until_ready(address)
            yield address
        finally:
            process.terminate()
            process.wait(40)


def wait_until_ready(address: str, patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("The service did not become ready.")


def finished(page: Page) -> None:
    page.locator("#stage .actions", has_text="Download").wait_for(timeout=120_000)
    seen = "Promise.all([...document.querySelectorAll('#stage img')].map((i) => i.decode()))"
    page.evaluate(seen + ".then(() => true)")


def choose(page: Page, task: str) -> None:
    page.locator(f"#tasks input[value={task}]").check()


def make(page: Page, task: str, text: str, seed: int, count: int = 1) -> None:
    choose(page, task)
    page.fill("#text", text)
    page.fill("#option-seed", str(seed))
    page.fill("#option-count", str(count))
    before = page.url
    page.click("#generate")
    page.wait_for_url(lambda url: url != before)
    page.locator("#stage h2", has_text=text).wait_for()  # not the job before


def paint(page: Page) -> None:
    """A stroke over the bird's wing."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("canvas.mask").bounding_box()
    assert box  # noqa: S101
    points = [(0.27, 0.63), (0.35, 0.53), (0.44, 0.46), (0.53, 0.41)]
    points += [(0.53, 0.46), (0.45, 0.54), (0.35, 0.62)]
    for k, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if k == 0:
            page.mouse.down()
    page.mouse.up()


def save(page: Page, folder: Path, name: str) -> None:
    """What the window shows, as a small file."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(folder / f"studio-{name}.webp", quality=90, method=6)


def opened(browser: Browser, address: str, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    page.locator("#tasks input").first.wait_for(state="attached")
    return page


def desktop(browser: Browser, address: str, folder: Path) -> None:
    page = opened(browser, address, 1280, 900, "light")
    save(page, folder, "empty")
    make(page, "synthesize", BIRD, 7, 4)
    finished(page)
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "synthesize")
    choose(page, "manipulate")
    page.set_input_files("#photos input >> nth=0", PHOTO)
    page.locator(".photo-shown").wait_for()
    page.get_by_label("Show where each word acted").check()
    make(page, "manipulate", "a bird with green wings and a red belly", 3)
    finished(page)
    page.locator(".explanation .word", has_text="red").focus()
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "manipulate")
    choose(page, "inpaint")
    page.locator("canvas.mask").wait_for()
    page.get_by_label("Show where each word acted").uncheck()
    paint(page)
    make(page, "inpaint", "a bird with red wings", 5)
    finished(page)
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "inpaint")
    page.fill("#text", "a zorgly bird with glittering wings")
    page.locator("#gallery-title").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.querySelector('.gallery').offsetTop - 240)")
    save(page, folder, "gallery")
    choose(page, "synthesize")
    page.locator("#second summary").click()
    page.fill("#text-2", "a large blue bird with white wings")
    page.fill("#frames", "10")
    page.locator(".more summary").click()
    page.get_by_label("Format").select_option("png")
    make(page, "synthesize", "a small red bird with yellow wings", 12)
    page.locator("#stage h2", has_text="→").wait_for()
    finished(page)
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "morph")


def dark(browser: Browser, address: str, folder: Path) -> None:
    page = opened(browser, address, 1280, 900, "dark")
    page.locator("#gallery-jobs a").nth(3).click()
    finished(page)
    page.fill("#text", "a zorgly bird with red wings")
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "dark")


def phone(browser: Browser, address: str, folder: Path, scheme: str) -> None:
    page = opened(browser, address, 400, 860, scheme)
    choose(page, "inpaint")
    page.set_input_files("#photos input >> nth=0", PHOTO)
    page.locator("canvas.mask").wait_for()
    paint(page)
    page.fill("#text", "a bird with red wings")
    page.evaluate("scrollTo(0, 0)")
    save(page, folder, "phone" if scheme == "light" else "phone-dark")
    page.locator("#gallery-jobs a").nth(1).click()
    finished(page)
    page.evaluate("document.querySelector('#stage').scrollIntoView()")
    save(page, folder, "phone-result" if scheme == "light" else "phone-result-dark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--url", help="a running service, instead of a private one")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with (
        service() if not given.url else nullcontext(given.url) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=given.chromium, args=flags)
        desktop(browser, address, given.out)
        dark(browser, address, given.out)
        phone(browser, address, given.out, "light")
        phone(browser, address, given.out, "dark")
        browser.close()
    if given.out == PICTURES:
        record(PICTURES.glob("studio-*.webp"), ("aviary", "cub"))


if __name__ == "__main__":
    main()
