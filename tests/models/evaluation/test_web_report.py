"""The page of an evaluation: what leads, what the intervals say of it, and the papers beside it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from models.evaluation.cases import Case
from models.evaluation.estimates import Estimate
from models.evaluation.names import decimals, is_better, metric_label
from models.evaluation.results import Row, TaskReport
from models.evaluation.web_report import web_page

FACTS: dict[str, Any] = {
    "bundle": "mine", "bundle_sha256": "0" * 64, "data": "CUB-200-2011", "data_fingerprint": "f",
    "split": "test", "final": True, "samples": 9, "seed": 0, "judges": {}, "notes": [],
}  # fmt: skip


def estimate(value: float, half: float | None = None) -> Estimate:
    ends = (None, None) if half is None else (value - half, value + half)
    return Estimate(value, *ends, 9, "bootstrap")


def edits(**mp: Estimate) -> TaskReport:
    """One metric of manipulation by row."""
    rows = {name.replace("_", "-"): Row({"mp": found}) for name, found in mp.items()}
    return TaskReport("manipulate", [], rows)


class Cells(HTMLParser):
    """Texts of all cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.rows[-1][-1] += f"{data.strip()} "


def cells(report: TaskReport, **facts: Any) -> list[list[str]]:
    parser = Cells()
    parser.feed(web_page([report], FACTS | facts))
    return [[cell.strip() for cell in row] for row in parser.rows]


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (estimate(0.5, 0.02), estimate(0.2, 0.02), "better"),
        (estimate(0.2, 0.02), estimate(0.5, 0.02), "worse"),
        (estimate(0.21, 0.02), estimate(0.2, 0.02), "no clear difference"),
    ],
)
def test_verdicts_say_what_intervals_say(own: Estimate, other: Estimate, verdict: str) -> None:
    head, lead = cells(edits(manigan=own, recolour=other))[:2]
    assert head[-1] == "verdict"
    assert lead[1].startswith("Manipulative precision ↑")
    assert lead[-1] == verdict


def test_a_metric_that_real_pictures_lose_is_no_proof() -> None:
    report = edits(manigan=estimate(0.5, 0.02), real=estimate(0.3, 0.02), identity=estimate(0.1))
    assert cells(report)[1][-1] == "better; above real pictures, so no proof of looking real"


def test_numbers_have_the_decimals_of_their_interval() -> None:
    report = edits(manigan=estimate(0.54321, 0.023), no_text=estimate(0.1788, 0.0004))
    (row,) = (row for row in cells(report)[2:] if row[0].endswith(" mp"))
    assert row[2] == "0.54 0.52 to 0.57"
    assert row[-1] == "0.18", "as many as the first"
    assert [decimals(612.0, 595, 629), decimals(17.2, 16.9, 17.5)] == [0, 1]
    assert [decimals(0.5), decimals(0.0), decimals(1.0, 1.0, 1.0)] == [3, 0, 2]


def test_papers_stand_beside_the_bundle() -> None:
    report = edits(manigan=estimate(0.5, 0.02), recolour=estimate(0.2, 0.02))
    heads, row = cells(report)[2:4]
    assert heads[2:] == ["manigan", "SISGAN, paper", "TAGAN, paper", "ManiGAN, paper",
                         "whole photo recoloured"]  # fmt: skip
    assert row[3:6] == ["0.022", "0.035", "0.072"]
    assert not any("paper" in cell for row in cells(report, data="aviary") for cell in row)


def test_texts_cannot_become_markup() -> None:
    report = TaskReport("synthesize", [Case("<script>x</script>", 0, Image.new("RGB", (4, 4)))])
    report.rows["a"] = Row({"mp": estimate(1.0)})
    page = web_page([report], FACTS | {"bundle": "<b>"})
    assert "<script>" not in page
    assert "<b> on" not in page
    assert not re.search(r'(src|href)="(?!images/)', page), "nothing from elsewhere"


def test_metrics_have_names_and_directions() -> None:
    assert metric_label("attribute_accuracy").text == "Named parts in the named colour"
    assert metric_label("l1_center_upstream").text == "L1 (centre, TDANet's protocol)"
    assert metric_label("kid_efficientnet-lite2").text == "KID (efficientnet-lite2)"
    assert metric_label("psnr_hole").text == "PSNR in the hole, dB"
    assert metric_label("wings") == metric_label("wings").__class__("wings", "")
    assert is_better("kid_x", 0.1, 0.2)
    assert is_better("psnr", 20, 10)
    assert is_better("edges", 1.1, 0.5)
