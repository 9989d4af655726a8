"""Raw runs: tensors straight to a bundle's networks, for parity checks and bug reports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelsError
from models.registry import load

Arrays = dict[str, np.ndarray[Any, Any]]


class _Given(dict[str, Tensor]):
    """Input tensors by name."""

    def __missing__(self, name: str) -> Tensor:
        raise ModelsError(
            f"The inputs lack {name!r}; they hold {', '.join(sorted(self)) or 'nothing'}."
        )


def run(bundle: Path, task: str, inputs: Mapping[str, Any], device: str = "cpu") -> Arrays:
    """Outputs by name, float32.

    ``raw_outputs`` of each method's pipeline says what it takes and gives.
    """
    pipeline = load(bundle, task, None, device)
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}
    given = {name: torch.from_numpy(x).to(pipeline.device) for name, x in numbers.items()}
    with torch.inference_mode():
        found = pipeline.raw_outputs(_Given(given))
    return {name: value.float().cpu().numpy() for name, value in found.items()}
