"""The pipelines that this worker holds in memory: loaded once, tuned and warm, the least recently
used dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from models.pipeline import Pipeline
from models.registry import PIPELINES, load
from models.runtime.autotune import Memory, tuned
from workers.loader import Key

log = logging.getLogger(__name__)


class Pipelines:
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
        self._max_batch, self._limit = max_batch, limit
        self._held: OrderedDict[Key, Pipeline[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, bundle: str, task: str, method: str) -> Pipeline[Any]:
        with self._lock:  # held while loading: two jobs must not load the same weights twice
            key = bundle, task, method
            if key not in self._held:
                self._held[key] = self._load(key)
                if len(self._held) > self._limit:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]

    def _load(self, key: Key) -> Pipeline[Any]:
        started = time.perf_counter()
        bundle, task, method = key

        def loading(precision: str) -> Pipeline[Any]:
            return load(self._weights_dir / bundle, task, method, self._device, precision)

        pipeline = tuned(loading, self._precision, self._max_batch, self._memory)
        log.info("loaded %s for %s by %s in %.1f s", *key, time.perf_counter() - started)
        return pipeline

    def loaded(self) -> list[Key]:
        return list(self._held)

    def servable(self) -> list[str]:
        return list(PIPELINES)
