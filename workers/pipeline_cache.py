"""The pipelines that this worker holds in memory: loaded once, tuned and warm, the least recently
used dropped.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from typing import Any

from models.errors import BundleError, ModelsError, UnknownBundle
from models.pipeline import Pipeline
from models.registry import load
from models.runtime.autotune import Memory, Stopwatch, tune
from models.runtime.cpu.threads import Execute, execute_here
from workers import metrics
from workers.bundles import LocalBundles
from workers.loader import PipelineKey
from workers.settings import WorkerSettings

log = logging.getLogger(__name__)


class PipelineCache:
    """At most ``limit`` pipelines, made by ``load``, and at most ``budget`` bytes of weights, 0 for
    any number; those of the bundles ``pinned`` stay. While one is loaded, those that are there are
    handed out, and others can be loaded too.
    """

    def __init__(
        self,
        load: Callable[[PipelineKey], Pipeline[Any]],
        limit: int,
        budget: int = 0,
        pinned: Collection[str] = (),
    ) -> None:
        self._load, self._limit = load, limit
        self._budget, self._pinned = budget, pinned
        self._held: OrderedDict[PipelineKey, Pipeline[Any]] = OrderedDict()
        self._sizes: dict[PipelineKey, int] = {}  # bytes, of all that were ever loaded
        self._lock = threading.Lock()  # never held while something is loaded
        self._loading: defaultdict[PipelineKey, threading.Lock] = defaultdict(threading.Lock)

    def get(self, key: PipelineKey) -> Pipeline[Any]:
        """The pipeline; raises what ``load`` raises."""
        found = self.find(key)
        if found:
            return found
        with self._lock:
            loading = self._loading[key]
        with loading:  # two jobs must not load the same weights twice
            return self.find(key) or self._load_and_add(key)

    def sizes(self) -> dict[PipelineKey, int]:
        """What is there, the least recently used first, and how many bytes its weights take."""
        with self._lock:
            return {key: self._sizes[key] for key in self._held}

    def find(self, key: PipelineKey) -> Pipeline[Any] | None:
        """The pipeline if it is there."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def _load_and_add(self, key: PipelineKey) -> Pipeline[Any]:
        """Room is made before, where it is known how much, so that both never are in memory."""
        self._make_room(key)
        pipeline = self._load(key)
        with self._lock:
            self._held[key], self._sizes[key] = pipeline, pipeline.weight_bytes()
        self._make_room(key)
        taken = sum(self.sizes().values())
        if self._budget and taken > self._budget:
            log.warning("networks take %d bytes, MMML_NETWORK_MEMORY is less", taken)
        return pipeline

    def _make_room(self, key: PipelineKey) -> None:
        with self._lock:
            dropped = [(k, self._held.pop(k)) for k in self._to_drop(key)]
        if dropped:
            log.info("dropped %s for %s", ", ".join(k[0] for k, _ in dropped), key[0])
            del dropped
            # Pipelines refer to themselves, and the worker froze what it had loaded at its start.
            gc.unfreeze()
            gc.collect()

    def _to_drop(self, key: PipelineKey) -> list[PipelineKey]:
        """The least recently used, until ``key`` fits in beside the others."""
        result = []
        left = {k: self._sizes[k] for k in self._held} | {key: self._sizes.get(key, 0)}
        for k in self._held:
            over = self._budget and sum(left.values()) > self._budget
            if len(left) <= self._limit and not over:
                break
            if k != key and k[0] not in self._pinned:
                result.append(k)
                del left[k]
        return result


class CachedPipelineLoader:
    """Loads from the weights folder what the settings say that this worker serves, for ``device``;
    networks run in the thread of ``execute`` alone, their first passes, too. What was measured of a
    pipeline is remembered in a file of the cache folder.
    """

    def __init__(
        self, settings: WorkerSettings, device: str, execute: Execute = execute_here
    ) -> None:
        self._settings, self._device, self._execute = settings, device, execute
        self._memory = Memory(settings.cache_dir / "tunings.json")
        self._bundles = LocalBundles(settings.weights_dir, settings.serve_bundles)
        limits = settings.max_loaded, settings.network_memory, settings.pinned_bundles
        self._cache = PipelineCache(self._load, *limits)

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Pipeline[Any]:
        """Networks that are loaded serve their jobs even when their bundle has been replaced."""
        held = self._find(bundle, task, method, sha256)
        if held:
            return held
        self._bundles.refresh()
        present = self._bundles.sha256(bundle)
        if sha256 and present != sha256:
            now = f"has another of sha256 {present[:12]}…" if present else "has none of that name"
            raise UnknownBundle(
                f"Bundle {bundle!r} of sha256 {sha256[:12]}… is not here: this worker {now}. Give "
                "all workers the gateway's weights."
            )
        return self._cache.get((bundle, task, method, present))

    def is_loaded(self, bundle: str, task: str, method: str, sha256: str = "") -> bool:
        return self._find(bundle, task, method, sha256) is not None

    def _find(self, bundle: str, task: str, method: str, sha256: str) -> Pipeline[Any] | None:
        return self._cache.find((bundle, task, method, sha256 or self._bundles.sha256(bundle)))

    def _load(self, key: PipelineKey) -> Pipeline[Any]:
        bundle, task, _, sha256 = key
        try:
            pipeline = self._load_networks(*key[:3])
        except ModelsError:
            self._bundles.report(bundle, sha256, task, loaded=False)
            raise
        if pipeline.bundle.sha256 != sha256:
            raise BundleError(f"Bundle {bundle!r} was replaced while it was loaded; try again.")
        self._bundles.report(bundle, sha256, task, loaded=True)
        return pipeline

    def _load_networks(self, bundle: str, task: str, method: str) -> Pipeline[Any]:
        started, settings = time.perf_counter(), self._settings

        def loading(precision: str) -> Pipeline[Any]:
            return load(settings.weights_dir / bundle, task, method, self._device, precision)

        stopwatch = Stopwatch(execute=self._execute)
        pipeline = tune(loading, settings.precision, settings.max_batch, self._memory, stopwatch)
        seconds = time.perf_counter() - started
        metrics.LOADS.labels(bundle, task).observe(seconds)
        log.info("loaded %s for %s by %s in %.1f s", bundle, task, method, seconds)
        return pipeline

    def loaded(self) -> dict[PipelineKey, int]:
        return self._cache.sizes()

    def forget_failures(self) -> None:
        self._bundles.forget_failures()

    def bundles(self) -> dict[str, dict[str, Any]]:
        return self._bundles.loadable()
