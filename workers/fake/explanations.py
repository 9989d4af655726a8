"""Explanations of drawings: a spot for each word, at a place that follows from the word alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from PIL import Image

from jobs.captions import Word
from jobs.explanation import ExplanationView, WordView, map_url
from models.item import Item

_LONGER_SIDE = 128  # pixels, as of all heat maps


def explain(
    item: Item, picture: Image.Image, method: str, read: Callable[[str], Sequence[Word]]
) -> ExplanationView:
    """Has the members that the task's explanations have. read: a text's words, as the bundle knows
    them.
    """
    name = "attention" if item.images else "region"
    size = _frame(picture)
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
    return WordView(
        text=text,
        word=word.word,
        start=word.start,
        end=word.end,
        known=word.known,
        peak=_random_for(word.word).random() if has_maps else None,
        maps=maps if has_maps else {},
    )


def _random_for(word: str) -> random.Random:
    return random.Random(word)  # noqa: S311 (a drawing, not a secret)


def _frame(picture: Image.Image) -> tuple[int, int]:
    scale = _LONGER_SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return width, height


def _spot(word: str, size: tuple[int, int]) -> str:
    """Brightest in the middle of a round spot."""
    source = _random_for(word)
    side = max(2, min(size) // 2)
    fade = Image.radial_gradient("L").point(lambda value: 255 - value)
    plane = Image.new("L", size)
    place = [round(source.random() * max(0, length - side)) for length in size]
    plane.paste(fade.resize((side, side)), (place[0], place[1]))
    return map_url(plane)
