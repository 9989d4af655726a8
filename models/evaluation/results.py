"""What an evaluation leaves: numbers by task, method and metric, and the pictures behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from models.evaluation.cases import Case
from models.evaluation.estimates import Estimate, Floats, Scores, bootstrap, ratio_of_means
from models.evaluation.names import ONE, is_better, metric_label


@dataclass
class Row:
    """One method's numbers, with their intervals."""

    estimates: dict[str, Estimate] = field(default_factory=dict)

    def add_scores(self, found: Mapping[str, Scores], name: str = "{}") -> None:
        """Means over samples by metric, as ``name`` calls it; left out when no sample counts or a
        value is not finite.
        """
        means = {name.format(metric): bootstrap(scores) for metric, scores in found.items()}
        self.add({metric: e for metric, e in means.items() if e.n})

    def add_subjects(self, masses: dict[str, Floats], real: dict[str, Floats]) -> None:
        """Each mass of ImageNet classes, and its ratio (``bird_ratio``) to that of real photos."""
        for metric, values in masses.items():
            self.add_scores({metric: Scores.of(values)})
            ratio = ratio_of_means(values, real[metric])
            self.add({metric.replace("_mass", "_ratio"): ratio})

    def add(self, estimates: dict[str, Estimate]) -> None:
        """Numbers of the whole set; those that are not finite are left out."""
        self.estimates |= {k: e for k, e in estimates.items() if e.finite}


@dataclass
class TaskReport:
    """One task's rows by method name, its pictures by column, and notes for the reader."""

    task: str
    cases: list[Case]
    rows: dict[str, Row] = field(default_factory=dict)
    pictures: dict[str, Sequence[Image.Image]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def own(self) -> str:
        """The method that is evaluated: its row comes first."""
        return next(iter(self.rows), "")

    def row(self, method: str) -> Row:
        return self.rows.setdefault(method, Row())

    def beats_real(self, method: str, metric: str) -> bool:
        """Whether a row is better than real pictures: such a metric says nothing about realism."""
        made, real = (self.rows.get(m, Row()).estimates.get(metric) for m in (method, "real"))
        if made is None or real is None or method == "real" or metric_label(metric).better == ONE:
            return False
        return is_better(metric, made.value, real.value)

    @property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """``{method: {metric: estimate}}`` of rows that have any."""
        return {m: row.estimates for m, row in self.rows.items() if row.estimates}

    def numbers(self) -> dict[str, dict[str, float]]:
        """``{method: {metric: number}}``."""
        return {m: {k: e.value for k, e in found.items()} for m, found in self.estimates.items()}

    def details(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The numbers with sample counts and intervals."""
        return {
            m: {k: {**asdict(e), "beats_real": self.beats_real(m, k)} for k, e in found.items()}
            for m, found in self.estimates.items()
        }
