"""Which pipeline does a task by which method: one line per method."""

from __future__ import annotations

import importlib
import os
from typing import Any

from models.bundle import Bundle
from models.errors import UnknownBundle
from models.pipeline import Pipeline

# task -> method -> "module:callable(bundle, task, method, device, precision)"; imported when first
# needed
_CLASSICAL = "models.inpainting.classical:ClassicalPipeline"
PIPELINES: dict[str, dict[str, str]] = {
    "synthesize": {"efficient-t2i": "models.synthesis.pipeline:SynthesisPipeline"},
    "manipulate": {"manigan": "models.manipulation.pipeline:ManipulationPipeline"},
    "inpaint": {
        "tdanet": "models.inpainting.pipeline:InpaintingPipeline",
        "patchmatch": _CLASSICAL,
        "telea": _CLASSICAL,
        "navier-stokes": _CLASSICAL,
    },
}


def load(
    folder: str | os.PathLike[str],
    task: str,
    method: str | None,
    device: str,
    precision: str = "float32",
) -> Pipeline[Any]:
    """Load one task of the bundle in ``folder``; ``method`` None is the bundle's trained one.

    Raises UnknownBundle when the bundle or this version does not offer task or method, BundleError
    when its files do not fit.
    """
    bundle = Bundle.open(folder)
    spec = bundle.task(task)
    chosen = method or spec.method
    known = PIPELINES.get(task, {})
    if chosen not in spec.methods or chosen not in known:
        offered = ", ".join(name for name in spec.methods if name in known) or "no known method"
        raise UnknownBundle(
            f"Bundle {bundle.name!r} offers {task!r} by {offered}, not by {chosen!r}."
        )
    module, name = known[chosen].split(":")
    pipeline: Pipeline[Any] = getattr(importlib.import_module(module), name)(
        bundle, task, chosen, device, precision
    )
    return pipeline
