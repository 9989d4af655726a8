"""Held-out Aviary: birds of the splits "test" and "validation", with their true colours."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.data.aviary.captions import Caption, caption
from models.data.aviary.dataset import VERSION, Aviary, other_colour
from models.data.aviary.drawing import PARTS, Bird, bird, label_map, layers, paint, render
from models.data.masks import around, centre
from models.evaluation.attributes import colour_indices, named_parts
from models.evaluation.cases import Bools, Case, seeds
from models.evaluation.form import SIDE
from models.evaluation.pictures import Pictures
from models.evaluation.progress import track

_HIDDEN = 0.95  # share of a part that must lie in the hole before it counts as hidden
_TOUCHED = 0.004  # share of a pixel that an edited part may cover before the pixel is not "kept"


@dataclass(frozen=True)
class HeldOutAviary:
    """See :class:`models.evaluation.cases.HeldOut`."""

    split: str
    seed: int = 0
    name: str = "aviary"
    domain: str = Aviary.domain

    @property
    def fingerprint(self) -> str:
        return f"aviary-v{VERSION}-{self.split}"

    def synthesis(self, count: int, size: int) -> list[Case]:
        noise = seeds(self.seed, self.split, "synthesize", count)
        drawn = track(range(count), "synthesize: drawn")
        return [self._synthesis(k, noise[k], size) for k in drawn]

    def _synthesis(self, index: int, noise: int, size: int) -> Case:
        sample, text = self._described(index)
        return Case(
            text.text,
            noise,
            render(sample, size),
            truth=colour_indices([sample])[0],
            counted=named_parts([text.parts])[0],
        )

    def _described(self, index: int) -> tuple[Bird, Caption]:
        sample = bird(self.split, index)
        return sample, caption(sample, self._source("synthesize", index))

    def references(self, count: int, size: int) -> Pictures:
        return Pictures(
            lambda k: render(bird(self.split, k), size), range(1_000_000, 1_000_000 + count)
        )

    def alike(self, index: int, count: int, size: int) -> list[Image.Image]:
        sample, text = self._described(index)
        named = {p: sample.colour_of(p) for p in text.parts}
        others = [bird(f"{self.split}-alike", index * 1000 + k) for k in range(count)]
        return [render(other.recolour(named), size) for other in others]

    def manipulation(self, count: int, size: int) -> list[Case]:
        noise = seeds(self.seed, self.split, "manipulate", count)
        drawn = track(range(count), "manipulate: drawn")
        return [self._manipulation(k, noise[k], size) for k in drawn]

    def _manipulation(self, index: int, noise: int, size: int) -> Case:
        """One to three parts change; the caption names them, and sometimes parts that stay."""
        rng = self._source("manipulate", index)
        before = bird(self.split, index)
        changed = [PARTS[k] for k in rng.permutation(len(PARTS))[: int(rng.integers(1, 4))]]
        after = before.recolour({p: other_colour(before.colour_of(p), rng) for p in changed})
        text = caption(after, rng, must_name=changed, most=max(2, len(changed) + 1))
        named = named_parts([text.parts])[0]
        geometry = layers(before, size)
        return Case(
            text.text,
            noise,
            paint(geometry, before),
            target=paint(geometry, after),
            truth=colour_indices([after])[0],
            counted=named,
            edited=named_parts([changed])[0],
            kept=geometry.masks[named].sum(0) < _TOUCHED,
        )

    def inpainting(self, count: int, size: int, kind: str) -> list[Case]:
        noise = seeds(self.seed, self.split, "inpaint", count)
        drawn = track(range(count), f"inpaint: drawn with {kind} masks")
        return [self._inpainting(k, noise[k], size, kind) for k in drawn]

    def _inpainting(self, index: int, noise: int, size: int, kind: str) -> Case:
        """center: the middle square; object: the box around one part, which the caption names."""
        rng = self._source("inpaint", index)
        sample = bird(self.split, index)
        part = int(rng.integers(len(PARTS)))
        text = caption(sample, rng, must_name=[PARTS[part]])
        geometry = layers(sample, size)
        masks = geometry.masks
        known = centre(size) if kind == "center" else around(masks[part], rng)
        hole = known == 0
        hidden: Bools = masks[:, hole].sum(1) >= _HIDDEN * masks.sum((1, 2))
        return Case(
            text.text,
            noise,
            paint(geometry, sample),
            mask=Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)),
            truth=colour_indices([sample])[0],
            counted=named_parts([text.parts])[0] & hidden,
            labels=label_map(sample, SIDE),
        )

    def _source(self, task: str, index: int) -> np.random.Generator:
        """The random source of one sample's caption, edit or mask."""
        name = zlib.crc32(f"{self.split}/{task}".encode())
        return np.random.default_rng([self.seed, name, index])
