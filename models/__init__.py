"""Pixels and training: networks, pipelines, data; no HTTP, no queue, no jobs.

In a notebook: ``models.load("weights/aviary", "synthesize")`` gives a pipeline whose attributes
are the networks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.pipeline import Pipeline


def load(
    bundle: str | os.PathLike[str], task: str, method: str | None = None, device: str = "cpu"
) -> Pipeline[Any]:
    """One task of a bundle, ready to run; ``pipeline.text`` and the task's own networks can be
    called directly.
    """
    from models.registry import load as load_pipeline

    return load_pipeline(bundle, task, method, device)
