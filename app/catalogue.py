"""The bundles as they are now: a bundle that is added or replaced is seen without a restart."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from jobs.bundles import DEFAULTS, Catalogue
from jobs.errors import BundlesError

log = logging.getLogger(__name__)
_LOOK_EVERY = 2.0  # seconds


class LiveCatalogue:
    """Reads the weights folder again when a ``bundle.json`` in it, or ``defaults.json``, has
    changed.
    """

    def __init__(self, folder: Path, defaults: Mapping[str, str]) -> None:
        self._folder, self._defaults = folder, dict(defaults)
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._stamp = self._stamps()
        self._current = Catalogue.open(folder, defaults)

    def now(self) -> Catalogue:
        """The current catalogue; a bundle that can't be read keeps the last good one in place."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_EVERY:
                self._looked = time.monotonic()
                stamp = self._stamps()
                if stamp != self._stamp:
                    self._reread(stamp)
            return self._current

    def _reread(self, stamp: frozenset[tuple[str, int, int]]) -> None:
        try:
            self._current = Catalogue.open(self._folder, self._defaults)
            self._stamp = stamp
        except BundlesError as error:
            log.error("%s", error)

    def _stamps(self) -> frozenset[tuple[str, int, int]]:
        found = []
        for path in (*self._folder.glob("*/bundle.json"), *self._folder.glob(DEFAULTS)):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_ino))
        return frozenset(found)
