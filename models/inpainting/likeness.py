"""How like the truth a fill is: pixels at every scale, edges, and what each pixel shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALL = (6, 7, 8)  # of the labels of a drawn bird: bill, eye, legs
_CLOSEST = 1e-5  # difference of two fills from which they are no nearer


def pixel_weights(mask: Tensor, hole: float, labels: Tensor | None, small: float) -> Tensor:
    """What each pixel weighs, float32 [B,1,S,S] of mean 1 in each picture: one of the hole (mask 0)
    ``hole`` more than a known one, of these one of a small thing ``small`` times as much again.
    """
    weight = 1 - mask
    if labels is not None:
        tiny = torch.isin(labels, torch.tensor(SMALL, device=labels.device))[:, None]
        weight = weight * (1 + small * tiny)
    weight = 1 + hole * weight
    return weight / weight.mean((1, 2, 3), keepdim=True)


def pyramid_l1(pictures: Sequence[Tensor], images: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference of pictures [B,3,s,s] from small to large to the resized
    images [B,3,S,S], summed over scales.
    """
    total = images.new_zeros(())
    for picture in pictures:
        size = (picture.shape[-2], picture.shape[-1])
        target = functional.interpolate(images, size, mode="bilinear", align_corners=True)
        share = functional.adaptive_avg_pool2d(weight, size)
        total = total + (share * (picture - target).abs()).mean()
    return total


def edge_loss(made: Tensor, images: Tensor, counted: Tensor) -> Tensor:
    """Mean absolute difference of the gradients of pictures [B,3,S,S] along rows and columns, over
    the pixels counted [B,1,S,S].
    """
    gap = (made - images) * counted
    found = gap.diff(dim=2).abs().sum() + gap.diff(dim=3).abs().sum()
    return found / (counted.sum() * images.shape[1]).clamp(min=1)


def label_loss(logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of logits [B,L,S,S] with labels int64 [B,S,S], over the pixels counted
    [B,1,S,S].
    """
    each = functional.cross_entropy(logits.float(), labels, reduction="none") * counted[:, 0]
    return each.sum() / counted.sum().clamp(min=1)


def seeking_loss(
    pictures: tuple[Tensor, Tensor], latents: tuple[Tensor, Tensor], hole: Tensor
) -> Tensor:
    """How far apart two latents [B,z,h,w] are for each unit that their pictures [B,3,S,S] differ in
    the hole [B,1,S,S] (mode seeking, Mao et al. 2019, equation 3): fills that ignore their latent
    make it large.
    """
    one, two = pictures
    apart = ((one - two).abs() * hole).sum((1, 2, 3)) / (hole.sum((1, 2, 3)) * 3).clamp(min=1)
    drawn = (latents[0] - latents[1]).abs().mean((1, 2, 3)).detach()
    return (drawn / (apart + _CLOSEST)).clamp(max=1e3).mean()
