"""Losses of pictures whose drawing is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_SMALL = (6, 7, 8)  # of the labels of a drawn bird: bill, eye, legs


def small_things(labels: Tensor) -> Tensor:
    """float32 [B,1,S,S] of labels int64 [B,S,S]: 1 where a thing of a few pixels is, whose loss the
    rest would drown.
    """
    return among(labels, _SMALL).float()[:, None]


def among(labels: Tensor, wanted: Sequence[int]) -> Tensor:
    """bool like ``labels``: which are wanted. No tensor of these has to reach a device."""
    return torch.stack([labels == label for label in wanted]).any(0)


def edge_loss(made: Tensor, images: Tensor, counted: Tensor) -> Tensor:
    """Mean absolute difference of the gradients of pictures [B,3,S,S] along rows and columns, over
    the pixels counted [B,1,S,S].
    """
    gap = (made - images) * counted
    found = gap.diff(dim=2).abs().sum() + gap.diff(dim=3).abs().sum()
    return found / (counted.sum() * images.shape[1]).clamp(min=1)
