"""The seam between loop and method: an objective knows no loop, the loop no architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.training.batch import Batch


class Objective(Protocol):
    """What is optimised for one part of a bundle."""

    modules: dict[str, nn.Module]  # everything that changes: part of every snapshot
    optimisers: dict[str, torch.optim.Optimizer]
    averaged: tuple[str, ...]  # names in ``modules`` whose moving average is what ships

    def step(self, batch: Batch, step: int, noise: torch.Generator) -> dict[str, float]:
        """One optimisation step; returns values to log. ``noise`` (on the CPU) is the only
        randomness.
        """
        ...

    def preview(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Pictures [N,3,H,W] in [-1,1] for the sample grid."""
        ...

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        """(network configuration for bundle.json, modules by role) of the trained part."""
        ...
