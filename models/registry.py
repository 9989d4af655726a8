"""Which pipeline does a task: one line per task."""

from __future__ import annotations

import importlib
import os
from typing import Any

from models.bundle import Bundle
from models.errors import UnknownBundle
from models.pipeline import Pipeline

# task -> "module:callable(bundle, task, method, device, precision)"; imported when first needed
PIPELINES: dict[str, str] = {
    "synthesize": "models.synthesis.pipeline:SynthesisPipeline",
    "manipulate": "models.manipulation.pipeline:ManipulationPipeline",
    "inpaint": "models.inpainting.pipeline:load",
}


def load(
    folder: str | os.PathLike[str],
    task: str,
    method: str | None,
    device: str,
    precision: str = "float32",
) -> Pipeline[Any]:
    """Load one task of the bundle in ``folder``; ``method`` None is the bundle's trained one.

    Raises UnknownBundle when the bundle does not offer task or method, BundleError when its files
    do not fit.
    """
    bundle = Bundle.open(folder)
    spec = bundle.task(task)
    chosen = method or spec.method
    if chosen not in spec.methods or task not in PIPELINES:
        offered = ", ".join(spec.methods)
        raise UnknownBundle(
            f"Bundle {bundle.name!r} offers {task!r} by {offered}, not by {chosen!r}."
        )
    module, name = PIPELINES[task].split(":")
    pipeline: Pipeline[Any] = getattr(importlib.import_module(module), name)(
        bundle, task, chosen, device, precision
    )
    return pipeline
