"""Raw runs: tensors straight to a bundle's networks, for parity checks and bug reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelsError
from models.registry import load

Arrays = dict[str, np.ndarray[Any, Any]]


class _Given(Mapping[str, Tensor]):
    """Input arrays by name, as tensors."""

    def __init__(self, arrays: Mapping[str, Any], device: torch.device) -> None:
        self._arrays, self._device = arrays, device

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._arrays:
            names = ", ".join(sorted(self._arrays)) or "nothing"
            raise ModelsError(f"The inputs lack {name!r}; they hold {names}.")
        return torch.from_numpy(np.asarray(self._arrays[name])).to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def run(bundle: Path, task: str, inputs: Mapping[str, Any], device: str = "cpu") -> Arrays:
    """Outputs by name, float32.

    ``raw_outputs`` of each method's pipeline says what it takes and gives.
    """
    pipeline = load(bundle, task, None, device)
    with torch.inference_mode():
        found = pipeline.raw_outputs(_Given(inputs, pipeline.device))
    return {name: value.float().cpu().numpy() for name, value in found.items()}
