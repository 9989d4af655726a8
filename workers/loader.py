"""Where a worker's pipelines come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jobs.bundles import Catalogue
from jobs.errors import BundlesError
from jobs.requests import TASKS
from models.errors import ModelsError

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from models.pipeline import Pipeline

PipelineKey = tuple[str, ...]  # bundle, task, method, and of a real one the bundle's sha256


class PipelineLoader(Protocol):
    """Returns pipelines."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Pipeline[Any]:
        """The pipeline of the bundle with that ``sha256``, or as it is now. Raises ModelsError when
        there is none, BundleError when another worker may have it.
        """
        ...

    def loaded(self) -> list[PipelineKey]: ...

    def forget_failures(self) -> None:
        """Read every bundle again, those too that could not be loaded."""
        ...

    def bundles(self) -> dict[str, dict[str, Any]]:
        """By bundle that can be loaded its ``sha256`` and ``tasks``."""
        ...


def preload(pipelines: PipelineLoader, weights_dir: Path, defaults: Mapping[str, str]) -> None:
    """Load each task's default. A bundle that can't be loaded fails the jobs that ask for it, not
    the worker.
    """
    try:
        catalogue = Catalogue.open(weights_dir, defaults)
    except BundlesError as error:
        log.error("%s", error)
        return
    for task in TASKS:
        found = catalogue.find(task, None)
        if found is None:
            log.warning("no bundle under %s offers %s", weights_dir, task)
            continue
        try:
            pipelines.get(found.bundle, task, found.method)
        except ModelsError as error:
            log.error("%s of bundle %s is not served: %s", task, found.bundle, error)
