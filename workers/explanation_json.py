"""Explanations as they are stored: JSON, with the heat maps as grey PNGs in it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from jobs.explanation import ExplanationView, WordView, map_url
from models.explanation import ExplainedWord, Explanation, Plane


def explanation_json(index: int, explanation: Explanation) -> bytes:
    """Of picture ``index``."""
    view = ExplanationView(
        image=index,
        method=explanation.method,
        words=[_word(word) for word in explanation.words],
        features={name: _map(plane) for name, plane in explanation.features.items()},
    )
    return view.model_dump_json().encode()


def _word(found: ExplainedWord) -> WordView:
    word, maps = found.word, {name: _map(plane) for name, plane in found.maps.items()}
    peak = None if found.peak is None else round(min(found.peak, 1.0), 4)
    return WordView(**vars(word), known=word.known, text=found.text, peak=peak, maps=maps)


def _map(plane: Plane) -> str:
    """8-bit grey, the strongest place white."""
    scaled = np.round(plane * (255 / max(float(plane.max()), 1e-12))).astype(np.uint8)
    return map_url(Image.fromarray(scaled))
