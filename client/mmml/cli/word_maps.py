"""Where each word of a text acted, as one image: a tile a word, dark where it did nothing."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageDraw

from mmml import Explanation, Word

SIDE = 192  # pixels of a tile's longer side
_LABEL = 18  # pixels below a tile
_COLUMNS = 4
_FAINT = 0.15  # of the picture's brightness, where a word did nothing


def draw_word_maps(picture: Image.Image, explanation: Explanation) -> Image.Image | None:
    """Tiles of the words that have a map; None when none has. Darker is less, for all alike."""
    words = [word for word in explanation.words if word.maps]
    if not words:
        return None
    tile = picture.convert("RGB")
    scale = SIDE / max(tile.size)
    tile = tile.resize((max(round(tile.width * scale), 1), max(round(tile.height * scale), 1)))
    columns, rows = min(len(words), _COLUMNS), -(-len(words) // _COLUMNS)
    sheet = Image.new("RGB", (columns * tile.width, rows * (tile.height + _LABEL)), "white")
    for number, (word, lit) in enumerate(zip(words, _highlight(tile, words), strict=True)):
        x, y = number % _COLUMNS * tile.width, number // _COLUMNS * (tile.height + _LABEL)
        sheet.paste(lit, (x, y))
        ImageDraw.Draw(sheet).text((x + 4, y + tile.height + 3), word.word, fill="black")
    return sheet


def _highlight(tile: Image.Image, words: list[Word]) -> Iterator[Image.Image]:
    dark = Image.blend(Image.new("RGB", tile.size), tile, _FAINT)
    for word in words:
        strength = 1.0 if word.peak is None else word.peak
        light = next(iter(word.maps.values())).resize(tile.size).point(_scaled(strength))
        yield Image.composite(tile, dark, light)


def _scaled(strength: float) -> list[int]:
    return [round(value * min(strength, 1.0)) for value in range(256)]
