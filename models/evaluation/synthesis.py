"""Synthesis: named colours, whole birds, R-precision, KID, FID, IS, edges, and how varied it is.

Rows: the bundle's method; ``real``, the pictures that the captions describe; ``no-text``, the
method without a caption; ``shuffled-text``, the method's pictures judged by other captions;
``blurred-8``, real pictures at 8×8 pixels and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from models.evaluation.cases import Case, HeldOut
from models.evaluation.distances import diversity, set_metrics
from models.evaluation.estimates import Floats, Scores, ratio_of_means
from models.evaluation.features import FeatureNetwork, cached_features, features_of
from models.evaluation.metrics import distinct_colours, edges
from models.evaluation.panel import Panel
from models.evaluation.pictures import Pictures, chunks, join_chunks, unit
from models.evaluation.progress import track
from models.evaluation.results import TaskReport
from models.evaluation.runner import Runner, derangement
from models.pipeline import Item

SEEDS = 16  # pictures of one caption, for diversity
CAPTIONS = 20


def evaluate(runner: Runner, data: HeldOut, panel: Panel, count: int, seed: int) -> TaskReport:
    """All rows of one bundle's synthesis."""
    asked = data.synthesis(count, runner.size)
    known = [k for k, case in enumerate(asked) if runner.pipeline.knows(case.caption)]
    cases = runner.filter_known(asked)
    report = TaskReport("synthesize", cases)
    report.notes += [f"{name}: {value}" for name, value in sorted(runner.served_with.items())]
    captions = [c.caption for c in cases]
    made = runner.make(cases, captions)
    real = [c.picture for c in cases]
    pictures = {
        runner.method: made,
        "real": real,
        "no-text": runner.make(cases, [runner.no_text] * len(cases)),
        "shuffled-text": [made[k] for k in derangement(len(made), seed)],
        "blurred-8": [blur(p, 8) for p in real],
    }
    report.pictures = {k: v for k, v in pictures.items() if k != "shuffled-text"}
    for method, images in pictures.items():
        row = report.row(method)
        row.add_scores(panel.attributes(images, cases) | panel.retrieval(images, captions, seed))
    _picture_rows(report, panel)
    _set_rows(report, panel, data.references(count, runner.size), data.fingerprint)
    _variety_rows(report, runner, data, known[:CAPTIONS], panel)
    return report


def blur(picture: Image.Image, side: int) -> Image.Image:
    """The picture at ``side`` pixels and back to its size."""
    small = picture.resize((side, side), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _picture_rows(report: TaskReport, panel: Panel) -> None:
    """What pictures show, whatever they were asked for: whole birds, birds or flowers, edges."""
    real = report.pictures["real"]
    strength, masses = _edges(real), panel.subjects(real)
    for method, images in report.pictures.items():
        row = report.row(method)
        row.add_scores(panel.whole(images))
        row.add_subjects(panel.subjects(images), masses)
        row.add({k: ratio_of_means(v, strength[k]) for k, v in _edges(images).items()})
    report.notes.append(
        f"Pictures of {real[0].width} pixels. edges, sharpness: mean absolute and root mean square "
        "gradient, relative to the real pictures; _ratio: mass on the subject's ImageNet classes, "
        "relative to theirs."
    )


def _edges(images: Sequence[Image.Image]) -> dict[str, Floats]:
    return join_chunks([edges(unit(images[part])) for part in chunks(images)])


def _set_rows(report: TaskReport, panel: Panel, others: Pictures, fingerprint: str) -> None:
    """KID, FID and IS of every row of pictures against all held-out pictures; of the row ``real``
    against those that no caption describes.
    """
    if panel.features is None:
        return
    real, further = report.pictures["real"], None
    own = features_of(panel.features, real)
    reference = own.pooled
    if len(others) > 1:
        what = f"{fingerprint} {others.indices} {real[0].width}"
        further = cached_features(panel.features, others, what).pooled
        reference = torch.cat([own.pooled, further])
    else:
        report.notes.append(
            "There are no further held-out pictures: KID and FID compare with the very pictures "
            "that the captions describe, and row real has neither."
        )
    report.notes.append(_reference_note(panel.features, len(reference)))
    for method, images in report.pictures.items():
        seen = own if method == "real" else features_of(panel.features, images)
        against = further if method == "real" else reference
        report.row(method).add(set_metrics(seen, against, panel.features.name))


def _reference_note(network: FeatureNetwork, count: int) -> str:
    note = f"KID and FID: {count} real pictures, features of {network.name}"
    if network.name.startswith("efficientnet"):
        note += f" at {network.side} pixels (not Inception, not comparable with published FID)"
    return note + ". KID leads; FID of fewer than 2,048 pictures grows with their lack."


def _variety_rows(
    report: TaskReport, runner: Runner, data: HeldOut, indices: Sequence[int], panel: Panel
) -> None:
    """Of the first captions, the cases ``indices`` of the data, that have real pictures to compare
    with. ``diversity``: 16 seeds for one caption, relative to real pictures with that caption;
    ``distinct_unnamed_colours``: of a part that the caption leaves open, in these 16 pictures
    (drawn uniformly from ten colours: 8.1).
    """
    asked = track(indices, "synthesize: real pictures of one caption", len(indices) * SEEDS)
    pairs = zip(report.cases, [data.alike(k, SEEDS, runner.size) for k in asked], strict=False)
    found = [(case, alike) for case, alike in pairs if len(alike) > 1]
    cases, real = [case for case, _ in found], [alike for _, alike in found]
    made = [
        runner.run([Item(c.caption, (c.seed + 1 + n) % 2**32) for n in range(SEEDS)]) for c in cases
    ]
    for row, sets in ((runner.method, made), ("real", real)):
        counts = [_distinct(panel, case, images) for case, images in zip(cases, sets, strict=True)]
        known = [c for c in counts if c is not None]
        if known:
            values, weights = np.array(known, np.float64).T
            report.row(row).add_scores({"distinct_unnamed_colours": Scores(values, weights)})
    if panel.features:
        one, other = (
            [features_of(panel.features, images).pooled for images in sets] for sets in (made, real)
        )
        report.row(runner.method).add({"diversity": diversity(one, other)})


def _distinct(panel: Panel, case: Case, images: Sequence[Image.Image]) -> tuple[float, int] | None:
    read = panel.colours(images)
    if read is None or case.counted is None:
        return None
    return distinct_colours(read, ~case.counted)
