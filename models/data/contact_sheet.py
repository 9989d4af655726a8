"""Photos with their first captions on one page, for a person's eye."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from models.data.object_masks import central_square
from models.data.photo_files import open_photo
from models.data.records import Record

COLUMNS, ROWS = 8, 4
_SIDE, _GAP = 160, 8  # pixels
_TEXT_LINES, _LINE_HEIGHT, _TEXT_WIDTH = 4, 13, 30  # lines, pixels, characters


def photo_sheet(records: Sequence[Record]) -> Image.Image:
    """Photos spread evenly over ``records``, each cropped as training crops it."""
    count = min(COLUMNS * ROWS, len(records))
    chosen = [records[k * len(records) // count] for k in range(count)]
    return sheet((_thumbnail(record), record.captions[0]) for record in chosen)


def sheet(pictures: Iterable[tuple[Image.Image, str]]) -> Image.Image:
    """Up to COLUMNS·ROWS pictures with a caption under each, row by row."""
    width, height = _SIDE + _GAP, _SIDE + _GAP + _TEXT_LINES * _LINE_HEIGHT
    page = Image.new("RGB", (COLUMNS * width + _GAP, ROWS * height + _GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(10)
    cells = zip(range(COLUMNS * ROWS), pictures, strict=False)
    for k, (picture, caption) in cells:
        x, y = _GAP + k % COLUMNS * width, _GAP + k // COLUMNS * height
        page.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (x, y))
        for row, line in enumerate(_wrapped(caption)):
            draw.text((x, y + _SIDE + row * _LINE_HEIGHT), line, fill="black", font=font)
    return page


def _thumbnail(record: Record) -> Image.Image:
    photo = open_photo(record.path)
    return photo.crop(central_square(record, photo.size))


def _wrapped(caption: str) -> list[str]:
    return textwrap.wrap(caption, _TEXT_WIDTH, max_lines=_TEXT_LINES, placeholder=" …")
