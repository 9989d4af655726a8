"""Exponential moving averages of modules, with warm-up."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A slowly following copy of a module; its parameters and floating buffers are averages.

    decay: share kept per step once warmed up; before, (1 + t) / (10 + t) lets the start be
    forgotten.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards ``module`` after optimisation step ``step`` (from 0)."""
        keep = min(self._decay, (1 + step) / (10 + step))
        live = module.state_dict()
        floats = [(k, v) for k, v in self.module.state_dict().items() if v.is_floating_point()]
        torch._foreach_lerp_([v for _, v in floats], [live[k] for k, _ in floats], 1 - keep)
        for key, value in self.module.state_dict().items():
            if not value.is_floating_point():
                value.copy_(live[key])
