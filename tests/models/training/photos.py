"""Photos of noise with captions, the smallest encoders for them, and a loop that watches what each
phase changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.captions import Vocabulary
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.training.batch import Batch
from models.training.config import LoopOptions
from models.training.loop import Loop, build_fabric
from models.training.objective import Objective, OptimizerStep
from models.training.run import Run
from tests.conftest import WORDS

FEATURES = 16
BATCH = 4
_LONGEST = 5


class NoisePhotos:
    """What :class:`models.training.batch.TrainingData` asks for; photos differ in their colours."""

    name, max_words, tokenizer, domain, licence = "noise", _LONGEST, "regexp", "noise", "CC0-1.0"
    min_words = 0
    fingerprint = "noise"

    def __init__(self, size: int, attributes: tuple[int, int] = (0, 0), labels: int = 0) -> None:
        self.size, self.attributes, self.labels = size, attributes, labels
        self.vocabulary = Vocabulary(list(WORDS))

    def __len__(self) -> int:
        return 12

    def batch(
        self,
        part: str,
        indices: Sequence[int],
        sources: Sequence[np.random.Generator],
    ) -> Batch:
        images = torch.stack([self._photo(rng) for rng in sources])
        told, wrong = self._captions(sources), self._captions(sources)
        more = [self._captions(sources) for _ in range(2)]
        width = max(ids.shape[1] for ids, _ in more)
        hole = torch.ones(len(images), 1, self.size, self.size)
        hole[:, :, self.size // 4 : self.size // 2, self.size // 4 : self.size // 2] = 0
        shown = self._attributes(sources)
        return Batch(
            images,
            *told,
            torch.tensor([k % 3 for k in indices]),
            *wrong,
            source=images if part == "manipulation" else None,
            known_mask=hole if part == "inpainting" else None,
            more_ids=torch.stack(
                [torch.nn.functional.pad(ids, (0, width - ids.shape[1])) for ids, _ in more], 1
            ),
            more_lengths=torch.stack([lengths for _, lengths in more], 1),
            image_attributes=shown,
            caption_attributes=shown,
            labels=self._labels(sources),
        )

    def _labels(self, sources: Sequence[np.random.Generator]) -> Tensor | None:
        if not self.labels:
            return None
        shape = (self.size, self.size)
        return torch.stack(
            [torch.from_numpy(rng.integers(0, self.labels, shape)) for rng in sources]
        )

    def _attributes(self, sources: Sequence[np.random.Generator]) -> Tensor | None:
        count, values = self.attributes
        if not count:
            return None
        return torch.stack([torch.from_numpy(rng.integers(0, values, count)) for rng in sources])

    def _photo(self, rng: np.random.Generator) -> Tensor:
        colours = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32))
        size = (self.size, self.size)
        return torch.nn.functional.interpolate(colours, size, mode="bilinear")[0]

    def _captions(self, sources: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
        rows = [rng.integers(1, len(WORDS), int(rng.integers(2, _LONGEST))) for rng in sources]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for k, row in enumerate(rows):
            ids[k, : len(row)] = torch.from_numpy(row)
        return ids, torch.tensor([len(row) for row in rows])


class TinyEncoders:
    """An untrained pair, frozen."""

    detail = None

    def __init__(self, image: torch.nn.Module | None = None) -> None:
        self.vocabulary = Vocabulary(list(WORDS))
        self.text = TextEncoder(TextEncoderConfig(len(WORDS), 8, FEATURES))
        compact = CompactImageEncoder(CompactEncoderConfig(32, (2, 4), 8, FEATURES))
        self.image: Any = compact if image is None else image
        for module in (self.text, self.image):
            module.eval().requires_grad_(False)


class Watched(Loop):
    """Notes per phase which modules' weights it changed."""

    def __init__(self, objective: Objective, data: NoisePhotos, part: str, folder: Path) -> None:
        options = LoopOptions(
            batch=BATCH, size=data.size, precision="32-true", settle_batches=1, steps=2
        )
        fabric = build_fabric(options, "cpu")
        super().__init__(objective, data, part, options, Run(folder), fabric)
        self.changed: list[tuple[OptimizerStep, set[str]]] = []

    def _clip_and_step(self, optimizer_step: OptimizerStep) -> None:
        before = _weights(self.objective)
        super()._clip_and_step(optimizer_step)
        after = _weights(self.objective)
        moved = {
            name
            for name, weights in after.items()
            if not all(map(torch.equal, weights, before[name]))
        }
        self.changed.append((optimizer_step, moved))


def _weights(objective: Objective) -> dict[str, list[Tensor]]:
    modules = {**objective.modules, **objective.frozen}
    return {k: [p.detach().clone() for p in m.parameters()] for k, m in modules.items()}


def watch_two_steps(objective: Objective, data: NoisePhotos, part: str, folder: Path) -> Watched:
    """Two steps: every phase changes what it trains, all of it and nothing else; losses are
    finite; what ships is finite too, after its statistics were settled.
    """
    loop = Watched(objective, data, part, folder)
    for _ in range(2):
        values = loop.advance()
        assert values
        assert all(torch.isfinite(v) for v in values.values()), values
    assert len(loop.changed) == 2 * len(objective.optimizer_steps)
    for phase, moved in loop.changed:
        assert moved == set(phase.trains)
    averaged = loop._recalibrated_averages()
    _, modules = objective.export(averaged)
    for name, module in modules.items():
        assert all(v.isfinite().all() for v in module.state_dict().values()), name
    batch, noise = loop.samples(0, 8, 0, 8)
    with torch.no_grad():
        sheet = objective.preview(batch, noise, averaged)
    assert sheet.shape[1:] == (3, data.size, data.size)
    assert len(sheet) % 8 == 0
    return loop
