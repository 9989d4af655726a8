"""Where a worker's pipelines come from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from jobs.bundles import BundleTask, Catalogue
from jobs.errors import BundlesError
from jobs.requests import TASKS
from models.errors import ModelsError

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from models.pipeline import Pipeline
    from workers.settings import WorkerSettings

PipelineKey = tuple[str, ...]  # bundle, task, method, and of a real one the bundle's sha256


class PipelineLoader(Protocol):
    """Returns pipelines."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Pipeline[Any]:
        """The pipeline of the bundle with that ``sha256``, or as it is now. Raises ModelsError when
        there is none, BundleError when another worker may have it.
        """

    def is_loaded(self, bundle: str, task: str, method: str, sha256: str = "") -> bool:
        """Whether :meth:`get` has it at once."""

    def loaded(self) -> dict[PipelineKey, int]:
        """What is in memory, and how many bytes its networks' weights take."""

    def forget_failures(self) -> None:
        """Read every bundle again, those too that could not be loaded."""

    def bundles(self) -> dict[str, dict[str, Any]]:
        """By bundle that can be loaded its ``sha256`` and ``tasks``."""


def preload(pipelines: PipelineLoader, settings: WorkerSettings) -> None:
    """Load each task's default, and all of pinned bundles. A bundle that can't be loaded fails the
    jobs that ask for it, not the worker.
    """
    weights_dir, served = settings.weights_dir, settings.serve_bundles
    try:
        catalogue = Catalogue.open(weights_dir, settings.defaults())
    except BundlesError as error:
        log.error("%s", error)
        return
    for name in {*served, *settings.pinned_bundles} - set(catalogue.bundles):
        log.error("there is no bundle %s under %s; its jobs wait", name, weights_dir)
    for task in TASKS:
        default = catalogue.find(task, None)
        pinned = [catalogue.find(task, name) for name in settings.pinned_bundles]
        if default is None:
            log.warning("no bundle under %s offers %s", weights_dir, task)
        for found in filter(None, [default, *pinned]):
            if not served or found.bundle in served:
                _load(pipelines, task, found)


def _load(pipelines: PipelineLoader, task: str, found: BundleTask) -> None:
    try:
        pipelines.get(found.bundle, task, found.method)
    except ModelsError as error:
        log.error("%s of bundle %s is not served: %s", task, found.bundle, error)
