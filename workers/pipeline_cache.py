"""The pipelines that this worker holds in memory: loaded once, tuned and warm, the least recently
used dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.pipeline import Pipeline
from models.registry import PIPELINES, load
from models.runtime.autotune import Memory, tune
from workers.loader import PipelineKey

log = logging.getLogger(__name__)


class PipelineCache:
    """At most ``limit`` pipelines, made by ``load``. While one is loaded, those that are there are
    handed out, and others can be loaded too.
    """

    def __init__(self, load: Callable[[PipelineKey], Pipeline[Any]], limit: int) -> None:
        self._load, self._limit = load, limit
        self._held: OrderedDict[PipelineKey, Pipeline[Any]] = OrderedDict()
        self._lock = threading.Lock()  # never held while something is loaded
        self._loading: defaultdict[PipelineKey, threading.Lock] = defaultdict(threading.Lock)

    def get(self, key: PipelineKey) -> Pipeline[Any]:
        """The pipeline; raises what ``load`` raises."""
        found = self._find(key)
        if found:
            return found
        with self._lock:
            loading = self._loading[key]
        with loading:  # two jobs must not load the same weights twice
            return self._find(key) or self._add(key, self._load(key))

    def keys(self) -> list[PipelineKey]:
        with self._lock:
            return list(self._held)

    def _find(self, key: PipelineKey) -> Pipeline[Any] | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def _add(self, key: PipelineKey, pipeline: Pipeline[Any]) -> Pipeline[Any]:
        with self._lock:
            self._held[key] = pipeline
            if len(self._held) > self._limit:
                self._held.popitem(last=False)
        return pipeline


class CachedPipelineLoader:
    """Loads from the weights folder. precision may be "auto"; what was measured of a pipeline is
    remembered in the file ``tunings``.
    """

    def __init__(
        self,
        weights_dir: Path,
        device: str,
        precision: str,
        max_batch: int,
        limit: int = 12,
        tunings: Path | None = None,
    ) -> None:
        self._memory = Memory(tunings)
        self._weights_dir, self._device, self._precision = weights_dir, device, precision
        self._max_batch = max_batch
        self._cache = PipelineCache(self._load, limit)

    def get(self, bundle: str, task: str, method: str) -> Pipeline[Any]:
        return self._cache.get((bundle, task, method))

    def _load(self, key: PipelineKey) -> Pipeline[Any]:
        started = time.perf_counter()
        bundle, task, method = key

        def loading(precision: str) -> Pipeline[Any]:
            return load(self._weights_dir / bundle, task, method, self._device, precision)

        pipeline = tune(loading, self._precision, self._max_batch, self._memory)
        log.info("loaded %s for %s by %s in %.1f s", *key, time.perf_counter() - started)
        return pipeline

    def loaded(self) -> list[PipelineKey]:
        return self._cache.keys()

    def servable(self) -> list[str]:
        return list(PIPELINES)
