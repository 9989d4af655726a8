"""What is asked of a pipeline, and what is known about the right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.evaluation.pictures import Pictures

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One sample of a held-out split.

    picture: the real picture that the caption describes (synthesis), the photo before the edit
    (manipulation) or the whole photo (inpainting), mode RGB; target: the paired render after the
    edit; mask: mode L, 255 = hole. On Aviary: truth int64 [6], right colours as indices into
    COLOUR_NAMES; counted bool [6], parts that the caption names (in inpainting: and the hole
    hides); edited bool [6], parts whose colour changes; kept bool [S,S], pixels to be left alone;
    labels uint8 [64,64], what the picture shows (:func:`models.data.aviary.drawing.label_map`).
    """

    caption: str
    seed: int
    picture: Image.Image
    target: Image.Image | None = None
    mask: Image.Image | None = None
    truth: NDArray[np.int64] | None = None
    counted: Bools | None = None
    edited: Bools | None = None
    kept: Bools | None = None
    labels: NDArray[np.uint8] | None = None

    @property
    def unnamed(self) -> Bools | None:
        """Parts that must stay as they are."""
        return None if self.counted is None else ~self.counted


def of_all(cases: Sequence[Case], name: str) -> list[Any] | None:
    """One field of every case; None where one lacks it, or there is no case."""
    values = [getattr(case, name) for case in cases]
    return values if values and all(value is not None for value in values) else None


class HeldOut(Protocol):
    """One split of a data set, for judging. Sample k never depends on how many there are."""

    @property
    def name(self) -> str: ...

    @property
    def domain(self) -> str:
        """What its pictures show, such as "birds"."""
        ...

    @property
    def split(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def synthesis(self, count: int, size: int) -> list[Case]: ...

    def references(self, count: int, size: int) -> Pictures:
        """Further real pictures, none of them in ``synthesis(count)``: all that the split has, or
        as many again where it has no end; may be none.
        """
        ...

    def alike(self, index: int, count: int, size: int) -> list[Image.Image]:
        """Real pictures that fit the caption of synthesis case ``index``; empty when unknown."""
        ...

    def manipulation(self, count: int, size: int) -> list[Case]: ...

    def inpainting(self, count: int, size: int, kind: str) -> list[Case]:
        """kind: "center" or "object"; empty when the data has no such masks."""
        ...


def seeds(seed: int, split: str, task: str, count: int) -> list[int]:
    """One 32-bit seed per sample; the first n are the same for every count ≥ n."""
    text = f"{split}/{task}".encode()
    source = np.random.default_rng([seed, *text])
    return [int(k) for k in source.integers(0, 2**32, count, dtype=np.uint64)]
