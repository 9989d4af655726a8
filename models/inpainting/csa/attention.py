"""The coherent semantic attention layer (paper section 3.2): hole cells become mixtures of known
ones, each also like the hole cell before it. No weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelsError

_EPS = 1e-8
_SHARE = 5 / 16  # of a cell's averaged hole from which the cell is one
_LOWEST = -1e30  # likeness of what must not be chosen; finite, so that nothing becomes NaN
GRADIENTS = ("published", "exact")


def hole_cells(hole_mask: Tensor) -> Tensor:
    """float32 [B,1,S,S], 1 = hole → bool [B,1,S/8,S/8], by three 4×4 averages of stride 2."""
    for _ in range(3):
        hole_mask = functional.avg_pool2d(hole_mask, 4, stride=2, padding=1)
    return hole_mask > _SHARE


@dataclass(frozen=True)
class _Mixture:
    """What hole cells of pictures with N cells are made of. cells [B,K]: their places in row-major
    order, after a picture's last one those of known cells; best [B,K]: the known cell most like
    each; kept, copied [B,K,1]: shares of the hole cell before and of the best one; made [B,K,C].
    """

    cells: Tensor
    best: Tensor
    kept: Tensor
    copied: Tensor
    made: Tensor


def _rows(x: Tensor, places: Tensor) -> Tensor:
    """Rows [B,K,C] of x [B,N,C] at places [B,K]."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))


def _count(hole_mask: Tensor) -> int:
    """Of steps that all pictures' holes take: on a CPU no more than needed, elsewhere as many as
    there are cells, since nothing there may depend on values.
    """
    return int(hole_mask.sum(1).max()) if hole_mask.device.type == "cpu" else hole_mask.shape[1]


def _mix(x: Tensor, hole_mask: Tensor) -> _Mixture | None:
    """x float32 [B,N,C], hole_mask bool [B,N]; None where there is no hole."""
    count = _count(hole_mask)
    if not count:
        return None
    cells = hole_mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]
    sought = _rows(x, cells)
    likeness = sought @ x.transpose(1, 2) / (x.norm(dim=2) + _EPS)[:, None]
    value, best = likeness.masked_fill(hole_mask[:, None], _LOWEST).max(2, keepdim=True)
    found = _rows(x, best[..., 0])
    directions = sought / (sought.norm(dim=2, keepdim=True) + _EPS)
    own = hole_mask.gather(1, cells)[..., None]  # what follows a picture's last one stays finite
    share = value[:, 0]
    made, kept, copied = [found[:, 0]], [torch.zeros_like(share)], [torch.ones_like(share)]
    for k in range(1, count):
        along = (directions[:, k] * made[-1]).sum(1, keepdim=True)
        total = along + value[:, k]
        total = torch.where(total == 0, _EPS, total)
        kept.append(torch.where(own[:, k], along / total, 0))
        copied.append(torch.where(own[:, k], value[:, k] / total, 1))
        made.append(kept[-1] * made[-1] + copied[-1] * found[:, k])
    return _Mixture(cells, best[..., 0], *(torch.stack(p, 1) for p in (kept, copied, made)))


def _filled(x: Tensor, hole_mask: Tensor, mixture: _Mixture | None) -> Tensor:
    """x with its hole cells replaced, where any cell is known."""
    if mixture is None:
        return x
    places = mixture.cells[..., None].expand_as(mixture.made)
    replaced = (hole_mask & ~hole_mask.all(1, keepdim=True))[..., None]
    return torch.where(replaced, x.scatter(1, places, mixture.made), x)


class _PublishedGradient(torch.autograd.Function):
    """The layer with the backward pass of the published code, which stores its mixing matrix as
    integers: shares between -1 and 1 become 0, known cells pass the gradient on twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, hole_mask: Tensor) -> Tensor:
        mixture = _mix(x, hole_mask)
        ctx.mixture, ctx.hole_mask = mixture, hole_mask
        return _filled(x, hole_mask, mixture)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (g,) = gradients
        hole_mask, mixture = ctx.hole_mask, ctx.mixture
        some = ~hole_mask.all(1)[:, None, None]
        back = g * (~hole_mask)[..., None]
        if mixture is not None:
            own = hole_mask.gather(1, mixture.cells)[..., None]
            matrix = _mixing_matrix(mixture, hole_mask.shape[1]).trunc() * own
            back = back + matrix.transpose(1, 2) @ _rows(g, mixture.cells)
        return g + torch.where(some, back, 0), None


def _mixing_matrix(mixture: _Mixture, cells: int) -> Tensor:
    """Shares [B,K,N] of every cell in every hole cell."""
    b, count = mixture.best.shape
    single = mixture.copied.new_zeros(b, count, cells)
    single = single.scatter(2, mixture.best[..., None], mixture.copied)
    rows = [single[:, 0]]
    for k in range(1, count):
        rows.append(mixture.kept[:, k] * rows[-1] + single[:, k])
    return torch.stack(rows, 1)


class CoherentAttention(nn.Module):
    """The layer. gradient: "published", or "exact" for that of its forward pass."""

    def __init__(self, gradient: str = "published") -> None:
        super().__init__()
        if gradient not in GRADIENTS:
            raise ModelsError(f"CSA's gradient is {' or '.join(GRADIENTS)}, not {gradient!r}.")
        self.gradient = gradient

    def forward(self, features: Tensor, hole_mask: Tensor) -> Tensor:
        """features [B,C,h,w], hole_mask bool [B,1,h,w] → the same with hole cells replaced."""
        with torch.autocast(features.device.type, enabled=False):
            x, cells = features.float().flatten(2).transpose(1, 2), hole_mask.flatten(1)
            if self.gradient == "published" and torch.is_grad_enabled():
                out: Tensor = _PublishedGradient.apply(x, cells)
            else:
                out = _filled(x, cells, _mix(x, cells))
        made = out.transpose(1, 2).reshape(features.shape).to(features.dtype)
        return made.contiguous(memory_format=torch.channels_last)
