"""Precision and batch size chosen by measurement, with a clock that the pipelines move."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import torch

from models.pipeline import Item, Pipeline, Pixels
from models.runtime.autotune import Memory, Stopwatch, match_within_bars, measure, psnr, tune
from tests.squares import FakePipeline

T = TypeVar("T")
Cost = Callable[[int], float]  # seconds of a forward pass of so many pictures


class Timed(FakePipeline):
    """Takes ``cost`` on its own clock and paints one picture per seed."""

    def __init__(self, clock: list[float], cost: Cost, precision: str = "float32") -> None:
        super().__init__()
        self.vocabulary = cast("Any", SimpleNamespace(words=["<end>", "red", "bird"]))
        self.clock, self.cost, self.precision = clock, cost, precision
        self.error, self.error_in_batches = 0.0, 0.0

    def forward(self, batch: Sequence[Item]) -> list[Pixels]:
        self.batches.append(len(batch))
        self.clock[0] += self.cost(len(batch))
        shift = self.error + (self.error_in_batches if len(batch) > 1 else 0)
        return [np.full((4, 4, 3), 0.5 + shift + i.seed / 1000, np.float32) for i in batch]


class Shelf:
    """Hands out pipelines by precision, as loading from a bundle would."""

    def __init__(self, **costs: Cost) -> None:
        self.clock = [0.0]
        self.pipelines = {name: Timed(self.clock, cost, name) for name, cost in costs.items()}
        self.loaded: list[str] = []
        self.executed: list[object] = []
        self.busy = 0.0  # share of its passes' time for which a thread waits for a core

    def load(self, precision: str) -> Pipeline[Any]:
        self.loaded.append(precision)
        return self.pipelines[precision]

    def stopwatch(self) -> Stopwatch:
        return Stopwatch(lambda: self.clock[0], self.execute, lambda: self.busy * self.clock[0])

    def execute(self, work: Callable[[], T]) -> T:
        self.executed.append(work)
        return work()

    def tune(self, precision: str = "auto", largest: int = 16, path: Path | None = None) -> Any:
        return tune(self.load, precision, largest, Memory(path), self.stopwatch())


@pytest.fixture(autouse=True)
def a_cpu_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


def flat(seconds: float) -> Cost:
    """The same for any batch."""
    return lambda _: seconds


def each(seconds: float) -> Cost:
    """So much for every picture."""
    return lambda pictures: seconds * pictures


def test_a_batch_that_costs_no_more_is_filled() -> None:
    assert Shelf(float32=flat(0.01)).tune("float32").best_batch == 16


def test_a_batch_is_never_larger_than_allowed() -> None:
    pipeline = Shelf(float32=flat(0.01)).tune("float32", largest=6)
    assert pipeline.best_batch == 4
    assert max(pipeline.batches) <= 6


def test_pictures_go_alone_where_a_batch_is_no_faster() -> None:
    pipeline = Shelf(float32=each(0.01)).tune("float32")
    assert pipeline.best_batch == 1
    assert max(pipeline.batches) == 4  # nothing larger was tried


def test_the_batch_ends_where_memory_gets_slow() -> None:
    def cost(pictures: int) -> float:
        return 0.01 + 0.002 * pictures if pictures <= 4 else 0.02 * pictures

    assert Shelf(float32=cost).tune("float32").best_batch == 4


def test_one_slow_size_does_not_end_the_search() -> None:
    def cost(pictures: int) -> float:
        return 0.02 if pictures == 2 else 0.01  # something else ran meanwhile

    assert Shelf(float32=cost).tune("float32").best_batch == 16


def test_slow_networks_stop_trying_in_time() -> None:
    shelf = Shelf(float32=flat(2.0))
    shelf.tune("float32", largest=64)
    assert max(shelf.pipelines["float32"].batches) <= 4


def test_batches_that_change_the_picture_are_not_used() -> None:
    shelf = Shelf(float32=flat(0.01))
    shelf.pipelines["float32"].error_in_batches = 0.006  # 44 dB
    assert shelf.tune("float32").best_batch == 1


def test_one_picture_in_many_that_changes_is_enough() -> None:
    class Touchy(Timed):
        def forward(self, batch: Sequence[Item]) -> list[Pixels]:
            pictures = super().forward(batch)
            wrong = [len(batch) > 1 and item.seed == 11 for item in batch]
            return [p + 0.006 * w for p, w in zip(pictures, wrong, strict=True)]

    shelf = Shelf(float32=flat(0.01))
    shelf.pipelines["float32"] = Touchy(shelf.clock, flat(0.01))
    assert shelf.tune("float32").best_batch == 1


def test_fewer_bits_are_chosen_when_faster_and_close_enough() -> None:
    shelf = Shelf(float32=each(0.02), bfloat16=each(0.01))
    shelf.pipelines["bfloat16"].error = 1e-3  # 60 dB
    assert shelf.tune().precision == "bfloat16"


def test_fewer_bits_that_show_are_not_chosen() -> None:
    shelf = Shelf(float32=each(0.02), bfloat16=each(0.01))
    shelf.pipelines["bfloat16"].error = 0.01  # 40 dB
    assert shelf.tune().precision == "float32"


def test_fewer_bits_that_are_no_faster_are_not_chosen() -> None:
    assert Shelf(float32=each(0.02), bfloat16=each(0.02)).tune().precision == "float32"


def test_fewer_bits_that_batch_badly_are_not_chosen() -> None:
    shelf = Shelf(float32=lambda n: 0.01 + 0.002 * n, bfloat16=each(0.008))
    assert shelf.tune().precision == "float32"  # 12 ms alone, but 2.6 ms in a batch of 16


def test_a_precision_that_was_asked_for_is_not_doubted() -> None:
    shelf = Shelf(float32=each(0.01), bfloat16=each(0.02))
    assert shelf.tune("bfloat16").precision == "bfloat16"
    assert shelf.loaded == ["bfloat16"]


def test_every_pass_is_executed_by_itself_that_batches_of_jobs_get_their_turns() -> None:
    shelf = Shelf(float32=each(0.02), bfloat16=flat(0.01))
    shelf.tune()
    passes = sum(len(pipeline.batches) for pipeline in shelf.pipelines.values())
    assert len(shelf.executed) == passes + 1  # and once for the number of threads


def test_time_that_passes_wait_for_their_turn_does_not_count() -> None:
    class Busy(Shelf):
        def execute(self, work: Callable[[], T]) -> T:
            self.clock[0] += 10  # batches of jobs
            return super().execute(work)

    assert Busy(float32=flat(0.01)).tune("float32").best_batch == 16


def test_what_was_measured_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tunings.json"
    Shelf(float32=each(0.02), bfloat16=flat(0.01)).tune(path=path)
    again = Shelf(float32=each(0.02), bfloat16=flat(0.01))
    pipeline = again.tune(path=path)
    assert (pipeline.precision, pipeline.best_batch) == ("bfloat16", 16)
    assert pipeline.batches == [1, 1, 16]  # warm-up alone
    assert again.pipelines["float32"].batches == []


@pytest.mark.parametrize(("busy", "remembered"), [(0.0, 1), (0.1, 1), (0.5, 0)])
def test_what_was_measured_beside_other_programs_is_measured_again(
    tmp_path: Path, busy: float, remembered: int
) -> None:
    path = tmp_path / "tunings.json"
    shelf = Shelf(float32=flat(0.01))
    shelf.busy = busy
    assert shelf.tune("float32", path=path).best_batch == 16
    assert path.exists() == bool(remembered)
    again = Shelf(float32=flat(0.01))
    assert again.tune("float32", path=path).best_batch == 16
    assert (len(again.pipelines["float32"].batches) > 3) == (not remembered)


def test_batches_are_measured_as_jobs_bring_them() -> None:
    """Here the candidates of one text, which pay in batches as single pictures don't."""

    class Choosing(Timed):
        def usual_batch(self, prepared: Sequence[Item]) -> tuple[Sequence[Item], int]:
            return [replace(prepared[0], candidates=12)], 12

        def forward(self, batch: Sequence[Item]) -> list[Pixels]:
            (shared,) = {item.candidates for item in batch}
            passes = -(-shared // (self.best_batch or shared))
            self.clock[0] += 0.01 * passes if shared > 1 else 0.0
            return super().forward(batch)

    shelf = Shelf(float32=each(0.01))
    shelf.pipelines["float32"] = Choosing(shelf.clock, each(0.01))
    assert shelf.tune("float32", largest=8).best_batch == 8


def test_another_bundle_or_limit_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "tunings.json"
    Shelf(float32=flat(0.01)).tune("float32", path=path)
    assert Shelf(float32=flat(0.01)).tune("float32", largest=2, path=path).best_batch == 2
    other = Shelf(float32=each(0.01))
    other.pipelines["float32"].bundle = cast("Any", SimpleNamespace(name="b", sha256="1" * 64))
    assert other.tune("float32", path=path).best_batch == 1
    assert len(json.loads(path.read_text())) == 3


@pytest.mark.parametrize("text", ["", "[]", "{nonsense", '{"a": 1}'])
def test_a_damaged_memory_costs_a_measurement(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tunings.json"
    path.write_text(text)
    assert Shelf(float32=flat(0.01)).tune("float32", path=path).best_batch == 16
    assert len(json.loads(path.read_text())) >= 1


def test_a_memory_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Shelf(float32=flat(0.01)).tune("float32", path=tmp_path / "file" / "x").best_batch == 16


def test_what_is_told_of_a_measurement() -> None:
    shelf = Shelf(float32=each(0.02), bfloat16=each(0.01))
    shelf.pipelines["bfloat16"].error = 1e-3
    _, found = measure(shelf.load("float32"), shelf.load, "auto", 8, shelf.stopwatch())
    assert (found.precision, found.batch) == ("bfloat16", 1)
    assert found.psnr == pytest.approx(60, abs=0.1)
    assert found.milliseconds == {size: pytest.approx(10) for size in "124"}


def test_a_picture_of_a_batch_passes_when_it_is_close_nearly_everywhere() -> None:
    alone = np.full((32, 32, 3), 0.5, np.float32)
    assert match_within_bars(alone, alone + 1.3 / 255)  # 46 dB; what a GPU's order of sums makes
    assert not match_within_bars(alone, alone + 1.5 / 255)  # 44.6 dB
    few, many = alone.copy(), alone.copy()
    few.reshape(-1)[:3] += 5 / 255
    many.reshape(-1)[:4] += 5 / 255  # of 3072: more than one in a thousand
    assert match_within_bars(alone, few)
    assert not match_within_bars(alone, many)


def test_a_tuning_does_not_depend_on_the_host_name(tmp_path: Path) -> None:
    path = tmp_path / "tunings.json"
    Shelf(float32=flat(0.01)).tune("float32", path=path)
    assert platform.node() not in path.read_text()


def test_psnr() -> None:
    grey = np.full((2, 2, 3), 0.5, np.float32)
    assert psnr(grey, grey) == np.inf
    assert psnr(grey, grey + 0.1) == pytest.approx(20, abs=1e-3)


class Spotted(Timed):
    """Paints large grey pictures, nine of whose 4,800 values are off by ``spot``."""

    spot = 0.0

    def forward(self, batch: Sequence[Item]) -> list[Pixels]:
        super().forward(batch)
        picture = np.full((40, 40, 3), 0.5, np.float32)
        picture[0, :3] += self.spot
        return [picture] * len(batch)


@pytest.mark.parametrize(("spot", "chosen"), [(3 / 255, "bfloat16"), (8 / 255, "float32")])
def test_single_values_that_are_far_off_refuse_a_precision(spot: float, chosen: str) -> None:
    shelf = Shelf(float32=each(0.02), bfloat16=each(0.01))
    made = {name: Spotted(shelf.clock, p.cost, name) for name, p in shelf.pipelines.items()}
    made["bfloat16"].spot = spot
    shelf.pipelines = dict(made)
    wanted, found = (made[name].forward([Item("", 0)])[0] for name in ("float32", "bfloat16"))
    assert psnr(wanted, found) > 50
    assert shelf.tune().precision == chosen
