from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from models.errors import ModelsError
from models.plan.sheet import draw_sheet
from tests.models.tiny import SIZE


def test_first_pictures_eight_in_a_row_repeat(tiny: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_sheet(tiny, "aviary", tmp_path / name, 12, "validation", "cpu")
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert one.size == (8 * SIZE, 2 * SIZE)
        assert one.tobytes() == two.tobytes()
        assert one.getpixel((8 * SIZE - 1, 2 * SIZE - 1)) == (255, 255, 255), "no 16th picture"


def test_a_run_that_serves_nothing_shows_its_newest_grid(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text('{"format": 1, "name": "x", "tasks": {}}')
    out = tmp_path / "sheet.webp"
    with pytest.raises(ModelsError, match="no grid of samples"):
        draw_sheet(tmp_path, "aviary", out, 64, "validation", "cpu")
    for step, colour in ((1, "red"), (20, "blue")):
        Image.new("RGB", (16, 16), colour).save(tmp_path / "samples" / f"{step:07d}.png")
    draw_sheet(tmp_path, "aviary", out, 64, "validation", "cpu")
    with Image.open(out) as sheet:
        red, _, blue = sheet.getpixel((8, 8))
        assert (red < 40, blue > 200) == (True, True)
