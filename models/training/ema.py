"""Exponential moving averages of modules, with warm-up."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


class Average:
    """A slowly following copy of a module: its parameters are averages, its buffers copies. A mean
    of singular vectors (``weight_u``, ``weight_v`` of spectral norms) is no singular vector, and
    batch statistics are estimated again for the averaged weights.

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
        averaged, live = dict(self.module.named_parameters()), dict(module.named_parameters())
        pairs = [(value, live[name]) for name, value in averaged.items()]
        torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - keep)
        buffers = dict(module.named_buffers())
        for name, value in self.module.named_buffers():
            value.copy_(buffers[name])


def tracking_batch_norms(averaged: nn.Module, live: nn.Module) -> list[Any]:
    """The average's batch norms whose live counterparts follow the data; others keep theirs."""
    trained = dict(live.named_modules())
    return [
        norm
        for name, norm in averaged.named_modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm)
        and norm.track_running_stats
        and trained[name].training
    ]


@torch.no_grad()
def recalibrate_batch_norms(
    norms: Sequence[Any], passes: int, forward: Callable[[int], None]
) -> None:
    """Replace the norms' statistics by their mean over ``passes`` calls of ``forward(k)``."""
    moments = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for k in range(passes):
        forward(k)
    for norm, momentum in zip(norms, moments, strict=True):
        norm.momentum = momentum
        norm.eval()
