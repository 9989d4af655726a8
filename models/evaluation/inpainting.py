"""Inpainting: L1, PSNR, TV and SSIM for centre and object masks, by two protocols named apart; PSNR
and edge strength inside the hole, the latter relative to the real pictures; distance of features
from the real pictures; on Aviary the colour of hidden parts that the caption names, and whether the
hole shows the right parts (label_miou).

Rows: the bundle's method (its mean, z = mu); the classical ones (``telea``, …); ``identity``, the
hole left grey; ``no-text``; ``shuffled-text``, the method with another photo's caption; ``real``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.evaluation.cases import Case, HeldOut
from models.evaluation.estimates import Floats, Scores, ratio_of_means
from models.evaluation.metrics import edges, frame_metrics, psnr_inside, upstream_best
from models.evaluation.panel import Panel
from models.evaluation.pictures import chunks, join_chunks, unit
from models.evaluation.results import Row, TaskReport
from models.evaluation.runner import Runner, derangement
from models.inpainting.classical import METHODS, ClassicalPipeline

KINDS = ("center", "object")
T = TypeVar("T")
_GREY = 0.5


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
        real = _edges(images["real"], cases)
        for method, pictures in images.items():
            row = report.row(method)
            inside = _fill_row(row, kind, method, pictures, cases, panel)
            for metric, values in _edges(pictures, cases).items():
                row.add({f"{metric}_{kind}": ratio_of_means(values, real[metric])})
            insides.setdefault(method, []).append(inside)
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
    return report


def _pictures(runner: Runner, cases: Sequence[Case], seed: int) -> dict[str, list[Image.Image]]:
    """Every row's pictures for one kind of mask."""
    captions = [c.caption for c in cases]
    spec = runner.pipeline
    images = {runner.method: runner.make(cases, captions)}
    for name in METHODS:
        classical = ClassicalPipeline(spec.bundle, spec.task, name, "cpu", "float32")
        images[name] = Runner(classical).make(cases, captions)
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


def _fill_row(
    row: Row,
    kind: str,
    method: str,
    images: Sequence[Image.Image],
    cases: Sequence[Case],
    panel: Panel,
) -> Floats:
    """Adds one kind's metrics to a row; PSNR inside the holes."""
    found = measure(images, cases)
    for (metric, suffix), values in found.items():
        counted = method != "real" or (metric in ("l1", "tv", "ssim") and not suffix)
        if counted:  # reality has no noise to measure
            row.add_scores({f"{metric}_{kind}{suffix}": Scores.of(values)})
    name = "{}" if kind == "object" else f"{{}}_{kind}"
    row.add_scores(panel.attributes(images, cases), name)
    if method != "real":
        row.add_scores(panel.distances(images, [c.picture for c in cases]), f"{{}}_{kind}")
    row.add_scores(panel.agreement(images, cases), f"{{}}_{kind}")
    return found["psnr_hole", ""]


def _edges(images: Sequence[Image.Image], cases: Sequence[Case]) -> dict[str, Floats]:
    """``edges`` and ``sharpness`` inside the hole of each picture."""
    parts = [edges(unit(images[part]), _holes(cases[part])) for part in chunks(images)]
    return join_chunks(parts)


def _holes(cases: Sequence[Case]) -> Tensor:
    """float32 [N,1,H,W], 1 = hole."""
    masks = np.stack([np.asarray(_mask(c)) >= 128 for c in cases])[:, None]
    return torch.from_numpy(masks).float()


def measure(images: Sequence[Image.Image], cases: Sequence[Case]) -> dict[tuple[str, str], Floats]:
    """Values of each picture by (metric, suffix); suffix "_upstream" is upstream's protocol."""
    return join_chunks([_measure_chunk(images[part], cases[part]) for part in chunks(images)])


def _measure_chunk(
    images: Sequence[Image.Image], cases: Sequence[Case]
) -> dict[tuple[str, str], Floats]:
    made, truth = unit(images), unit([c.picture for c in cases])
    found = {(m, ""): v for m, v in frame_metrics(made, truth).items()}
    found["psnr_hole", ""] = psnr_inside(made, truth, _holes(cases))
    upstream = _upstream(made, unit([mask_hole(c) for c in cases]), truth)
    return found | {(m, "_upstream"): v for m, v in upstream.items()}


def _upstream(made: Tensor, grey: Tensor, truth: Tensor) -> dict[str, Floats]:
    """Upstream's four numbers of each picture, over its list of candidates."""
    found = [upstream_best([m, g], t) for m, g, t in zip(made, grey, truth, strict=True)]
    return {k: np.array([f[k] for f in found]) for k in ("l1", "psnr", "tv", "ssim")}


def _add_pictures(
    report: TaskReport, cases: Sequence[Case], images: dict[str, list[Image.Image]]
) -> None:
    """Adds one kind's cases and pictures, in turn with those of the kind before."""
    report.cases = _interleave(report.cases, cases)
    columns = {"input": [mask_hole(c) for c in cases], **images}
    del columns["identity"]  # the input is what identity shows
    for method, pictures in columns.items():
        report.pictures[method] = _interleave(report.pictures.get(method, []), pictures)


def _interleave(a: Sequence[T], b: Sequence[T]) -> list[T]:
    """One of each, and what is left of the longer."""
    both = min(len(a), len(b))
    mixed = [x for pair in zip(a, b, strict=False) for x in pair]
    return [*mixed, *a[both:], *b[both:]]
