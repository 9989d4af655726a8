"""Photos with their first captions on one page, for a person's eye."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from models.data.cache import square_photo
from models.data.records import Record

COLUMNS, ROWS = 8, 4
SIDE, _GAP = 160, 8  # pixels
_TEXT_LINES, _LINE_HEIGHT, _TEXT_WIDTH = 4, 13, 30  # lines, pixels, characters


def photo_sheet(records: Sequence[Record], layout: str) -> Image.Image:
    """Photos spread evenly over ``records``, each cut as for training."""
    count = min(COLUMNS * ROWS, len(records))
    chosen = [records[k * len(records) // count] for k in range(count)]
    return sheet(
        (Image.fromarray(square_photo(record, SIDE, layout)), record.captions[0])
        for record in chosen
    )


def sheet(pictures: Iterable[tuple[Image.Image, str]]) -> Image.Image:
    """Up to COLUMNS·ROWS pictures of SIDE×SIDE with a caption under each, row by row."""
    width, height = SIDE + _GAP, SIDE + _GAP + _TEXT_LINES * _LINE_HEIGHT
    page = Image.new("RGB", (COLUMNS * width + _GAP, ROWS * height + _GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(10)
    cells = zip(range(COLUMNS * ROWS), pictures, strict=False)
    for k, (picture, caption) in cells:
        x, y = _GAP + k % COLUMNS * width, _GAP + k // COLUMNS * height
        page.paste(picture, (x, y))
        for row, line in enumerate(_wrapped(caption)):
            draw.text((x, y + SIDE + row * _LINE_HEIGHT), line, fill="black", font=font)
    return page


def _wrapped(caption: str) -> list[str]:
    return textwrap.wrap(caption, _TEXT_WIDTH, max_lines=_TEXT_LINES, placeholder=" …")
