"""Batches form from what waits, and a bad picture fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from models.pipeline import Item, Pixels
from tests.squares import FakePipeline
from tests.workers.conftest import Eventually
from workers.batcher import Batcher


@pytest.fixture
def fatal() -> list[BaseException]:
    return []


@pytest.fixture
def batcher(fatal: list[BaseException]) -> Iterator[Batcher]:
    made = Batcher(8, 0.02, fatal.append)
    made.start()
    yield made
    made.stop()


def held(pipeline: FakePipeline) -> threading.Event:
    """Make the first forward pass wait, so that the next pictures pile up."""
    go, first = threading.Event(), [True]

    def wait(_batch: Sequence[Item]) -> None:
        if first:
            first.clear()
            go.wait(5)

    pipeline.on_forward = wait
    return go


def items(*texts: str) -> list[Item]:
    return [Item(text, seed) for seed, text in enumerate(texts)]


def test_what_waits_runs_together(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    go = held(pipeline)
    futures = [batcher.submit(pipeline, i) for i in items(*"abcdefghij")]
    go.set()
    results = [f.result(5) for f in futures]
    assert sum(pipeline.batches) == 10
    assert max(pipeline.batches) >= 8
    assert max(r.batch_size for r in results) == 8


def test_no_batch_is_larger_than_what_pays(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    pipeline.best_batch = 2
    go = held(pipeline)
    futures = [batcher.submit(pipeline, i) for i in items(*"abcdefg")]
    go.set()
    assert {f.result(5).batch_size for f in futures} <= {1, 2}
    assert max(pipeline.batches) == 2


def test_candidates_count_as_pictures(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    go = held(pipeline)
    futures = [batcher.submit(pipeline, i, pictures=3) for i in items(*"abcdefg")]
    large = batcher.submit(pipeline, Item("h", 8), pictures=16)
    go.set()
    assert {f.result(5).batch_size for f in futures} <= {3, 6}
    assert large.result(5).batch_size == 16
    assert max(pipeline.batches) == 2


def test_a_picture_is_the_same_in_any_company(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    alone = batcher.submit(pipeline, Item("a", 3)).result(5).pixels
    go = held(pipeline)
    futures = [batcher.submit(pipeline, i) for i in [*items("x", "yy"), Item("a", 3)]]
    go.set()
    assert (futures[2].result(5).pixels == alone).all()


def test_bisection_finds_the_bad_picture(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    go = held(pipeline)
    futures = [batcher.submit(pipeline, i) for i in items("a", "b", "crash", "d", "e", "f", "g")]
    go.set()
    for k, future in enumerate(futures):
        if k == 2:
            with pytest.raises(ValueError, match="crashes"):
                future.result(5)
        else:
            assert future.result(5).pixels.shape == (8, 8, 3)


def test_out_of_memory_halves_the_batch(batcher: Batcher, fatal: list[BaseException]) -> None:
    pipeline = FakePipeline()
    go = held(pipeline)
    first = pipeline.on_forward

    def limited(batch: Sequence[Item]) -> None:
        assert first
        first(batch)
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    pipeline.on_forward = limited
    futures = [batcher.submit(pipeline, i) for i in items(*"abcdefgh")]
    go.set()
    assert all(f.result(5) for f in futures)
    assert max(pipeline.batches[-2:]) <= 2
    assert fatal == []


def test_a_broken_device_ends_the_process(batcher: Batcher, fatal: list[BaseException]) -> None:
    pipeline = FakePipeline()

    def broken(_batch: Sequence[Item]) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    pipeline.on_forward = broken
    with pytest.raises(RuntimeError):
        batcher.submit(pipeline, Item("a", 0)).result(5)
    assert len(fatal) == 1


def test_alone_means_alone(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    go = held(pipeline)
    futures = [
        batcher.submit(pipeline, i, run_alone=i.text == "b") for i in items("a", "b", "c", "d")
    ]
    go.set()
    assert futures[1].result(5).batch_size == 1
    assert all(f.result(5) for f in futures)


def test_pipelines_are_not_mixed(batcher: Batcher) -> None:
    one, other = FakePipeline(), FakePipeline()
    go = held(one)
    futures = [
        batcher.submit(p, i) for p, i in zip([one, other] * 3, items(*"abcdef"), strict=True)
    ]
    go.set()
    assert all(f.result(5) for f in futures)
    assert sum(one.batches) == sum(other.batches) == 3


def test_waits_for_pictures_that_are_coming(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    batcher.expect(3)
    futures = [batcher.submit(pipeline, i) for i in items("a", "b", "c")]
    sizes = {f.result(5).batch_size for f in futures}
    assert sizes == {3}


def test_room_is_two_batches_and_a_little_of_it_is_none(batcher: Batcher) -> None:
    pipeline = FakePipeline()
    running, go = threading.Event(), threading.Event()
    pipeline.on_forward = lambda _batch: (running.set(), go.wait(5))
    assert batcher.room() == 16
    batcher.expect(3)
    assert batcher.room() == 13
    batcher.arrived(3)
    first = batcher.submit(pipeline, Item("a", 0))
    assert running.wait(5)
    others = [batcher.submit(pipeline, i) for i in items(*"bcdefgh")]
    assert batcher.room() == 9
    others += [batcher.submit(pipeline, i) for i in items("i", "j")]
    assert batcher.room() == 0  # a whole batch is in line; the next to be taken makes room
    go.set()
    assert all(f.result(5) for f in (first, *others))
    assert batcher.room() == 16


class Miscounting(FakePipeline):
    """Gives fewer pictures than it was asked for, which no bisection can make good."""

    def forward(self, batch: Sequence[Item]) -> list[Pixels]:
        return list(super().forward(batch))[1:]


def test_the_process_is_ended_when_its_thread_ends(
    batcher: Batcher, fatal: list[BaseException], eventually: Eventually
) -> None:
    future = batcher.submit(Miscounting(), Item("a", 1))
    eventually(lambda: bool(fatal), 5)
    assert isinstance(fatal[0], ValueError)
    assert not future.done()  # its job is claimed again, elsewhere


def test_other_work_runs_in_the_thread_of_the_networks(batcher: Batcher) -> None:
    assert batcher.execute(threading.current_thread).name == "networks"


def test_what_other_work_raises_is_the_callers(batcher: Batcher) -> None:
    def fails() -> None:
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        batcher.execute(fails)
    assert batcher.submit(FakePipeline(), Item("a", 1)).result(5).batch_size == 1


def test_batches_have_half_of_the_time_beside_other_work(batcher: Batcher) -> None:
    done, spent = threading.Event(), [0.0]

    def takes_long() -> None:
        began = time.monotonic()
        time.sleep(0.02)
        spent[0] += time.monotonic() - began

    def keep_calling() -> None:
        while not done.is_set():
            batcher.execute(takes_long)

    pipeline = FakePipeline(seconds=0.005)
    with ThreadPoolExecutor(3) as callers:
        began = time.monotonic()
        futures = [batcher.submit(pipeline, Item("a", k), run_alone=True) for k in range(40)]
        for _ in range(3):  # one is always in line
            callers.submit(keep_calling)
        for future in futures:
            future.result(20)
        share = spent[0] / (time.monotonic() - began)
        done.set()
    assert 0.1 < share < 0.65  # 0.8 if they took turns one by one


def test_batches_do_not_hold_up_other_work(batcher: Batcher) -> None:
    pipeline = FakePipeline(seconds=0.01)
    futures = [batcher.submit(pipeline, Item("a", k), run_alone=True) for k in range(100)]
    assert batcher.execute(lambda: len(pipeline.batches)) < 50
    assert not futures[-1].done()
    for future in futures:
        future.result(5)


def test_other_work_that_waits_is_done_before_the_end(fatal: list[BaseException]) -> None:
    batcher = Batcher(8, 0.02, fatal.append)
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(batcher.execute, lambda: 7)
        batcher.start()
        assert asked.result(5) == 7
        batcher.stop()
    assert not fatal
