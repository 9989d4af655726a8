"""A comparison of real trainings, killed, and what each row trains with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.compare_methods import VARIANTS, main, parts_of_methods, shortened, trial
from benchmarks.method_page import page
from benchmarks.method_report import Budget
from models.files import json_lines
from models.registry import PIPELINES
from models.training.config import LoopOptions, build_options, override, read_preset
from models.training.parts import parse_options

SMALL = "--pictures 24 --batch 4 --photos 16 --samples 2 --seeds 1 --methods sisgan tagan"


def _begin(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.compare_methods", "--out", str(out)]
    environment = os.environ | {"XDG_CACHE_HOME": str(out.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *SMALL.split()], env=environment, stderr=subprocess.PIPE, text=True
    )


def _wait_for(text: str, log: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 400
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
    assert not (out / "comparison.md").exists()
    again = _begin(out)
    error = again.communicate()[1]
    assert again.returncode == 0, error
    assert "sisgan/seed-0: trains" not in error, "it was finished"
    assert "resumed at step " in log.read_text()
    steps = [line["step"] for line in json_lines(log.with_name("stats.jsonl"), "step")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6
    report = (out / "comparison.md").read_text()
    assert "sees 24 pictures of 64 pixels (with repeats, of 16" in report
    for row in ("tagan", "sisgan", "identity", "recolour"):
        assert f"\n| {row} | " in report
    with Image.open(out / "pictures" / "compare-manipulate.webp") as sheet:
        assert sheet.height == 3 * 64, "what was given, and two rows"
    assert report == page(json.loads((out / "methods.json").read_text()))
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
