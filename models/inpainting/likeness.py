"""How like the truth a fill is: what its pixels weigh, and what each of them shows."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from models.training.drawings import small_things

_CLOSEST = 1e-5  # difference of two fills from which they are no nearer


def pixel_weights(mask: Tensor, hole: float, labels: Tensor | None, small: float) -> Tensor:
    """What each pixel weighs, float32 [B,1,S,S] of mean 1 in each picture: one of the hole (mask 0)
    ``hole`` more than a known one, of these one of a small thing ``small`` times as much again.
    """
    weight = 1 - mask
    if labels is not None:
        weight = weight * (1 + small * small_things(labels))
    weight = 1 + hole * weight
    return weight / weight.mean((1, 2, 3), keepdim=True)


def label_loss(logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of logits [B,L,S,S] with labels int64 [B,S,S], over the pixels counted
    [B,1,S,S].
    """
    each = functional.cross_entropy(logits.float(), labels, reduction="none") * counted[:, 0]
    return each.sum() / counted.sum().clamp(min=1)


def seeking_loss(
    pictures: tuple[Tensor, Tensor],
    latents: tuple[Tensor, Tensor],
    hole: Tensor,
    counted: Tensor,
) -> Tensor:
    """How far apart two latents [B,z,h,w] are for each unit that their pictures [B,3,S,S] differ in
    the hole [B,1,S,S] (mode seeking, Mao et al. 2019, equation 3): fills that ignore their latent
    make it large. The mean over the pictures counted [B] (1 or 0), 0 where none is.
    """
    one, two = pictures
    apart = ((one - two).abs() * hole).sum((1, 2, 3)) / (hole.sum((1, 2, 3)) * 3).clamp(min=1)
    drawn = (latents[0] - latents[1]).abs().mean((1, 2, 3)).detach()
    each = (drawn / (apart + _CLOSEST)).clamp(max=1e3)
    return (each * counted).sum() / counted.sum().clamp(min=1)
