"""Inpainting: L1, PSNR, TV and SSIM for centre and object masks, by two protocols named apart; PSNR
and edge strength inside the hole, the latter relative to the real pictures; distance of features
from the real pictures; on Aviary the colour of hidden parts that the caption names, and whether the
hole shows the right parts (label_miou).

Rows: the bundle's method (its mean, z = mu); the classical ones (``telea``, …); ``identity``, the
hole left grey; ``no-text``; ``shuffled-text``, the method with another photo's caption; ``real``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.evaluation.cases import Case, HeldOut
from models.evaluation.estimates import Floats, Scores, ratio_of_means
from models.evaluation.metrics import (
    Grey,
    edges,
    frame_metrics,
    grey,
    psnr_inside,
    upstream_best,
    upstream_metrics,
)
from models.evaluation.panel import Panel
from models.evaluation.pictures import chunks, join_chunks, unit
from models.evaluation.progress import track
from models.evaluation.results import Row, TaskReport
from models.evaluation.runner import Runner, derangement
from models.inpainting.classical import METHODS, ClassicalPipeline

KINDS = ("center", "object")
T = TypeVar("T")
Measured = dict[tuple[str, str], Floats]  # values of each picture by (metric, suffix)
_GREY = 0.5
_GRADIENTS = ("edges", "sharpness")
# How many pictures of each kind of mask a slow method fills: it takes a third of a second for one
# of 256 pixels, as long as all other rows together.
MOST_PICTURES = {"patchmatch": 300}


def evaluate(runner: Runner, data: HeldOut, panel: Panel, count: int, seed: int) -> TaskReport:
    """All rows of one bundle's inpainting; pictures and samples are of both kinds in turn."""
    report = TaskReport("inpaint", [])
    insides: dict[str, list[Floats]] = {}
    for kind in KINDS:
        cases = runner.filter_known(data.inpainting(count, runner.size, kind))
        if not cases:
            report.notes.append(f"The data has no {kind} masks: those metrics are left out.")
            continue
        images = _pictures(runner, cases, seed)
        found = measure(images, cases)
        for method, values in found.items():
            _fill_row(report.row(method), kind, method, values, found["real"])
            insides.setdefault(method, []).append(values["psnr_hole", ""])
        _add_verdicts(report, kind, images, cases, panel)
        _add_pictures(report, cases, images)
    for method, parts in insides.items():
        if method != "real":
            report.row(method).add_scores({"psnr_hole": Scores.of(np.concatenate(parts))})
    report.notes.append(
        "Plain names: colour pictures on [0,1], whole frame with the known pixels pasted, mean "
        "over pictures. Names with _upstream repeat TDANet's evaluation.py: grey pictures, "
        "relative L1, wrapped TV, SSIM along columns only, the better of the fill and the "
        "grey-holed input."
    )
    report.notes += [
        f"{method} is slow: it filled the first {most} pictures of each kind of mask alone."
        for method, most in MOST_PICTURES.items()
        if len(report.pictures.get(method, [])) < len(report.cases)
    ]
    return report


def _pictures(runner: Runner, cases: Sequence[Case], seed: int) -> dict[str, list[Image.Image]]:
    """Every row's pictures for one kind of mask, of the first cases where a method is slow."""
    captions = [c.caption for c in cases]
    spec = runner.pipeline
    images = {runner.method: runner.make(cases, captions)}
    for name in METHODS:
        most = MOST_PICTURES.get(name, len(cases))
        classical = ClassicalPipeline(spec.bundle, spec.task, name, "cpu", "float32")
        images[name] = Runner(classical).make(cases[:most], captions[:most])
    images["identity"] = [mask_hole(c) for c in cases]
    images["no-text"] = runner.make(cases, [runner.no_text] * len(cases))
    others = derangement(len(cases), seed)
    images["shuffled-text"] = runner.make(cases, [captions[k] for k in others])
    images["real"] = [c.picture for c in cases]
    return images


def mask_hole(case: Case) -> Image.Image:
    """The photo with a grey hole: what nobody filled."""
    grey = Image.new("RGB", case.picture.size, (round(_GREY * 255),) * 3)
    return Image.composite(grey, case.picture, _mask(case))


def _mask(case: Case) -> Image.Image:
    if case.mask is None:
        raise ValueError("an inpainting case needs a mask")
    return case.mask


