"""A comparison of real trainings, killed, and the verdicts of its report."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.compare_methods import VARIANTS, main, parts_of_methods, shortened, trial
from benchmarks.method_report import Budget, Cell, verdicts
from models.registry import PIPELINES
from models.training.config import LoopOptions, build_options, override, read_preset
from models.training.parts import parse_options
from models.training.run import lines_of

SMALL = "--pictures 24 --batch 4 --photos 16 --samples 2 --seeds 1 --methods sisgan tagan"


def _begin(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.compare_methods", "--out", str(out)]
    environment = os.environ | {"XDG_CACHE_HOME": str(out.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *SMALL.split()], env=environment, stderr=subprocess.PIPE, text=True
    )


def _wait_for(text: str, log: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(900)  # a dozen processes that load torch, on a busy machine
def test_a_killed_comparison_goes_on_and_trains_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    log = out / "runs" / "tagan" / "seed-0" / "queue.log"
    process = _begin(out)
    _wait_for("step 1", log, process)
    process.kill()
    process.communicate()
    assert not (out / "report.md").exists()
    again = _begin(out)
    error = again.communicate()[1]
    assert again.returncode == 0, error
    assert "sisgan/seed-0: trains" not in error, "it was finished"
    assert "resumed at step " in log.read_text()
    steps = [line["step"] for line in lines_of(log.with_name("stats.jsonl"))]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6
    report = (out / "report.md").read_text()
    assert "sees 24 pictures of 64 pixels (of 16 different ones)" in report
    for row in ("tagan", "sisgan", "identity", "recolour"):
        assert f"\n| {row} | " in report
    assert (out / "sheets" / "tagan.webp").stat().st_size
    assert main(["--out", str(out), *SMALL.replace("24", "28").split()]) == 1
    assert "another budget" in capsys.readouterr().err


def test_every_trained_method_of_the_registry_is_compared() -> None:
    classical = {"telea", "navier-stokes", "patchmatch"}
    methods = {method for found in PIPELINES.values() for method in found}
    assert parts_of_methods().keys() == methods - classical


@pytest.mark.parametrize("label", [*parts_of_methods(), *VARIANTS])
def test_every_row_has_options_that_its_training_knows(label: str) -> None:
    budget = Budget("aviary", Path("encoders"), 640, 0, 64, 100, 0, 1)
    one = trial(label, 2, budget)
    values = read_preset(one.preset, one.part)
    override(values, shortened(values, one.steps))
    before = parse_options(one.part, values["options"])
    override(values, one.overrides)
    loop = build_options(LoopOptions, values["loop"], "loop")
    assert (loop.seed, loop.size, loop.samples) == (2, 64, 0)
    assert loop.batch * one.steps == budget.pictures
    warmups = loop.warmup, values["options"].get("warmup_steps", 0)
    assert max(warmups) * 10 <= one.steps, "a warm-up longer than the run teaches nothing else"
    changed = parse_options(one.part, values["options"]) != before
    assert changed == (label in VARIANTS)


def test_schedules_are_shortened_together_and_only_where_they_must_be() -> None:
    values = read_preset("cub", "synthesis")
    assert shortened(values, 4000) == ()
    assert shortened(values, 400) == ("warmup_steps=40", "reconstruction_until=120")
    assert shortened(read_preset("cub", "inpainting"), 50) == ("loop.warmup=5",)
    assert shortened(read_preset("tagan-cub", "manipulation"), 1) == ()


def test_a_verdict_needs_intervals_that_are_apart() -> None:
    cells = {
        "good": {"sim": Cell(0.9, 0.8, 1.0, (0.9,)), "KID": Cell(1.0, 0.9, 1.1, (1.0,))},
        "near": {"sim": Cell(0.7, 0.6, 0.85, (0.7,)), "KID": Cell(2.0, 1.9, 2.1, (1.0, 3.0))},
        "bad": {"sim": Cell(0.4, 0.3, 0.5, (0.4,)), "KID": Cell(2.9, 2.8, 3.1, (2.9,))},
        "real": {"sim": Cell(1.0, 1.0, 1.0, (1.0,))},
    }
    assert list(verdicts(cells)) == [
        "sim: good is better than bad; near is better than bad.",
        "KID: good is better than bad.",
    ]
    none = {"value": 5.0, "low": None, "high": None, "n": 100}
    for unsure in (none, {"value": 5.0, "low": 4.9, "high": 5.1, "n": 19}):
        lone = {"a": {"IS": Cell.of([unsure])}, "b": {"IS": Cell(1.0, 0.9, 1.1, (1.0,))}}
        assert list(verdicts(lone)) == ["IS: no intervals are apart."]


def test_a_cell_is_the_mean_of_its_seeds() -> None:
    seeds = [(1.0, 0.5, 1.5), (2.0, 1.5, 3.0)]
    cell = Cell.of([{"value": v, "low": low, "high": high, "n": 64} for v, low, high in seeds])
    assert str(cell) == "1.5000 [1.0000, 2.2500]; seeds 1.0000 to 2.0000"
    difference = cell.minus(Cell(1.0, 0.0, 2.0, (1.0, 1.0)))
    assert difference.seeds == (0.0, 1.0)
    assert difference.low == pytest.approx(0.5 - (0.25 + 1) ** 0.5)
