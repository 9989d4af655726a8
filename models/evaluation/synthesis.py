"""Synthesis: attribute accuracy, R-precision, IS, FID, KID and diversity.

Rows: the bundle's method; ``real``, the pictures that the captions describe; ``no-text``, the
method told nothing; ``shuffled-text``, the method's pictures judged by other captions;
``blurred-8``, real pictures at 8×8 pixels and back.
"""

from __future__ import annotations

from PIL import Image

from models.evaluation.cases import HeldOut
from models.evaluation.features import diversity, features_of, set_metrics
from models.evaluation.panel import Panel
from models.evaluation.results import TaskReport
from models.evaluation.runner import Runner, derangement, items
from models.pipeline import Item

SEEDS = 16  # pictures of one caption, for diversity
CAPTIONS = 20


def evaluate(runner: Runner, data: HeldOut, panel: Panel, count: int, seed: int) -> TaskReport:
    """All rows of one bundle's synthesis."""
    cases = runner.understood(data.synthesis(count, runner.size))
    report = TaskReport("synthesize", cases)
    captions = [c.caption for c in cases]
    made = runner.run(items(cases, captions))
    real = [c.picture for c in cases]
    pictures = {
        runner.method: made,
        "real": real,
        "no-text": runner.run(items(cases, [runner.no_text] * len(cases))),
        "shuffled-text": [made[k] for k in derangement(len(made), seed)],
        "blurred-8": [blurred(p, 8) for p in real],
    }
    report.pictures = {k: v for k, v in pictures.items() if k != "shuffled-text"}
    for method, shown in pictures.items():
        row = report.row(method)
        for metric, scores in panel.attributes(shown, cases).items():
            row.add_scores(metric, scores)
        for metric, scores in panel.retrieval(shown, captions, seed).items():
            row.add_scores(metric, scores)
    _set_rows(report, data, panel, runner.size)
    _diversity_rows(report, runner, data, panel)
    return report


def blurred(picture: Image.Image, side: int) -> Image.Image:
    """The picture at ``side`` pixels and back to its size."""
    small = picture.resize((side, side), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _set_rows(report: TaskReport, data: HeldOut, panel: Panel, size: int) -> None:
    """IS, FID and KID of every row of pictures against further held-out pictures."""
    if panel.features is None:
        return
    real = report.pictures["real"]
    further = data.references(len(real), size)
    reference = features_of(panel.features, further or real)
    if not further:
        report.notes.append(
            "There are no further held-out pictures: FID and KID compare with the very pictures "
            "that the captions describe, and row real has neither."
        )
    report.notes.append(
        f"FID and KID: {len(reference.pooled)} real pictures, features of {panel.features.name} at "
        f"{panel.features.side} pixels (not Inception, not comparable with published FID)."
        if panel.features.name.startswith("efficientnet")
        else f"FID and KID: {len(reference.pooled)} real pictures, {panel.features.name}."
    )
    for method, shown in report.pictures.items():
        seen = features_of(panel.features, shown)
        against = None if method == "real" and not further else reference
        report.row(method).add(set_metrics(seen, against, panel.features.name))


def _diversity_rows(report: TaskReport, runner: Runner, data: HeldOut, panel: Panel) -> None:
    """``diversity``: 16 seeds for one caption, relative to real pictures with that caption."""
    if panel.features is None:
        return
    made, real = [], []
    for k, case in enumerate(report.cases[:CAPTIONS]):
        alike = data.alike(k, SEEDS, runner.size)
        if len(alike) < 2:
            continue
        seeds = [(case.seed + 1 + n) % 2**32 for n in range(SEEDS)]
        shown = runner.run([Item(case.caption, s) for s in seeds])
        made.append(features_of(panel.features, shown).pooled)
        real.append(features_of(panel.features, alike).pooled)
    report.row(runner.method).add({"diversity": diversity(made, real)})
