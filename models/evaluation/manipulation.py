"""Manipulation: sim, diff, MP, IS; on Aviary also attribute accuracy and what was kept.

Rows: the bundle's method; ``identity``, the photo as it was; ``recolour``, the whole photo shifted
to a colour that the caption names; ``no-text``; ``real``, the paired render, where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.captions import tokenize
from models.data.aviary.captions import COLOUR_WORDS
from models.data.aviary.drawing import COLOURS
from models.evaluation.cases import Case, HeldOut, of_all
from models.evaluation.distances import set_metrics
from models.evaluation.estimates import Floats, Scores
from models.evaluation.features import features_of
from models.evaluation.metrics import difference_inside, l1, manipulation_precision
from models.evaluation.panel import Panel
from models.evaluation.pictures import as_array, chunks, unit
from models.evaluation.results import Row, TaskReport
from models.evaluation.runner import Runner

_SUBJECT, _BACKGROUND = 0.7, 0.15  # of a subject's map: above the one, below the other

# colour word -> colour in [0,1]; synonyms and common words of photo captions included
_WORDS = {
    **{word: COLOURS[name] for name, words in COLOUR_WORDS.items() for word in words},
    **COLOURS,
    "pink": (0.95, 0.55, 0.70),
    "tan": (0.82, 0.71, 0.55),
    "golden": (0.85, 0.65, 0.13),
    "dark": (0.15, 0.15, 0.15),
    "light": (0.85, 0.85, 0.85),
}


def evaluate(runner: Runner, data: HeldOut, panel: Panel, count: int, seed: int) -> TaskReport:
    """All rows of one bundle's manipulation."""
    cases = runner.filter_known(data.manipulation(count, runner.size))
    report = TaskReport("manipulate", cases)
    captions = [c.caption for c in cases]
    before = [c.picture for c in cases]
    report.pictures = {
        "input": before,
        runner.method: runner.make(cases, captions),
        "recolour": [recolour(c.picture, c.caption) for c in cases],
        "no-text": runner.make(cases, [runner.no_text] * len(cases)),
    }
    if (targets := of_all(cases, "target")) is not None:
        report.pictures["real"] = targets
    real, maps = panel.subjects(before), panel.subject_maps(before)
    for method, images in {**report.pictures, "identity": before}.items():
        if method != "input":
            row = report.row(method)
            _fill_row(row, images, cases, panel, seed)
            row.add_subjects(panel.subjects(images), real)
            if maps is not None:
                row.add_scores(_differences_by_map(images, before, maps))
    report.notes.append(
        "diff: mean absolute difference to the input on [0,1]; sim: cosine of picture and caption; "
        "MP = (1 − diff) · sim of each pair, then the mean. attribute_accuracy: parts that the "
        "caption names; edited_: of these, parts whose colour changes; unnamed_: the other parts. "
        "_ratio: relative to the photos before the edit. subject_diff and background_diff: "
        "diff where the classifier of birds or flowers sees one in the photo, and where it sees "
        "none."
    )
    return report


def _fill_row(
    row: Row, images: Sequence[Image.Image], cases: Sequence[Case], panel: Panel, seed: int
) -> None:
    captions = [c.caption for c in cases]
    difference = _distance(images, [c.picture for c in cases])
    row.add_scores({"diff": Scores.of(difference)})
    similarity = panel.similarity(images, captions)
    if similarity is not None:
        precision = manipulation_precision(similarity, difference)
        row.add_scores({"sim": Scores.of(similarity), "mp": Scores.of(precision)})
    row.add_scores(panel.retrieval(images, captions, seed) | panel.attributes(images, cases))
    row.add_scores(panel.attributes(images, cases, "edited"), "edited_{}")
    row.add_scores(panel.attributes(images, cases, "unnamed"), "unnamed_{}")
    _add_kept(row, images, cases)
    if panel.features:
        row.add(set_metrics(features_of(panel.features, images), None, panel.features.name))


def _add_kept(row: Row, images: Sequence[Image.Image], cases: Sequence[Case]) -> None:
    """``kept_diff``: mean absolute difference where neither caption nor edit asks for a change;
    ``target_l1``: to the paired render.
    """
    if (kept := of_all(cases, "kept")) is not None:
        where = torch.from_numpy(np.stack(kept)[:, None])
        before = [c.picture for c in cases]
        row.add_scores({"kept_diff": _difference_where(images, before, where)})
    if (targets := of_all(cases, "target")) is not None:
        row.add_scores({"target_l1": Scores.of(_distance(images, targets))})


def _distance(a: Sequence[Image.Image], b: Sequence[Image.Image]) -> Floats:
    """Mean absolute difference of each pair on [0,1]."""
    return np.concatenate([l1(unit(a[part]), unit(b[part])) for part in chunks(a)])


def _differences_by_map(
    images: Sequence[Image.Image], before: Sequence[Image.Image], maps: Tensor
) -> dict[str, Scores]:
    """``subject_diff`` and ``background_diff``; what lies between the two counts for neither."""
    where = {"subject_diff": maps > _SUBJECT, "background_diff": maps < _BACKGROUND}
    return {name: _difference_where(images, before, area) for name, area in where.items()}


def _difference_where(
    images: Sequence[Image.Image], before: Sequence[Image.Image], where: Tensor
) -> Scores:
    """Mean absolute difference of each pair where ``where``, bool [N,1,S,S], is True."""
    found = [
        difference_inside(unit(images[part]), unit(before[part]), where[part].float())
        for part in chunks(images)
    ]
    values = np.concatenate([s.values for s in found])
    return Scores(values, np.concatenate([s.weights for s in found]))


def recolour(picture: Image.Image, text: str) -> Image.Image:
    """The photo shifted so that its mean is the first colour that the text names, if any."""
    named = [_WORDS[word] for word in tokenize(text) if word in _WORDS]
    if not named:
        return picture
    pixels = as_array(picture)
    moved = pixels + np.asarray(named[0], np.float32) - pixels.mean((0, 1))
    return Image.fromarray(np.round(moved.clip(0, 1) * 255).astype(np.uint8))
