"""The bundles as they are now: a bundle that is added or replaced is seen without a restart."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from jobs.bundles import DEFAULTS, Catalogue
from jobs.errors import BundlesError

log = logging.getLogger(__name__)
REFRESH_EVERY = 2.0  # seconds


class LiveCatalogue:
    """What is known of the weights folder; :meth:`refresh` reads it again when a ``bundle.json`` in
    it, or ``defaults.json``, has changed.
    """

    def __init__(self, folder: Path, defaults: Mapping[str, str]) -> None:
        self._folder, self._defaults = folder, dict(defaults)
        self._lock = threading.Lock()
        self._last_fingerprint = self._fingerprint()
        self._current = self._read()

    def current(self) -> Catalogue:
        """The catalogue as last read."""
        return self._current

    def refresh(self) -> None:
        """Blocking. A bundle that can't be read keeps the last good catalogue in place."""
        with self._lock:
            try:
                stamp = self._fingerprint()
                if stamp != self._last_fingerprint:
                    self._current = self._read()
                    self._last_fingerprint = stamp
            except (BundlesError, OSError) as error:
                log.error("%s", error)

    def _read(self) -> Catalogue:
        """With all words, so that no request has to wait for a file of them."""
        catalogue = Catalogue.open(self._folder, self._defaults)
        for bundle in catalogue.bundles.values():
            for task in bundle.tasks.values():
                with contextlib.suppress(
                    OSError, ValueError, KeyError
                ):  # reported to whoever asks for it
                    _ = task.vocabulary
        return catalogue

    def _fingerprint(self) -> frozenset[tuple[str, int, int]]:
        found = []
        for path in (*self._folder.glob("*/bundle.json"), *self._folder.glob(DEFAULTS)):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_ino))
        return frozenset(found)