def _fill_row(row: Row, kind: str, method: str, values: Measured, real: Measured) -> None:
    """Adds what was measured of one kind's pictures."""
    for (metric, suffix), found in values.items():
        if metric in _GRADIENTS:
            # Of pairs: the row's pictures and the real ones in their places.
            ratio = ratio_of_means(found, real[metric, suffix][: len(found)])
            row.add({f"{metric}_{kind}": ratio})
        elif method != "real" or (metric in ("l1", "tv", "ssim") and not suffix):
            row.add_scores({f"{metric}_{kind}{suffix}": Scores.of(found)})
        # else: reality has no noise to measure


def _add_verdicts(
    report: TaskReport,
    kind: str,
    images: Mapping[str, Sequence[Image.Image]],
    cases: Sequence[Case],
    panel: Panel,
) -> None:
    """Adds what networks say of one kind's pictures."""
    name = "{}" if kind == "object" else f"{{}}_{kind}"
    fills = {method: pictures for method, pictures in images.items() if method != "real"}
    distances = panel.distances(fills, images["real"])
    for method, pictures in images.items():
        row, own = report.row(method), cases[: len(pictures)]
        row.add_scores(panel.attributes(pictures, own), name)
        if method in distances:
            row.add_scores({f"feature_distance_{kind}": distances[method]})
        row.add_scores(panel.agreement(pictures, own), f"{{}}_{kind}")


def measure(
    images: Mapping[str, Sequence[Image.Image]], cases: Sequence[Case]
) -> dict[str, Measured]:
    """Values of each row's pictures, which are of the first cases; suffix "_upstream" is upstream's
    protocol.
    """
    found: dict[str, list[Measured]] = {method: [] for method in images}
    parts = list(chunks(images["real"]))
    for part in track(parts, "inpaint: measured", len(cases)):
        truth = _Truth.of(cases[part])
        for method, pictures in images.items():
            if made := pictures[part]:
                found[method].append(truth.measure(unit(made)))
    return {method: join_chunks(values) for method, values in found.items() if values}


@dataclass(frozen=True)
class _Truth:
    """What fills are compared with: pictures [N,3,H,W] in [0,1], holes [N,1,H,W] (1 = hole), the
    pictures in upstream's grey, and its four numbers of holes that are left grey.
    """

    pictures: Tensor
    holes: Tensor
    grey: list[Grey]
    unfilled: list[dict[str, float]]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> _Truth:
        pictures = unit([c.picture for c in cases])
        masks = np.stack([np.asarray(_mask(c)) >= 128 for c in cases])[:, None]
        plain, left = [grey(p) for p in pictures], unit([mask_hole(c) for c in cases])
        unfilled = [upstream_metrics(grey(m), t) for m, t in zip(left, plain, strict=True)]
        return cls(pictures, torch.from_numpy(masks).float(), plain, unfilled)

    def measure(self, made: Tensor) -> Measured:
        """Of fills of the first holes."""
        truth, holes = self.pictures[: len(made)], self.holes[: len(made)]
        found = {(m, ""): v for m, v in frame_metrics(made, truth).items()}
        found["psnr_hole", ""] = psnr_inside(made, truth, holes)
        found |= {(m, "_upstream"): v for m, v in self._upstream(made).items()}
        return found | {(m, ""): v for m, v in edges(made, holes).items()}

    def _upstream(self, made: Tensor) -> dict[str, Floats]:
        """Upstream's four numbers of each picture, over its list of candidates."""
        fills = [upstream_metrics(grey(m), t) for m, t in zip(made, self.grey, strict=False)]
        best = [upstream_best(pair) for pair in zip(fills, self.unfilled, strict=False)]
        return {k: np.array([f[k] for f in best]) for k in ("l1", "psnr", "tv", "ssim")}


def _add_pictures(
    report: TaskReport, cases: Sequence[Case], images: dict[str, list[Image.Image]]
) -> None:
    """Adds one kind's cases and pictures, in turn with those of the kind before."""
    report.cases = _interleave(report.cases, cases)
    columns = {"input": images["identity"], **images}  # the input is what identity shows
    del columns["identity"]
    for method, pictures in columns.items():
        report.pictures[method] = _interleave(report.pictures.get(method, []), pictures)


def _interleave(a: Sequence[T], b: Sequence[T]) -> list[T]:
    """One of each, and what is left of the longer."""
    both = min(len(a), len(b))
    mixed = [x for pair in zip(a, b, strict=False) for x in pair]
    return [*mixed, *a[both:], *b[both:]]
