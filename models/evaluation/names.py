"""Metrics as people read them: a name, and which direction is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

MORE, LESS, ONE = "↑", "↓", "→ 1"  # better when higher, when lower, when near 1


@dataclass(frozen=True)
class MetricLabel:
    """A metric's readable name and the direction that is better."""

    text: str
    better: str


# What a metric's name begins with; the longest that fits counts.
_NAMES = {
    "attribute_accuracy": MetricLabel("Named parts in the named colour", MORE),
    "edited_attribute_accuracy": MetricLabel("Parts to change, in the named colour", MORE),
    "unnamed_attribute_accuracy": MetricLabel("Other parts, in their own colour", MORE),
    "one_bird": MetricLabel("One whole bird", MORE),
    "two_heads": MetricLabel("Two heads", LESS),
    "bill_found": MetricLabel("A bill is found", MORE),
    "eye_found": MetricLabel("An eye is found", MORE),
    "legs_found": MetricLabel("Legs are found", MORE),
    "distinct_unnamed_colours": MetricLabel("Colours of a part left open, of 16", MORE),
    "label_miou": MetricLabel("Right parts in the hole (mIoU)", MORE),
    "bird_mass": MetricLabel("Probability of a bird", MORE),
    "flower_mass": MetricLabel("Probability of a flower", MORE),
    "bird_ratio": MetricLabel("Bird seen, relative to real photos", MORE),
    "flower_ratio": MetricLabel("Flower seen, relative to real photos", MORE),
    "edges": MetricLabel("Edges, relative to real", ONE),
    "sharpness": MetricLabel("Sharpness, relative to real", ONE),
    "kid_": MetricLabel("KID", LESS),
    "fid_": MetricLabel("FID", LESS),
    "is_": MetricLabel("Inception Score", MORE),
    "diversity": MetricLabel("Variety of 16 seeds, relative to real", MORE),
    "r_precision": MetricLabel("R-precision, 1 of 10", MORE),
    "sim": MetricLabel("Similarity to the caption", MORE),
    "diff": MetricLabel("Change of the photo", LESS),
    "mp": MetricLabel("Manipulative precision", MORE),
    "subject_diff": MetricLabel("Change of the bird or flower", ""),
    "background_diff": MetricLabel("Change of the background", LESS),
    "kept_diff": MetricLabel("Change where none was asked", LESS),
    "target_l1": MetricLabel("L1 to the drawing asked for", LESS),
    "feature_distance": MetricLabel("Distance of features", LESS),
    "l1": MetricLabel("L1", LESS),
    "psnr_hole": MetricLabel("PSNR in the hole, dB", MORE),
    "psnr": MetricLabel("PSNR, dB", MORE),
    "tv": MetricLabel("TV", LESS),
    "ssim": MetricLabel("SSIM", MORE),
}
_ENDINGS = {"_upstream": "TDANet's protocol", "_center": "centre", "_object": "object"}


def metric_label(metric: str) -> MetricLabel:
    """How a metric is called; one that is not known keeps its own name, without a direction."""
    fits = [start for start in _NAMES if metric.startswith(start)]
    if not fits:
        return MetricLabel(metric, "")
    start = max(fits, key=len)
    rest = metric.removeprefix(start)
    said: list[str] = []
    for ending, text in _ENDINGS.items():
        if rest.endswith(ending):
            rest, said = rest.removesuffix(ending), [text, *said]
    said = [*([rest.strip("_")] if rest.strip("_") else []), *said]
    found = _NAMES[start]
    return MetricLabel(found.text + (f" ({', '.join(said)})" if said else ""), found.better)


def is_better(metric: str, one: float, other: float) -> bool:
    """Whether one value is better than another by a metric."""
    better = metric_label(metric).better
    if better == ONE:
        return abs(one - 1) < abs(other - 1)
    return one < other if better == LESS else one > other


def decimals(value: float, low: float | None = None, high: float | None = None) -> int:
    """Decimals that mean something: down to the first digit of half the interval, four at most;
    three digits where there is no interval.
    """
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    size = half if half > 1e-6 else abs(value) / 100
    return min(max(-math.floor(math.log10(size)), 0), 4) if size > 0 else 0
