"""Pictures that follow from text and seed alone, with the text written on them, and explanations of
them: a spot for each word, at a place that follows from the word alone.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont

from jobs.captions import Word, tokenize
from jobs.explanation import ExplanationView, WordView, map_url
from models.item import Item

SIDE = 256  # pixels, unless a picture is asked for in another size
Colour = tuple[int, int, int]
_SHAPES = 6
_BAND = (32, 32, 32)


def draw(
    text: str, seed: int, candidate: int = 0, noise_scale: float = 1.0, side: int = SIDE
) -> Image.Image:
    """A picture of side × side: shapes in the colours that the text names, nearer to the middle
    with less noise, and the text.
    """
    name = f"{seed}:{text}" + (f":{candidate}" if candidate else "")
    return _write_text(_shapes(text, name, (side, side), noise_scale), text)


def edit(photo: Image.Image, text: str, seed: int) -> Image.Image:
    """The photo with shapes shining through it, and the text."""
    return _write_text(Image.blend(photo, _shapes(text, f"{seed}:{text}", photo.size), 0.35), text)


def fill(photo: Image.Image, mask: Image.Image, text: str, seed: int) -> Image.Image:
    """The photo, drawn over where the mask is white; the rest of it is not touched."""
    left, top, right, bottom = mask.getbbox() or (0, 0, *photo.size)
    patch = _write_text(_shapes(text, f"{seed}:{text}", (right - left, bottom - top)), text)
    whole = photo.copy()
    whole.paste(patch, (left, top))
    return Image.composite(whole, photo, mask.point(lambda value: 255 if value > 127 else 0))


def _shapes(text: str, name: str, size: tuple[int, int], spread: float = 1.0) -> Image.Image:
    """What is random follows from ``name``."""
    source = random.Random(name)  # noqa: S311 (a drawing, not a secret)
    named: list[str | Colour] = [word for word in tokenize(text) if word in ImageColor.colormap]
    colours = named or [_any_colour(source)]
    image = Image.new("RGB", size, _any_colour(source))
    pen = ImageDraw.Draw(image)
    for number in range(_SHAPES):
        x, y = (side * (0.5 + (source.random() - 0.5) * spread) for side in size)
        w, h = (side * (0.1 + source.random() * 0.2) for side in size)
        shape = pen.ellipse if source.random() < 0.5 else pen.rectangle
        shape((x - w, y - h, x + w, y + h), fill=colours[number % len(colours)])
    return image


def _any_colour(source: random.Random) -> Colour:
    return source.randrange(256), source.randrange(256), source.randrange(256)


def _write_text(image: Image.Image, text: str) -> Image.Image:
    size = max(8, min(image.size) // 16)
    font = ImageFont.load_default(size)
    lines = "\n".join(textwrap.wrap(text, max(4, round(image.width / size * 1.8)))[:4])
    pen = ImageDraw.Draw(image)
    height = pen.multiline_textbbox((0, 0), lines, font=font)[3] + size
    pen.rectangle((0, image.height - height, image.width, image.height), fill=_BAND)
    pen.multiline_text((size / 2, image.height - height + size / 3), lines, "white", font)
    return image


_LONGER_SIDE = 128  # pixels, as of all heat maps


def explain(
    item: Item, picture: Image.Image, method: str, read: Callable[[str], Sequence[Word]]
) -> ExplanationView:
    """Has the members that the task's explanations have. read: a text's words, as the bundle knows
    them.
    """
    name = "attention" if item.images else "region"
    scale = _LONGER_SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    words = [
        _word_view(number, word, {name: _spot(word.word, size)})
        for number, (text, _) in enumerate(item.blend)
        for word in read(text)
    ]
    features = ("W", "b") if set(item.images) == {"image"} else ()
    return ExplanationView(
        image=item.index,
        method=method,
        words=words,
        features={feature: _spot(feature, size) for feature in features},
    )


def _word_view(text: int, word: Word, maps: dict[str, str]) -> WordView:
    has_maps = word.column is not None
    peak = _random_for(word.word).random() if has_maps else None
    maps = maps if has_maps else {}
    return WordView(**vars(word), known=word.known, text=text, peak=peak, maps=maps)


def _random_for(word: str) -> random.Random:
    return random.Random(word)  # noqa: S311 (a drawing, not a secret)


def _spot(word: str, size: tuple[int, int]) -> str:
    """Brightest in the middle of a round spot."""
    source = _random_for(word)
    side = max(2, min(size) // 2)
    fade = Image.radial_gradient("L").point(lambda value: 255 - value)
    plane = Image.new("L", size)
    place = [round(source.random() * max(0, length - side)) for length in size]
    plane.paste(fade.resize((side, side)), (place[0], place[1]))
    return map_url(plane)
