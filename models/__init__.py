"""Pixels and training: networks, pipelines, data; no HTTP, no queue, no jobs.

In a notebook, ``models.load("weights/aviary")["synthesize"]`` is a pipeline whose attributes are
the networks: ``pipeline.text(ids, lengths)`` gives word and sentence features,
``pipeline.generator`` pictures with gradients, the networks' own outputs the attention maps.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from models.pipeline import Pipeline

Folder = str | os.PathLike[str]


@overload
def load(bundle: Folder, *, device: str = "cpu") -> dict[str, Pipeline[Any]]: ...
@overload
def load(
    bundle: Folder, task: str, method: str | None = None, device: str = "cpu"
) -> Pipeline[Any]: ...
def load(
    bundle: Folder, task: str | None = None, method: str | None = None, device: str = "cpu"
) -> Pipeline[Any] | dict[str, Pipeline[Any]]:
    """One task of a bundle, or without ``task`` all that it can serve, by task."""
    from models.bundle import Bundle
    from models.registry import PIPELINES
    from models.registry import load as load_pipeline

    if task is not None:
        return load_pipeline(bundle, task, method, device)
    offered = (name for name in Bundle.open(bundle).tasks if name in PIPELINES)
    return {name: load_pipeline(bundle, name, None, device) for name in offered}
