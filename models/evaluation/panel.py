"""The judges of one evaluation. None of them ever gives a training signal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from models.errors import ModelsError
from models.evaluation.attributes import NoReader, Reader, load_reader
from models.evaluation.cases import Bools, Case
from models.evaluation.estimates import Floats, Scores
from models.evaluation.features import FeatureNetwork, Lite2Features
from models.evaluation.inception import load_inception
from models.evaluation.judges import JudgeEncoders, NoEncoders, load_encoders
from models.evaluation.metrics import attribute_scores, caption_pools, r_precision
from models.evaluation.pictures import mapped

POOL = 10  # captions among which R-precision looks for the right one
T = TypeVar("T")


@dataclass(frozen=True)
class Panel:
    """reader: of part colours, on Aviary only; encoders: behind sim and R-precision; features:
    behind IS, FID, KID and diversity; notes: what is missing, and the command that makes it.
    """

    reader: Reader | None = None
    encoders: JudgeEncoders | None = None
    features: FeatureNetwork | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> dict[str, dict[str, object]]:
        """Each judge by name and sha256, for the report."""
        found: dict[str, dict[str, object]] = {}
        if self.reader:
            found["attribute reader"] = {
                "sha256": self.reader.sha256,
                "held-out accuracy": self.reader.accuracy,
            }
        if self.encoders:
            found["encoders (sim, R-precision)"] = dict(self.encoders.described)
        if self.features:
            found[f"features ({self.features.name})"] = {
                "sha256": self.features.sha256,
                "input pixels": self.features.side,
            }
        return found

    def attributes(
        self,
        pictures: Sequence[Image.Image],
        cases: Sequence[Case],
        which: Callable[[Case], Bools | None] = lambda c: c.counted,
    ) -> dict[str, Scores]:
        """``attribute_accuracy`` over the parts that ``which`` says; nothing without truth."""
        truth = [c.truth for c in cases if c.truth is not None]
        counted = [w for w in map(which, cases) if w is not None]
        if self.reader is None or not cases or len(truth) < len(cases) or len(counted) < len(cases):
            return {}
        read = mapped(pictures, self.reader.read).numpy()
        return {"attribute_accuracy": attribute_scores(read, np.stack(truth), np.stack(counted))}

    def retrieval(
        self, pictures: Sequence[Image.Image], captions: Sequence[str], seed: int
    ) -> dict[str, Scores]:
        """``r_precision``: whether the right caption is the nearest of ten."""
        if self.encoders is None or len(captions) < 2:
            return {}
        pools = caption_pools(captions, POOL, seed)
        if pools.shape[1] < 2:
            return {}
        codes = mapped(pictures, self.encoders.codes)
        texts = self.encoders.sentences(captions)
        return {"r_precision": Scores.of(r_precision(codes, texts, pools))}

    def similarity(self, pictures: Sequence[Image.Image], captions: Sequence[str]) -> Floats | None:
        """Cosine of each picture and its caption, float64 [N]; None without encoders."""
        if self.encoders is None:
            return None
        codes = mapped(pictures, self.encoders.codes)
        texts = self.encoders.sentences(captions)
        return np.asarray((codes * texts).sum(1).double().numpy(), np.float64)


def convene(
    data: str, judges: Path | None, inception: Path | None, *, features: bool = True
) -> Panel:
    """The judges for the data set named ``data``; what is missing becomes a note. features:
    whether to load a feature network at all.
    """
    notes: list[str] = []
    reader = None
    if data == "aviary":
        reader = _or_note(lambda: load_reader(judges), NoReader, "attribute_accuracy", notes)
    encoders = _or_note(
        lambda: load_encoders(data, judges), NoEncoders, "sim, mp and r_precision", notes
    )
    network: FeatureNetwork | None = None
    if features:
        network = load_inception(inception) if inception else Lite2Features()
    return Panel(reader, encoders, network, tuple(notes))


def _or_note(
    load: Callable[[], T], missing: type[ModelsError], metrics: str, notes: list[str]
) -> T | None:
    try:
        return load()
    except missing as error:
        notes.append(f"Left out: {metrics}. {error}")
        return None
