"""A pipeline that keeps the contract of :class:`models.pipeline.Pipeline` without its networks."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from jobs.bundles import BundleInfo
from jobs.explanation import ExplanationView
from jobs.requests import TASKS
from models.item import Item
from workers.fake.directives import FakeDirectives
from workers.fake.drawing import SIDE, draw, edit, fill
from workers.fake.explanations import explain
from workers.loader import PipelineKey

if TYPE_CHECKING:
    from models.pipeline import Pipeline


class DrawingPipeline:
    """Draws one task; what it draws depends on the pictures that the task takes."""

    precision, device, best_batch = "float32", "cpu", None

    def __init__(self, bundle: str, task: str, method: str, weights: Path) -> None:
        self.bundle = SimpleNamespace(name=bundle, sha256="0" * 64)
        self.task, self.method, self._weights = task, method, weights

    def prepare(self, item: Item) -> Item:
        """The item. Raises InputProblem when it wishes for what there is not."""
        FakeDirectives.parse(item)
        return item

    def forward(self, batch: Sequence[Item]) -> list[Image.Image]:
        """Takes as long as the slowest asks for; raises InputProblem if one is to fail, which is
        then found as it is among real pictures.
        """
        directives = [FakeDirectives.parse(item) for item in batch]
        time.sleep(max(wish.seconds for wish in directives))
        for wish in directives:
            wish.raise_failure()
        return [_draw(item) for item in batch]

    def finish(self, _prepared: Item, picture: Image.Image) -> Image.Image:
        return picture

    def finished(
        self, prepared: Item, picture: Image.Image
    ) -> tuple[Image.Image, ExplanationView | None]:
        """The picture, and if it was asked for an explanation in the words of the bundle."""
        if not prepared.explain:
            return picture, None
        found = BundleInfo.read(self._weights / self.bundle.name).tasks[self.task]
        return picture, explain(prepared, picture, self.method, found.read)

    def candidate(self, prepared: Item, _picture: Image.Image) -> int:
        """Which of its candidates was drawn."""
        return _candidate(prepared)

    def provenance(self, prepared: Item) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def free_memory(self) -> None:
        """Holds none."""


def _draw(item: Item) -> Image.Image:
    """Of several captions, their drawings laid over one another by their shares."""
    (text, total), *others = item.blend
    picture = _draw_caption(item, text)
    for other, share in others:
        total += share
        picture = Image.blend(picture, _draw_caption(item, other), share / total)
    return picture


def _candidate(item: Item) -> int:
    """One of its candidates, always the same."""
    return random.Random(f"{item.seed}:{item.text}").randrange(item.candidates)  # noqa: S311


def _draw_caption(item: Item, text: str) -> Image.Image:
    photo, mask = (item.sized(name) if name in item.images else None for name in ("image", "mask"))
    if photo and mask:
        return fill(photo, mask, text, item.seed)
    if photo:
        return edit(photo, text, item.seed)
    return draw(text, item.seed, _candidate(item), item.noise_scale, item.size or SIDE)


class DrawingLoader:
    """One fake pipeline for every task of every bundle that is asked for. weights: where the
    bundles' words are found, for explanations.
    """

    def __init__(self, weights: Path = Path("weights")) -> None:
        self._weights = weights
        self._pipelines: dict[PipelineKey, DrawingPipeline] = {}

    def get(self, bundle: str, task: str, method: str) -> Pipeline[Any]:
        key = bundle, task, method
        return cast(
            "Pipeline[Any]", self._pipelines.setdefault(key, DrawingPipeline(*key, self._weights))
        )

    def loaded(self) -> list[PipelineKey]:
        return list(self._pipelines)

    def servable(self) -> list[str]:
        return list(TASKS)
