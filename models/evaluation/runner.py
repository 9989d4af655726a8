"""Runs the pipelines that are served, on many cases, in small batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from models.errors import ModelsError
from models.evaluation.cases import Case
from models.evaluation.progress import track
from models.pipeline import Item, Pipeline

_NEUTRAL = ("this", "the", "a", "bird", "flower", "it")  # words that ask for nothing
# task -> what an item shows of its case, by the names that pipelines have for it
_SHOWN: dict[str, dict[str, str]] = {
    "synthesize": {},
    "manipulate": {"image": "picture"},
    "inpaint": {"image": "picture", "mask": "mask"},
}


class EvaluationError(ModelsError):
    """The evaluation can't be done; the text says what to change."""


@dataclass(frozen=True)
class Runner:
    """One loaded pipeline. batch: pictures per forward; side: of the pictures that it is judged by,
    0 for that of its network; serving: options in place of those that the bundle serves with.
    """

    pipeline: Pipeline[Any]
    batch: int = 16
    side: int = 0
    serving: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.side or self.pipeline.spec.size

    @property
    def method(self) -> str:
        return self.pipeline.method

    @property
    def served_with(self) -> dict[str, Any]:
        """The serving options that differ from what an item has by itself."""
        return {**self.pipeline.serving, **self.serving}

    def items(self, cases: Sequence[Case], texts: Sequence[str], index: int = 0) -> list[Item]:
        """One per case with the given captions; index: 0 is the mean where a task has one."""
        shown = _SHOWN[self.pipeline.task]
        return [
            Item(text, case.seed, index, {name: getattr(case, of) for name, of in shown.items()})
            for case, text in zip(cases, texts, strict=True)
        ]

    def make(self, cases: Sequence[Case], texts: Sequence[str]) -> list[Image.Image]:
        """One picture per case with the given captions; errors as :meth:`run`."""
        return self.run(self.items(cases, texts))

    def run(self, items: Sequence[Item]) -> list[Image.Image]:
        """One picture per item. Raises the first item's error: cases were checked before."""
        made: list[Image.Image] = []
        asked = [
            self.pipeline.with_serving_options(self._resize(item), **self.serving) for item in items
        ]
        starts = range(0, len(asked), self.batch)
        for start in track(starts, f"{self.pipeline.task}: by {self.method}", len(asked)):
            for picture in self.pipeline.run(asked[start : start + self.batch]).pictures:
                if isinstance(picture, ModelsError):
                    raise EvaluationError(f"{self.method} failed on a sample: {picture}")
                made.append(self._enlarge(picture))
        return made

    def _resize(self, item: Item) -> Item:
        """A picture of text alone in the size that is judged, or as near to it as can be made."""
        if item.images:
            return item
        detail = self.pipeline.detail
        largest = self.pipeline.spec.size * (detail.scale if detail else 1)
        return replace(item, size=min(self.size, largest))

    def _enlarge(self, picture: Image.Image) -> Image.Image:
        """A smaller picture in the size that is judged."""
        if picture.width >= self.size:
            return picture
        return picture.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def filter_known(self, cases: Sequence[Case]) -> list[Case]:
        """The cases whose caption has a word that the vocabulary knows. Raises EvaluationError when
        no case has.
        """
        known = [c for c in cases if self.pipeline.knows(c.caption)]
        if cases and not known:
            raise EvaluationError(
                f"Bundle {self.pipeline.bundle.name!r} knows no word of the samples' captions; "
                "take data with the words that it was trained on (python -m models data check DIR "
                "--bundle BUNDLE counts those that it lacks)."
            )
        return known

    @property
    def no_text(self) -> str:
        """A caption that says nothing: one filler word, or the vocabulary's first word."""
        return next((w for w in _NEUTRAL if self.pipeline.knows(w)), self.pipeline.known_word)


def derangement(count: int, seed: int) -> list[int]:
    """For each of ``count`` places another one, by a random cycle through all of them."""
    order = [int(k) for k in np.random.default_rng(seed).permutation(count)]
    others = [0] * count
    for k, following in zip(order, order[1:] + order[:1], strict=True):
        others[k] = following
    return others
