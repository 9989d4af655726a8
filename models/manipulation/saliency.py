"""Where the thing is in a photo that nobody has outlined: where it is unlike its own corners.

Photos show their thing in the middle and the background in the corners, so what a frozen trunk
makes of the corners says what the background looks like (the boundary prior of salient object
detection, Wei et al. 2012, on deep features).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LOW, _HIGH = 0.05, 0.95  # quantiles that count as background and as thing


@torch.no_grad()
def unlike_corners(features: Tensor, side: int) -> Tensor:
    """Features of photos [B,C,h,w] → float32 [B,1,side,side] in [0,1], 1 where the thing is; soft,
    as coarse as the features are.
    """
    x = features.float()
    x = functional.normalize(x - x.mean((2, 3), keepdim=True), dim=1)
    reach = max(1, x.shape[-1] // 4)
    corners = [x[:, :, rows, columns] for rows in _ends(reach) for columns in _ends(reach)]
    background = functional.normalize(torch.stack(corners).mean((0, 3, 4)), dim=1)
    unlike = -torch.einsum("bchw,bc->bhw", x, background)[:, None]
    size = (side, side)
    raised = functional.interpolate(unlike, size, mode="bilinear", align_corners=False)
    low, high = (raised.flatten(1).quantile(q, 1)[:, None, None, None] for q in (_LOW, _HIGH))
    return ((raised - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


def _ends(reach: int) -> tuple[slice, slice]:
    return slice(reach), slice(-reach, None)
