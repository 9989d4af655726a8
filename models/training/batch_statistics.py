"""Standing statistics of batch norms, estimated again for averaged weights (BigGAN, Brock et al.
2019, appendix C).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


def tracking_norms(averaged: nn.Module, live: nn.Module) -> list[Any]:
    """The average's batch norms whose live counterparts follow the data; frozen ones keep the
    statistics that they came with.
    """
    trained = dict(live.named_modules())
    return [
        norm
        for name, norm in averaged.named_modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm)
        and norm.track_running_stats
        and trained[name].training
    ]


@torch.no_grad()
def recalibrate(norms: Sequence[Any], passes: int, forward: Callable[[int], None]) -> None:
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
