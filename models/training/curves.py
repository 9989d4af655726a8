"""What one run logged, or several that continue each other: a figure, a panel for each value."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.data.layouts.base import printable_name
from models.errors import ModelsError

_COLUMNS = 3
_NOT_LOSSES = ("step", "seconds", "rate")
_WINDOW = 15  # logged values that the thick line averages
# What each value is; in the place of the part's own meaning, that of any part.
_ANY = {
    "d": "discriminator: loss",
    "g": "generator: adversarial loss",
    "l1": "L1 to the target",
    "kl": "KL divergence from the prior (nats)",
    "damsm": "DAMSM loss of generated pictures",
    "matching": "DAMSM loss of edited pictures",
    "perceptual": "distance of frozen features",
    "beyond": "saturation penalty",
    "reading": "named attributes: cross-entropy",
    "named": "named attributes read rightly (share)",
    "shown": "attributes of real pictures read rightly (share)",
}
_OF_PART = {
    "damsm": {
        "words": "words against regions: matching loss",
        "sentence": "sentence against picture: matching loss",
        "top1": "own caption ranked first (share)",
        "text_of_title": "attributes read from sentences: cross-entropy",
        "shown": "attributes read from pictures: cross-entropy",
    },
    "synthesis": {
        "nats": "KL divergence of the encoded noise (nats)",
        "rebuilt": "real pictures drawn again: loss",
        "pixels": "weighted L1 to the drawing",
        "coarse": "L1 at an eighth of the size",
        "edges": "L1 of gradients",
        "labels": "what each pixel shows: cross-entropy",
    },
    "manipulation": {
        "back": "photos with their own caption: L1",
        "kept": "edits: L1 to the photo",
        "coarse": "edits: L1 of coarse brightness",
        "stages": "coarse stages: L1 to the target",
    },
}


@dataclass(frozen=True)
class Curves:
    """values: name -> (step, value), steps counted through all runs; starts: step at which each run
    but the first begins, and its name.
    """

    title: str
    part: str
    values: dict[str, list[tuple[int, float]]]
    starts: list[tuple[int, str]]

    @classmethod
    def of(cls, runs: Sequence[Path], title: str = "") -> Curves:
        """Read run folders in their order. Raises ModelsError for one that logged nothing."""
        values: dict[str, list[tuple[int, float]]] = {}
        starts: list[tuple[int, str]] = []
        before, options = 0, dict[str, Any]()
        for run in runs:
            found, last = _read(run / "stats.jsonl")
            options = _options(run) or options
            if before:
                starts.append((before, _name(run)))
            for name, points in found.items():
                values.setdefault(name, []).extend((before + s, v) for s, v in points)
            before += last
        part = str(options.get("part", ""))
        return cls(_title(title, runs, options, before), part, values, starts)

    def meaning(self, name: str) -> str:
        """What a value is, in words; its own name where nobody said."""
        return _OF_PART.get(self.part, {}).get(name) or _ANY.get(name) or name


def lines_of(stats: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a ``stats.jsonl``, if there is one; what a kill tore is passed over."""
    if not stats.is_file():
        return
    for text in stats.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            yield line


def _read(stats: Path) -> tuple[dict[str, list[tuple[int, float]]], int]:
    """(step, value) of every value, and the last step; a later line for a step counts."""
    if not stats.is_file():
        raise ModelsError(f"{stats.parent} has no {stats.name}: it is no run, or logged nothing.")
    found: dict[str, dict[int, float]] = {}
    last = 0
    for line in lines_of(stats):
        last = max(last, line["step"])
        for name, value in line.items():
            if name not in _NOT_LOSSES:
                found.setdefault(name, {})[line["step"]] = value
    return {name: sorted(points.items()) for name, points in found.items()}, last


def _options(run: Path) -> dict[str, Any]:
    path = run / "options.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or a damaged one, which resuming tells of
        return {}
    return found if isinstance(found, dict) else {}


def _name(run: Path) -> str:
    """The stage that a run is, else its folder's name."""
    return str(_options(run).get("stage") or printable_name(run.resolve().name))


def _title(title: str, runs: Sequence[Path], options: dict[str, Any], steps: int) -> str:
    """``bundle: part (runs), steps``."""
    names = [_name(run) for run in runs]
    listed = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    bundle = title or options.get("data", {}).get("name", "")
    batch = options.get("loop", {}).get("batch")
    text_of_title = f"{bundle}: {options['part']} ({listed})" if "part" in options else listed
    return f"{text_of_title}, {steps:,} steps" + (f" of {batch} pictures" if batch else "")


def draw(curves: Curves, out: Path) -> None:
    """Write the figure as PNG or WebP, as ``out`` ends; nothing when nothing was logged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not curves.values:
        return
    rows = math.ceil(len(curves.values) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.4 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for panel, (name, points) in zip(panels, curves.values.items(), strict=False):
        _panel(panel, curves, name, points)
    for panel in panels[len(curves.values) :]:
        panel.set_axis_off()
    figure.suptitle(curves.title, fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90)
    with Image.open(buffer) as picture:
        # Lines in few colours: lossless is smaller than a photograph's compression, and sharper.
        picture.convert("RGB").save(out, lossless=True)


def _panel(panel: Any, curves: Curves, name: str, points: list[tuple[int, float]]) -> None:
    """One value: as it was logged, its running mean, and where runs begin."""
    steps, heights = np.array(points).T
    for start, _ in curves.starts:
        panel.axvline(start, color="#c84", linewidth=0.7, linestyle=":")
    panel.plot(steps, heights, color="#9ab", linewidth=0.7)
    panel.plot(steps, _smoothed(heights), color="#135", linewidth=1.5)
    panel.set_title(f"{name}: {curves.meaning(name)}", fontsize=8)
    panel.set_xlabel("step", fontsize=7)
    panel.tick_params(labelsize=7)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over up to ``_WINDOW`` values, shorter at the ends."""
    reach = _WINDOW // 2
    spans = (values[max(0, k - reach) : k + reach + 1] for k in range(len(values)))
    return np.array([span.mean() for span in spans])
