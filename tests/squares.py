"""A pipeline without networks, for tests and for measuring everything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from jobs.requests import TASKS
from models.errors import InputProblem, UnknownBundle
from models.pipeline import Item, Output, OutputWithAttention, Pipeline, Pixels, to_image
from workers.loader import PipelineKey


class FakePipeline(Pipeline[Item]):
    """Paints a square in a colour that follows from seed and text, of several candidates the
    brightest; ``seconds`` is how long a forward pass takes.

    A text containing "refuse" can't be prepared, one containing "crash" fails in the forward pass;
    ``on_forward`` may
    raise for a whole batch. ``batches`` collects the sizes of all batches tried.
    """

    reads_text = False

    def __init__(
        self, seconds: float = 0.0, on_forward: Callable[[Sequence[Item]], None] | None = None
    ) -> None:
        self.bundle = cast("Any", SimpleNamespace(name="fake", sha256="0" * 64))
        self.task, self.method, self.precision = "synthesize", "fake", "float32"
        self.device = torch.device("cpu")
        self.seconds, self.on_forward = seconds, on_forward
        self.batches: list[int] = []

    def prepare(self, item: Item) -> Item:
        if "refuse" in item.text:
            raise InputProblem("bad_input", "This text is refused.")
        return item

    def forward(self, batch: Sequence[Item]) -> list[Output]:
        self.batches.append(len(batch))
        time.sleep(self.seconds)
        if self.on_forward:
            self.on_forward(batch)
        if any("crash" in item.text for item in batch):
            raise ValueError("this text crashes the network")
        return [self._paint(item) for item in batch]

    def _paint(self, item: Item) -> Output:
        shape = (item.candidates, 3)
        colours = np.zeros(shape, np.float32)
        for text, share in item.blend:
            source = np.random.default_rng([item.seed, len(text)])
            colours += share * source.random(shape, np.float32)
        colours = 0.5 + (colours - 0.5) * item.noise_scale
        best = int(np.argmax(colours.sum(1)))
        pixels = np.broadcast_to(colours[best], (8, 8, 3)).astype(np.float32)
        return OutputWithAttention(pixels, candidate=best) if best else pixels

    def finish(self, prepared: Item, pixels: Pixels) -> Image.Image:
        return to_image(pixels)

    def example(self) -> Item:
        return Item("a bird", 0)


@dataclass
class FakeLoader:
    """Returns one pipeline for every bundle but "missing"; for "cold" once ``warm`` is set."""

    pipeline: FakePipeline = field(default_factory=FakePipeline)
    warm: threading.Event = field(default_factory=threading.Event)

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Pipeline[Any]:
        if bundle == "missing":
            raise UnknownBundle("There is no bundle 'missing'.")
        if bundle == "cold":
            self.warm.wait(30)
        return self.pipeline

    def is_loaded(self, bundle: str, task: str, method: str, sha256: str = "") -> bool:
        return bundle != "cold" or self.warm.is_set()

    def loaded(self) -> dict[PipelineKey, int]:
        return {}

    def forget_failures(self) -> None:
        """There are none."""

    def bundles(self) -> dict[str, dict[str, Any]]:
        return {"fake": {"sha256": self.pipeline.bundle.sha256, "tasks": [*TASKS]}}
