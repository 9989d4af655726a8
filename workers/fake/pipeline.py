"""A pipeline that keeps the contract of :class:`models.pipeline.Pipeline` without its networks.

What a text may ask of it beside a picture is to fail, and to take its time:

* ``fail:CODE`` fails the job, with any code of :class:`jobs.job.ErrorCode`
* ``fail:partial`` fails every other picture of the job, the second first
* ``fail:slow=5`` takes so many seconds, in which no other picture is made
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from jobs.bundles import BundleInfo
from jobs.explanation import ExplanationView
from jobs.job import ErrorCode
from models.errors import InputProblem
from models.item import Item
from workers.bundles import LocalBundles
from workers.fake.drawing import SIDE, draw, edit, explain, fill
from workers.loader import PipelineKey

if TYPE_CHECKING:
    from models.pipeline import Pipeline

MAX_SECONDS = 60.0  # seconds; a worker that hangs for longer is ended
_DIRECTIVE = re.compile(r"\bfail:(\w+)(?:=(\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class FakeDirectives:
    """``seconds``: to be taken; ``code``: of the failure wanted, if any."""

    seconds: float = 0.0
    code: ErrorCode | None = None

    @classmethod
    def parse(cls, item: Item) -> FakeDirectives:
        """Those of the item's texts. Raises InputProblem for one that there is not."""
        seconds, code = 0.0, None
        for name, number in _DIRECTIVE.findall(" ".join(text for text, _ in item.blend)):
            if name == "slow":
                seconds = min(float(number or 1), MAX_SECONDS)
            elif name == "partial":
                code = ErrorCode.model_error if item.index % 2 else code
            else:
                code = _code(name)
        return cls(seconds, code)

    def raise_failure(self) -> None:
        if self.code:
            raise InputProblem(self.code.value, f"The text asks for this failure: {self.code}.")


def _code(name: str) -> ErrorCode:
    if name in ErrorCode.__members__:
        return ErrorCode(name)
    known = ", ".join(["slow=SECONDS", "partial", *ErrorCode])
    raise InputProblem("bad_input", f"There is no fail:{name}; there are: {known}.")


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

    def finish_output(
        self, prepared: Item, picture: Image.Image
    ) -> tuple[Image.Image, ExplanationView | None]:
        """The picture, and if it was asked for an explanation in the words of the bundle."""
        if not prepared.explain:
            return picture, None
        found = BundleInfo.read(self._weights / self.bundle.name).tasks[self.task]
        return picture, explain(prepared, picture, self.method, found.read)

    def candidate(self, prepared: Item, _picture: Image.Image) -> int:
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
    photo, mask = (
        item.resized_image(name) if name in item.images else None for name in ("image", "mask")
    )
    if photo and mask:
        return fill(photo, mask, text, item.seed)
    if photo:
        return edit(photo, text, item.seed)
    return draw(text, item.seed, _candidate(item), item.noise_scale, item.size or SIDE)


class DrawingLoader:
    """One fake pipeline for every task of every bundle that is asked for. weights: where the
    bundles' words are found, for explanations; only: the bundles that it offers, if any are named.
    """

    def __init__(self, weights: Path = Path("weights"), only: Collection[str] = ()) -> None:
        self._weights, self._only = weights, only
        self._pipelines: dict[PipelineKey, DrawingPipeline] = {}

    def get(
        self,
        bundle: str,
        task: str,
        method: str,
        sha256: str = "",  # noqa: ARG002
    ) -> Pipeline[Any]:
        key = bundle, task, method
        return cast(
            "Pipeline[Any]", self._pipelines.setdefault(key, DrawingPipeline(*key, self._weights))
        )

    def is_loaded(self, *_: str) -> bool:
        return True

    def loaded(self) -> dict[PipelineKey, int]:
        return dict.fromkeys(self._pipelines, 0)

    def forget_failures(self) -> None:
        """Nothing is remembered."""

    def bundles(self) -> dict[str, dict[str, Any]]:
        return LocalBundles(self._weights, self._only).loadable()
