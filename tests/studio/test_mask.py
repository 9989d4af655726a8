"""Painting: every tool, and what is sent of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from tests.picture_files import exif
from tests.studio.conftest import Stand
from tests.studio.steps import choose, give_photo, make, paint, press, write

pytestmark = [pytest.mark.browser]


@pytest.fixture
def editor(page: Page, picture: Path) -> Page:
    choose(page, "inpaint")
    give_photo(page, picture)
    write(page, "a bird")
    return page


def sent_mask(page: Page, stand: Stand) -> NDArray[np.bool_]:
    return np.asarray(stand.sent(make(page), "mask")) > 127


def tool(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).check()


def test_box_then_eraser(editor: Page, stand: Stand) -> None:
    tool(editor, "Box")
    paint(editor, (0.25, 0.25), (0.75, 0.75))
    tool(editor, "Eraser")
    paint(editor, (0.5, 0.5))
    mask = sent_mask(editor, stand)
    assert mask[24, 35]
    assert mask[56, 85]
    assert not mask[40, 60]
    assert not mask[10, 60]
    box = np.zeros_like(mask)
    box[20:60, 30:90] = True
    assert not (mask & ~np.pad(box, 1)[1:-1, 1:-1]).sum() > 220  # a border pixel either way


def test_undo_and_redo(editor: Page, stand: Stand) -> None:
    tool(editor, "Box")
    paint(editor, (0.1, 0.1), (0.3, 0.9))
    paint(editor, (0.7, 0.1), (0.9, 0.9))
    editor.get_by_role("button", name="Undo").click()
    editor.get_by_role("button", name="Undo").click()
    expect(editor.locator(".mask-editor .feedback")).to_have_text("Paint over the part to fill.")
    expect(editor.get_by_role("button", name="Undo")).to_be_disabled()
    editor.get_by_role("button", name="Redo").click()
    mask = sent_mask(editor, stand)
    assert mask[40, 24]
    assert not mask[40, 96]


def test_invert_and_clear(editor: Page, stand: Stand) -> None:
    tool(editor, "Box")
    paint(editor, (0.25, 0.25), (0.75, 0.75))
    editor.get_by_role("button", name="Invert").click()
    mask = sent_mask(editor, stand)
    assert mask[5, 5]
    assert not mask[40, 60]
    editor.get_by_role("button", name="Clear").click()
    editor.get_by_role("button", name="Generate").click()
    expect(editor.locator("#problem")).to_contain_text("Paint over the part to fill first")


def test_keys_of_the_editor(editor: Page, stand: Stand) -> None:
    editor.locator("canvas.mask").focus()
    press(editor, "r", "Space", *["Shift+ArrowRight"] * 2, *["Shift+ArrowDown"] * 2, "Space")
    expect(editor.get_by_role("radio", name="Box")).to_be_checked()
    press(editor, "Control+z")
    expect(editor.get_by_role("button", name="Undo")).to_be_disabled()
    press(editor, "Control+Shift+Z")
    before = int(editor.get_by_role("slider", name="Brush size").input_value())
    press(editor, "b", "]")
    assert int(editor.get_by_role("slider", name="Brush size").input_value()) > before
    mask = sent_mask(editor, stand)
    assert mask[50, 70]
    assert not mask[30, 50]


def test_the_mask_of_a_large_turned_photo(page: Page, stand: Stand, tmp_path: Path) -> None:
    """It has the photo's size, as one sees it, though it is painted on a smaller one."""
    path = tmp_path / "large.jpg"
    Image.new("RGB", (2000, 1600), (90, 140, 60)).save(path, exif=exif(6))
    choose(page, "inpaint")
    give_photo(page, path)
    write(page, "a bird")
    tool(page, "Box")
    paint(page, (0.5, 0.25), (0.9, 0.5))
    job = make(page)
    mask = np.asarray(stand.sent(job, "mask")) > 127
    assert mask.shape == (2000, 1600)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert abs(rows[0] - 500) < 12
    assert abs(rows[-1] - 1000) < 12
    assert abs(columns[0] - 800) < 12
    assert abs(columns[-1] - 1440) < 12


def test_the_mask_stays_with_the_photo(editor: Page, stand: Stand) -> None:
    tool(editor, "Box")
    paint(editor, (0.25, 0.25), (0.75, 0.75))
    choose(editor, "manipulate")
    expect(editor.locator("canvas.mask")).to_have_count(0)
    choose(editor, "inpaint")
    assert sent_mask(editor, stand)[40, 60]
