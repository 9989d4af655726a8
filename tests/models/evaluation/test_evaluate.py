"""The whole evaluation on the smallest bundle."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import ModelsError
from models.evaluation import inpainting
from models.evaluation.report import table
from models.evaluation.results import TaskReport
from models.evaluation.run import Options, evaluate
from models.evaluation.runner import EvaluationError
from models.evaluation.web_report import SHOWN, web_page

SAMPLES = 6


def numbers_of(reports: list[TaskReport]) -> dict[str, Any]:
    return {report.task: report.numbers() for report in reports}


@pytest.fixture(scope="module")
def evaluated(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("report")
    empty = tmp_path_factory.mktemp("no-judges")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(empty))
        return out, numbers_of(evaluate(tiny, "aviary", out, Options(samples=SAMPLES, batch=4)))


def test_every_task_and_baseline_has_its_numbers(evaluated: tuple[Path, dict[str, Any]]) -> None:
    numbers = evaluated[1]
    assert set(numbers) == {"synthesize", "manipulate", "inpaint"}
    synthesis = numbers["synthesize"]
    assert {"efficient-t2i", "real", "no-text", "blurred-8"} <= set(synthesis)
    assert synthesis["real"]["attribute_accuracy"] >= 0.97
    assert {"kid_efficientnet-lite2", "diversity"} <= set(synthesis["efficient-t2i"])
    assert synthesis["real"]["one_bird"] >= 0.8
    assert synthesis["efficient-t2i"]["one_bird"] == 0
    assert synthesis["real"]["edges"] == 1
    assert synthesis["blurred-8"]["edges"] < 0.8
    assert synthesis["real"]["distinct_unnamed_colours"] == pytest.approx(8.1, abs=0.6)
    assert synthesis["efficient-t2i"]["distinct_unnamed_colours"] < 6
    edits = numbers["manipulate"]
    assert edits["identity"]["diff"] == edits["identity"]["kept_diff"] == 0
    assert edits["identity"]["edited_attribute_accuracy"] == 0
    assert edits["identity"]["unnamed_attribute_accuracy"] >= 0.9
    assert edits["real"]["attribute_accuracy"] >= 0.9
    assert {"manigan", "recolour"} <= set(edits)
    assert {"tdanet", "telea", "navier-stokes", "identity", "shuffled-text"} <= set(
        numbers["inpaint"]
    )
    fills = numbers["inpaint"]
    assert {"l1_center", "ssim_object_upstream", "psnr_hole"} <= set(fills["tdanet"])
    assert fills["real"]["label_miou_center"] > fills["telea"]["label_miou_center"]
    assert fills["real"]["edges_center"] == 1
    looks = {method: fills[method]["feature_distance_center"] for method in ("telea", "identity")}
    assert 0 < looks["telea"] < looks["identity"]
    assert fills["identity"]["edges_center"] == 0


def test_report_json_holds_plain_finite_numbers(evaluated: tuple[Path, dict[str, Any]]) -> None:
    raw = json.loads((evaluated[0] / "report.json").read_text())
    assert raw == evaluated[1]
    values = [v for m in raw.values() for metrics in m.values() for v in metrics.values()]
    assert values
    assert all(isinstance(v, float) and math.isfinite(v) for v in values)


def test_details_give_counts_intervals_and_judges(evaluated: tuple[Path, dict[str, Any]]) -> None:
    details = json.loads((evaluated[0] / "details.json").read_text())
    one = details["tasks"]["synthesize"]["efficient-t2i"]["attribute_accuracy"]
    assert one["n"] == SAMPLES
    assert one["low"] <= one["value"] <= one["high"]
    assert len(details["facts"]["judges"]["attribute reader"]["sha256"]) == 64


def test_report_says_which_split_and_whether_it_is_final(
    evaluated: tuple[Path, dict[str, Any]],
) -> None:
    facts = json.loads((evaluated[0] / "details.json").read_text())["facts"]
    assert (facts["split"], facts["final"]) == ("validation", False)
    assert "Split validation. Not final." in web_page([], facts)
    assert "Not final: things are chosen" in web_page([], facts)


def test_small_and_beaten_numbers_are_marked(evaluated: tuple[Path, dict[str, Any]]) -> None:
    details = json.loads((evaluated[0] / "details.json").read_text())
    one = details["tasks"]["synthesize"]["efficient-t2i"]
    assert one["fid_efficientnet-lite2"]["small"]
    assert not one["kid_efficientnet-lite2"]["small"]
    assert not one["one_bird"]["beats_real"]
    text = (evaluated[0] / "report.html").read_text()
    assert text.index(">kid_efficientnet-lite2<") < text.index(">fid_efficientnet-lite2<")
    assert "(small)" in text


def test_pictures_are_judged_in_the_asked_size(tiny: Path, tmp_path: Path) -> None:
    options = Options(tasks=("synthesize",), samples=2, features=False, size=48)
    report = evaluate(tiny, "aviary", tmp_path, options)[0]
    assert {p.size for shown in report.pictures.values() for p in shown} == {(48, 48)}
    assert any("Pictures of 48 pixels" in note for note in report.notes)


def test_a_slow_method_fills_the_first_pictures_alone(
    evaluated: tuple[Path, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(inpainting.MOST_PICTURES, "patchmatch", 2)
        options = Options(tasks=("inpaint",), samples=SAMPLES, batch=4, save_images=True)
        (report,) = evaluate(tiny, "aviary", tmp_path, options)
    assert any("patchmatch is slow: it filled the first 2" in note for note in report.notes)
    rows = report.estimates
    kinds = {"center": 2, "object": 2}
    for kind, count in kinds.items():
        assert {e.n for m, e in rows["patchmatch"].items() if kind in m} == {count}
        assert {e.n for m, e in rows["telea"].items() if kind in m} == {SAMPLES}
    assert rows["patchmatch"]["psnr_hole"].n == sum(kinds.values())
    shown = [np.asarray(p) for p in report.pictures["patchmatch"]]
    for picture, case in zip(shown, report.cases, strict=False):
        kept = np.asarray(case.mask) < 128
        assert np.array_equal(picture[kept], np.asarray(case.picture)[kept])
    assert len(list((tmp_path / "images/inpaint/patchmatch").iterdir())) == 4
    others = {m: found for m, found in report.numbers().items() if m != "patchmatch"}
    whole = evaluated[1]["inpaint"]
    assert others == {m: pytest.approx(whole[m], rel=1e-9) for m in others}
    assert "(n 4)" in table(report)
    assert "(n 4)" in (tmp_path / "report.html").read_text()


def test_what_is_missing_is_said(evaluated: tuple[Path, dict[str, Any]]) -> None:
    facts = json.loads((evaluated[0] / "details.json").read_text())["facts"]
    facts["notes"] = ["Left out: sim. Make <encoders>."]
    assert "<li>Left out: sim. Make &lt;encoders&gt;.</li>" in web_page([], facts)


def test_report_shows_the_first_pictures_which_are_kept(
    evaluated: tuple[Path, dict[str, Any]],
) -> None:
    text = (evaluated[0] / "report.html").read_text()
    shown = re.findall(r'src="(\S+)"', text)
    assert len(shown) > 3 * SAMPLES
    assert all((evaluated[0] / place).exists() for place in shown)
    assert SHOWN >= SAMPLES


def test_an_evaluation_repeats_itself(
    evaluated: tuple[Path, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    options = Options(tasks=("synthesize",), samples=SAMPLES, batch=3, features=False)
    again = numbers_of(evaluate(tiny, "aviary", tmp_path, options))["synthesize"]["efficient-t2i"]
    first = evaluated[1]["synthesize"]["efficient-t2i"]
    assert again["attribute_accuracy"] == first["attribute_accuracy"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(split="train"), "validation, test"),
        (Options(tasks=("enlarge",)), "does not offer 'enlarge'"),
    ],
)
def test_wrong_options_are_refused(tiny: Path, tmp_path: Path, options: Options, told: str) -> None:
    with pytest.raises(ModelsError, match=told):
        evaluate(tiny, "aviary", tmp_path, options)
    assert issubclass(EvaluationError, ModelsError)
