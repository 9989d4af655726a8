"""The page of a comparison, and the one that ships."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.method_cells import COLUMNS, Cell, read_cells
from benchmarks.method_page import page
from benchmarks.method_verdicts import published_order, unlike_references, verdicts

ROOT = Path(__file__).parents[2]


def estimate(value: float, half: float | None = 0.1, n: int = 200) -> dict[str, Any]:
    low, high = (None, None) if half is None else (value - half, value + half)
    return {"value": value, "low": low, "high": high, "n": n}


def row(mp: float, half: float = 0.01) -> dict[str, Any]:
    return {"metrics": {"mp": {"value": mp, "half": half, "seeds": [mp] * 3}}}


COSTS = ("minutes", "parameters", "ms")
ROWS = {
    "manigan": row(0.30),
    "tagan": row(0.20),
    "sisgan": row(0.21),
    "identity": row(0.10),
    "recolour": row(0.22),
    "real": row(0.9),
}


def said(function: Any) -> list[str]:
    return list(function("manipulate", COLUMNS["manipulate"], read_cells("manipulate", ROWS)))


def test_an_interval_holds_the_spread_of_seeds_and_of_pictures() -> None:
    alone = Cell.of([estimate(1.0)])
    assert alone.half == pytest.approx(0.1)
    same = Cell.of([estimate(1.0)] * 3)
    assert same.half == pytest.approx(0.1)
    apart = Cell.of([estimate(v) for v in (0.9, 1.0, 1.1)])
    # Student's t of two degrees of freedom, standard deviation 0.1
    assert apart.half == pytest.approx(math.hypot(0.1, 4.303 * 0.1 / 3**0.5))
    assert str(apart) == "1.00 ± 0.27"


@pytest.mark.parametrize("unsure", [estimate(5.0, None), estimate(5.0, n=19)])
def test_without_an_interval_nothing_is_better(unsure: dict[str, Any]) -> None:
    lone = Cell.of([unsure])
    assert not lone.above(Cell.of([estimate(1.0)]))
    assert str(lone) == "5.00"
    assert Cell.read(lone.stored, 1.0) == lone


def test_a_difference_is_less_sure_than_its_parts() -> None:
    found = Cell(3.0, 0.3, (3.0, 3.0)).minus(Cell(1.0, 0.4, (0.5, 1.5)))
    assert (found.value, found.half, found.seeds) == (2.0, 0.5, (2.5, 1.5))


def test_verdicts_need_intervals_that_are_apart() -> None:
    assert said(verdicts) == ["MP: manigan is better than sisgan, tagan."]
    assert said(unlike_references) == ["MP, better than each of identity, recolour: manigan."]


def test_the_page_begins_with_what_training_brought() -> None:
    budget = {"data": "birds", "pictures": 10, "batch": 2, "samples": 200, "size": 64}
    trained = {"seeds": 1, "steps": 5, "batch": 2, "costs": dict.fromkeys(COSTS, 1.0)}
    rows = {k: {**v, **(trained if k == "manigan" else {})} for k, v in ROWS.items()}
    text = page(
        {
            "budget": {**budget, "threads": 1, "encoders": "cub"},
            "photos": 100,
            "outlined": False,
            "failed": "Something failed.",
            "tasks": {"manipulate": rows},
        }
    )
    short, rest = text.split("## Manipulation")
    assert "- Manipulation: MP, better than each of identity, recolour: manigan." in short
    assert "**No verdict goes by rows of a single seed**" in short
    assert "**Incomplete.** Something failed." in short
    assert "| manigan | – | – | – | 0.300 ± 0.010 | 8.47, 0.101, 0.281, 0.072 |" in rest
    assert max(len(x) for x in text.splitlines() if not x.startswith("|")) <= 120


def test_a_single_training_gives_no_verdict() -> None:
    lone = {"metrics": {"mp": {"value": 0.8, "half": 0.01, "seeds": [0.8]}}}
    cells = read_cells("manipulate", {**ROWS, "manigan": lone})
    assert list(verdicts("manipulate", COLUMNS["manipulate"], cells)) == [
        "MP: no intervals are apart."
    ]
    assert list(unlike_references("manipulate", COLUMNS["manipulate"], cells)) == [
        "MP, better than each of identity, recolour: no trained row."
    ]


def test_the_published_order_is_compared_where_intervals_are_apart() -> None:
    assert said(published_order) == [
        "2 of 2 pairs with intervals apart stand in the published order."
    ]
    turned = {**ROWS, "sisgan": row(0.25)}
    cells = read_cells("manipulate", turned)
    assert list(published_order("manipulate", COLUMNS["manipulate"], cells)) == [
        "2 of 3 pairs with intervals apart stand in the published order; against it: sisgan before "
        "tagan by MP."
    ]


def test_less_is_better_of_errors() -> None:
    metrics = {"kid_": {"half": 0.1, "seeds": [1.0] * 3}}
    rows = {
        name: {"metrics": {"kid_": {**metrics["kid_"], "value": value}}}
        for name, value in (("attngan", 1.0), ("efficient-t2i", 2.0), ("blurred-8", 1.5))
    }
    cells, columns = read_cells("synthesize", rows), COLUMNS["synthesize"]
    assert list(verdicts("synthesize", columns, cells)) == [
        "KID: attngan is better than efficient-t2i."
    ]
    assert list(unlike_references("synthesize", columns, cells)) == [
        "KID, better than each of blurred-8: attngan."
    ]


def test_the_page_that_ships_is_that_of_the_results_that_ship() -> None:
    results = json.loads((ROOT / "benchmarks/results/methods.json").read_text())
    text = (ROOT / "docs/comparison.md").read_text()
    assert text == page(results)
    for task in results["tasks"]:
        assert (ROOT / f"docs/pictures/compare-{task}.webp").stat().st_size > 10_000
