"""Which pipeline does a task by which method: one line per method. What else a method needs lies in
its folder under fixed names, see :class:`MethodFolder`.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.pipeline import Pipeline

# task -> method -> "module:callable(bundle, task, method, device, precision)"; imported when first
# needed
_CLASSICAL = "models.inpainting.classical:ClassicalPipeline"
PIPELINES: dict[str, dict[str, str]] = {
    "synthesize": {
        "attngan": "models.synthesis.attngan.pipeline:AttnganPipeline",
        "efficient-t2i": "models.synthesis.pipeline:SynthesisPipeline",
    },
    "manipulate": {
        "manigan": "models.manipulation.manigan.pipeline:ManiganPipeline",
        "sisgan": "models.manipulation.sisgan.pipeline:SisganPipeline",
        "tagan": "models.manipulation.tagan.pipeline:TaganPipeline",
    },
    "inpaint": {
        "tdanet": "models.inpainting.tdanet.pipeline:TdanetPipeline",
        "picnet": "models.inpainting.picnet.pipeline:PicnetPipeline",
        "csa": "models.inpainting.csa.pipeline:CsaPipeline",
        "patchmatch": _CLASSICAL,
        "telea": _CLASSICAL,
        "navier-stokes": _CLASSICAL,
    },
}


@dataclass(frozen=True)
class MethodFolder:
    """The folder of a method, found by its line above. Its ``__init__.py`` says, without torch,
    FILES (the published files that are imported), LICENCE and READS_TEXT; ``official.py`` has
    ``read_published`` and ``published_files``, ``recipe.py`` has ``Options`` and ``build``;
    ``presets/`` holds what it is trained by.
    """

    task: str
    package: ModuleType

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.package.__name__}.{name}")


def method_folders() -> dict[str, MethodFolder]:
    """By method its folder, of those that say what theirs holds."""
    found = {}
    for task, methods in PIPELINES.items():
        for method, line in methods.items():
            package = importlib.import_module(line.partition(":")[0].rpartition(".")[0])
            if hasattr(package, "FILES"):
                found[method] = MethodFolder(task, package)
    return found


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
    from models.bundle import Bundle
    from models.errors import UnknownBundle

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
    return getattr(importlib.import_module(module), name)(bundle, task, chosen, device, precision)
