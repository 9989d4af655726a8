"""Which bundles this worker could load: read again when one is replaced, without those whose
networks could not be loaded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.bundles import BundleInfo, BundleTask
from jobs.errors import BundlesError

log = logging.getLogger(__name__)
_Stamp = tuple[int, int]  # time of the last change in nanoseconds, inode


class LocalBundles:
    """The bundles of a folder, or those of these names. Safe to call from several threads."""

    def __init__(self, folder: Path, only: Collection[str] = ()) -> None:
        self._folder, self._only = folder, only
        self._lock = threading.Lock()
        self._read: dict[str, tuple[_Stamp, BundleInfo | None]] = {}
        self._refused: set[tuple[str, str, str]] = set()  # name, sha256, task

    def refresh(self) -> None:
        """Look whether any ``bundle.json`` has changed, come or gone."""
        with self._lock:
            found = {}
            for path in self._folder.glob("*/bundle.json"):
                name = path.parent.name
                if self._only and name not in self._only:
                    continue
                with suppress(OSError):  # it has just gone
                    status = path.stat()
                    stamp, known = (status.st_mtime_ns, status.st_ino), self._read.get(name)
                    same = known if known and known[0] == stamp else None
                    found[name] = same or (stamp, _read(path.parent))
            self._read = found

    def sha256(self, name: str) -> str:
        """Of the bundle as it was last seen; empty when there is none."""
        _, info = self._read.get(name, (None, None))
        return info.sha256 if info else ""

    def report(self, name: str, sha256: str, task: str, loaded: bool) -> None:
        """Whether the networks could be loaded when they were asked for."""
        entry = name, sha256, task
        if loaded:
            self._refused.discard(entry)
        else:
            self._refused.add(entry)

    def forget_failures(self) -> None:
        """Read all again at the next look, and offer what could not be loaded: files may have been
        mended under a ``bundle.json`` that is as it was.
        """
        with self._lock:
            self._read, self._refused = {}, set()

    def loadable(self) -> dict[str, dict[str, Any]]:
        """By bundle its ``sha256`` and ``tasks``, as heartbeats tell them."""
        self.refresh()
        result = {}
        for name, (_, info) in sorted(self._read.items()):
            tasks = [task for task in info.tasks.values() if _is_complete(task)] if info else []
            names = [
                t.task for t in tasks if (name, self.sha256(name), t.task) not in self._refused
            ]
            if names:
                result[name] = {"sha256": self.sha256(name), "tasks": names}
        return result


def _read(folder: Path) -> BundleInfo | None:
    try:
        return BundleInfo.read(folder)
    except BundlesError as error:
        log.error("%s", error)
        return None


def _is_complete(task: BundleTask) -> bool:
    """Whether the files that the bundle names are there."""
    files = task.spec.get("files", {}).values()
    words = [str(task.spec["vocabulary"])] if "vocabulary" in task.spec else []
    names = [*words, *(str(file["path"]) for file in files)]
    return all((task.folder / name).is_file() for name in names)
