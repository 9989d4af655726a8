"""Where the thing is in a photo that nobody has outlined, and edits that leave the rest alone.

Photos show their thing in the middle and background along their border, so what a frozen trunk
makes of the border says what the background looks like (the boundary prior of salient object
detection, Wei et al. 2012, on deep features).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_BORDER = 1 / 6  # of a side
_LOW, _HIGH = 0.05, 0.95  # quantiles that count as background and as thing
# An edit leaves alone what is less salient than the first, and changes all from the second on:
# chosen by how much edits of validation photos change where birds are and are not (docs/log.md).
_NONE, _ALL = 0.2, 0.7


@torch.no_grad()
def foreground_saliency(features: Tensor, side: int) -> Tensor:
    """Features of photos [B,C,h,w] → float32 [B,1,side,side] in [0,1], 1 where the thing is; soft,
    as coarse as the features are.
    """
    x = features.float()
    x = functional.normalize(x - x.mean((2, 3), keepdim=True), dim=1)
    edge = max(1, round(int(x.shape[-1]) * _BORDER))  # a number of its own also in traces
    inner = functional.pad(x[:, :, edge:-edge, edge:-edge], [edge] * 4)
    background = functional.normalize((x - inner).sum((2, 3)), dim=1)
    unlike = -torch.einsum("bchw,bc->bhw", x, background)[:, None]
    size = (side, side)
    raised = functional.interpolate(unlike, size, mode="bilinear", align_corners=False)
    low, high = (raised.flatten(1).quantile(q, 1)[:, None, None, None] for q in (_LOW, _HIGH))
    return ((raised - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


def keep_background(edited: Tensor, photos: Tensor, regions: Tensor, share: float) -> Tensor:
    """Edited pictures with all of their change in the thing and this share of it in the background;
    edited and photos [B,3,S,S], regions [B,C,r,r] the photos' features, share from 0 to 1.
    """
    saliency = foreground_saliency(regions, edited.shape[-1])
    thing = ((saliency - _NONE) / (_ALL - _NONE)).clamp(0, 1)
    return photos + (share + (1 - share) * thing) * (edited - photos)
