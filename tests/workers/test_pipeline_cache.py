"""Pipelines in memory: loaded once, and none waits for another to be loaded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from models.errors import ModelsError
from workers.fake.squares import FakePipeline
from workers.loader import PipelineKey
from workers.pipeline_cache import PipelineCache

WARM, COLD, BROKEN = ("warm", "t", "m"), ("cold", "t", "m"), ("broken", "t", "m")


class Weighing(FakePipeline):
    """Whose weights take so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def weight_bytes(self) -> int:
        return self.size


class Loading:
    """Loads the cold one only when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.loaded: list[PipelineKey] = []

    def __call__(self, key: PipelineKey) -> Any:
        self.loaded.append(key)
        if key == COLD:
            self.begun.set()
            assert self.may_end.wait(10)
        if key == BROKEN:
            raise ModelsError("can't be loaded")
        return FakePipeline()


def test_a_warm_pipeline_does_not_wait_for_a_cold_one() -> None:
    loading = Loading()
    cache = PipelineCache(loading, 12)
    warm = cache.get(WARM)
    with ThreadPoolExecutor(3) as threads:
        cold = [threads.submit(cache.get, COLD) for _ in range(2)]
        assert loading.begun.wait(10)
        assert threads.submit(cache.get, WARM).result(5) is warm
        loading.may_end.set()
        assert cold[0].result(5) is cold[1].result(5)
    assert loading.loaded == [WARM, COLD]


def test_the_least_recently_used_is_dropped() -> None:
    cache = PipelineCache(Loading(), 2)
    keys = [(name, "t", "m") for name in ("a", "b", "c")]
    first, _ = cache.get(keys[0]), cache.get(keys[1])
    assert cache.get(keys[0]) is first
    cache.get(keys[2])
    assert list(cache.sizes()) == [keys[0], keys[2]]


def test_what_can_not_be_loaded_is_tried_again() -> None:
    loading = Loading()
    cache = PipelineCache(loading, 12)
    for _ in range(2):
        with pytest.raises(ModelsError):
            cache.get(BROKEN)
    assert loading.loaded == [BROKEN] * 2


SIZES = {"a": 40, "b": 30, "c": 50, "pin": 35}


def key(name: str) -> PipelineKey:
    return (name, "t", "m")


def weighing(loaded: list[str], **options: Any) -> PipelineCache:
    def load(key: PipelineKey) -> Any:
        loaded.append(key[0])
        return Weighing(SIZES[key[0]])

    return PipelineCache(load, 12, budget=100, **options)


def test_the_least_recently_used_leave_a_budget_of_bytes_and_come_back() -> None:
    loaded: list[str] = []
    cache = weighing(loaded)
    for name in ("a", "b", "a"):
        cache.get(key(name))
    assert cache.sizes() == {key("b"): 30, key("a"): 40}
    cache.get(key("c"))
    assert cache.sizes() == {key("a"): 40, key("c"): 50}
    cache.get(key("b"))
    assert cache.sizes() == {key("c"): 50, key("b"): 30}
    assert loaded == ["a", "b", "c", "b"]


def test_room_is_made_before_what_is_known_to_need_it() -> None:
    sizes: list[dict[PipelineKey, int]] = []

    def load(asked: PipelineKey) -> Any:
        sizes.append(cache.sizes())
        return Weighing(SIZES[asked[0]])

    cache = PipelineCache(load, 12, budget=60)
    for name in ("a", "c", "a"):
        cache.get(key(name))
    assert sizes == [{}, {key("a"): 40}, {}]


def test_pinned_bundles_stay_and_the_newest_is_served_in_any_case(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loaded: list[str] = []
    cache = weighing(loaded, pinned=("pin", "a", "b"))
    for name in ("pin", "a", "b", "c", "pin"):
        cache.get(key(name))
    assert set(cache.sizes()) == {key("pin"), key("a"), key("b"), key("c")}
    assert "MMML_NETWORK_MEMORY is less" in caplog.text
    cache = weighing(loaded, pinned=("pin",))
    for name in ("pin", "a", "b", "c"):
        cache.get(key(name))
    assert set(cache.sizes()) == {key("pin"), key("c")}
