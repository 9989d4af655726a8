"""A run's losses as one picture: a panel for each value over the steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

_COLUMNS = 3
_NOT_LOSSES = ("step", "seconds", "rate")
_WINDOW = 15  # logged values that the thick line averages


def read(stats: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every value logged in ``stats.jsonl``; a resumed run's later line for a
    step counts.
    """
    found: dict[str, dict[int, float]] = {}
    for line in stats.read_text(encoding="utf-8").splitlines():
        logged = json.loads(line)
        for name, value in logged.items():
            if name not in _NOT_LOSSES:
                found.setdefault(name, {})[logged["step"]] = value
    return {name: sorted(values.items()) for name, values in found.items()}


def draw(stats: Path, out: Path, title: str) -> None:
    """Write the panels as PNG ``out``; nothing when nothing was logged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = read(stats)
    if not values:
        return
    rows = math.ceil(len(values) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.4 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for panel, (name, points) in zip(panels, values.items(), strict=False):
        steps, heights = np.array(points).T
        panel.plot(steps, heights, color="#9ab", linewidth=0.7)
        panel.plot(steps, _smoothed(heights), color="#135", linewidth=1.5)
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
    for panel in panels[len(values) :]:
        panel.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.savefig(out, dpi=90)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over up to ``_WINDOW`` values, shorter at the ends."""
    reach = _WINDOW // 2
    spans = (values[max(0, k - reach) : k + reach + 1] for k in range(len(values)))
    return np.array([span.mean() for span in spans])
