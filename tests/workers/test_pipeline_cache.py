"""Pipelines in memory: loaded once, and none waits for another to be loaded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from models.errors import ModelsError
from tests.squares import FakePipeline
from workers.loader import PipelineKey
from workers.pipeline_cache import PipelineCache

WARM, COLD, BROKEN = ("warm", "t", "m"), ("cold", "t", "m"), ("broken", "t", "m")


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
    assert cache.keys() == [keys[0], keys[2]]


def test_what_can_not_be_loaded_is_tried_again() -> None:
    loading = Loading()
    cache = PipelineCache(loading, 12)
    for _ in range(2):
        with pytest.raises(ModelsError):
            cache.get(BROKEN)
    assert loading.loaded == [BROKEN] * 2
