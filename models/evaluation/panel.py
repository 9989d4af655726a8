"""The judges of one evaluation. None of them ever gives a training signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.evaluation.anatomy import form, label_agreement
from models.evaluation.attributes import AttributeReader, load_reader
from models.evaluation.cases import Case, HeldOut, of_all
from models.evaluation.encoders import EvaluationEncoders, load_encoders
from models.evaluation.estimates import Floats, Scores
from models.evaluation.evaluator_files import EvaluatorMissing, evaluator_folders
from models.evaluation.features import FeatureNetwork, Lite2Features
from models.evaluation.form import SIDE, FormEvaluator, load_form_evaluator
from models.evaluation.inception import load_inception
from models.evaluation.metrics import attribute_scores, caption_pools, r_precision
from models.evaluation.perceptual import FeatureDistance, feature_distance
from models.evaluation.pictures import chunks, map_chunks, stack
from models.evaluation.progress import track
from models.evaluation.subject import SubjectClassifier, subject_classifier

POOL = 10  # captions among which R-precision looks for the right one
T = TypeVar("T")


@dataclass(frozen=True)
class Panel:
    """reader: of part colours, and form: of where parts are, both on Aviary only; encoders: behind
    sim and R-precision; features: behind KID, FID, IS and diversity; distance: of a fill from what
    was hidden; subject: how much of a bird or flower photos show; notes: what is missing, and the
    command that makes it.
    """

    reader: AttributeReader | None = None
    encoders: EvaluationEncoders | None = None
    features: FeatureNetwork | None = None
    distance: FeatureDistance | None = None
    form: FormEvaluator | None = None
    subject: SubjectClassifier | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> dict[str, dict[str, object]]:
        """Each judge by name and sha256, for the report."""
        found: dict[str, dict[str, object]] = {}
        if self.reader:
            found["attribute reader"] = {
                "sha256": self.reader.sha256,
                "held-out accuracy": self.reader.accuracy,
            }
        if self.form:
            found["form judge"] = {
                "sha256": self.form.sha256,
                "held-out accuracy of pixels": self.form.accuracy,
            }
        if self.subject:
            found[f"{self.subject.subject} classes"] = {
                "network": f"EfficientNet-{self.subject.by.capitalize()}, ImageNet",
                "input pixels": self.subject.side,
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
        self, pictures: Sequence[Image.Image], cases: Sequence[Case], which: str = "counted"
    ) -> dict[str, Scores]:
        """``attribute_accuracy`` over the parts that the cases' field says; nothing without."""
        truth, counted, read = of_all(cases, "truth"), of_all(cases, which), self.colours(pictures)
        if read is None or truth is None or counted is None:
            return {}
        return {"attribute_accuracy": attribute_scores(read, np.stack(truth), np.stack(counted))}

    def colours(self, pictures: Sequence[Image.Image]) -> NDArray[np.int64] | None:
        """int64 [N,6]: each part's colour as the reader sees it; None without a reader."""
        return map_chunks(pictures, self.reader.read).numpy() if self.reader else None

    def whole(self, pictures: Sequence[Image.Image]) -> dict[str, Scores]:
        """``one_bird``, ``two_heads``, ``bill_found``, ``eye_found``, ``legs_found``."""
        if self.form is None:
            return {}
        found = form(self.form.anatomy, self.form.labels(pictures))
        return {name: Scores.of(values.astype(np.float64)) for name, values in found.items()}

    def agreement(
        self, pictures: Sequence[Image.Image], cases: Sequence[Case]
    ) -> dict[str, Scores]:
        """``label_miou``: of labels inside the hole with those of the true picture; nothing without
        them.
        """
        true, masks = of_all(cases, "labels"), of_all(cases, "mask")
        if self.form is None or true is None or masks is None:
            return {}
        small = [m.resize((SIDE, SIDE), Image.Resampling.NEAREST) for m in masks]
        holes = np.stack([np.asarray(m) >= 128 for m in small])
        found = label_agreement(self.form.labels(pictures), np.stack(true), holes)
        return {"label_miou": Scores.of(found)}

    def distances(
        self, rows: Mapping[str, Sequence[Image.Image]], real: Sequence[Image.Image]
    ) -> dict[str, Scores]:
        """``feature_distance`` of each row's pictures from the first of the real ones; nothing
        without the network. All rows together, for features of a real picture are found once.
        """
        if self.distance is None:
            return {}
        found: dict[str, list[Floats]] = {name: [] for name in rows}
        for part in track(list(chunks(real)), "inpaint: feature_distance", len(real)):
            known = self.distance.features(stack(real[part]))
            for name, pictures in rows.items():
                if made := pictures[part]:
                    seen = self.distance.features(stack(made))
                    first = [block[: len(made)] for block in known]
                    found[name].append(feature_distance(seen, first))
        return {name: Scores.of(np.concatenate(parts)) for name, parts in found.items() if parts}

    def subjects(self, pictures: Sequence[Image.Image]) -> dict[str, Floats]:
        """``bird_mass`` or ``flower_mass`` of each picture; nothing for other data."""
        if self.subject is None:
            return {}
        mass = map_chunks(pictures, self.subject.mass).double().numpy()
        return {f"{self.subject.subject}_mass{self.subject.suffix}": np.asarray(mass, np.float64)}

    def subject_maps(self, pictures: Sequence[Image.Image]) -> Tensor | None:
        """float32 [N,1,S,S]: 1 where there is a bird or a flower, else 0; None for other data."""
        return map_chunks(pictures, self.subject.activation_maps) if self.subject else None

    def retrieval(
        self, pictures: Sequence[Image.Image], captions: Sequence[str], seed: int
    ) -> dict[str, Scores]:
        """``r_precision``: whether the right caption is the nearest of ten."""
        if self.encoders is None or len(captions) < 2:
            return {}
        pools = caption_pools(captions, POOL, seed)
        if pools.shape[1] < 2:
            return {}
        codes = map_chunks(pictures, self.encoders.codes)
        texts = self.encoders.sentences(captions)
        return {"r_precision": Scores.of(r_precision(codes, texts, pools))}

    def similarity(self, pictures: Sequence[Image.Image], captions: Sequence[str]) -> Floats | None:
        """Cosine of each picture and its caption, float64 [N]; None without encoders."""
        if self.encoders is None:
            return None
        codes = map_chunks(pictures, self.encoders.codes)
        texts = self.encoders.sentences(captions)
        return np.asarray((codes * texts).sum(1).double().numpy(), np.float64)


def load_panel(
    data: HeldOut,
    evaluators: Path | None,
    inception: Path | None,
    *,
    features: bool = True,
    classifier: str = "lite2",
) -> Panel:
    """The judges for a data set; what is missing becomes a note. features: whether to load networks
    of ImageNet at all; classifier: which of them sees birds and flowers.
    """
    notes: list[str] = []
    reader, shape = None, None
    if data.name == "aviary":
        folders = evaluator_folders(evaluators)
        reader = _or_note(lambda: load_reader(folders), "attribute_accuracy", notes)
        shape = _or_note(lambda: load_form_evaluator(folders), "one_bird", notes)
    encoders = _or_note(
        lambda: load_encoders(data.name, evaluators), "sim, mp and r_precision", notes
    )
    network: FeatureNetwork | None = None
    if features:
        network = load_inception(inception) if inception else Lite2Features()
    subject = subject_classifier(data.domain, classifier) if features else None
    distance = FeatureDistance() if features else None
    return Panel(reader, encoders, network, distance, shape, subject, tuple(notes))


def _or_note(load: Callable[[], T], metrics: str, notes: list[str]) -> T | None:
    try:
        return load()
    except EvaluatorMissing as error:
        notes.append(f"Left out: {metrics}. {error}")
        return None
