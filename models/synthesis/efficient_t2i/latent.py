"""Noise in the shapes that pictures vary in (BigGAN, Brock et al. 2019, appendix E, tries several).

A bird faces left or right and nothing in between. Where a continuous number decides which, a
generator also draws what lies between: a bird with two heads. So such a number is a sign, and a
colour that no caption names is a choice.

A latent is written as comma separated groups: ``s3`` are three signs, ``u9`` nine uniforms, ``c10``
one choice of ten, ``n5`` five normals as they are; ``6c10`` is six such choices. Every number that
a group makes has mean 0 and variance 1.
"""

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import ModelsError

_GROUP = re.compile(r"(\d*)([sucn])(\d+)")


def _sign(z: Tensor) -> Tensor:
    hard = torch.where(z > 0, 1.0, -1.0).to(z.dtype)
    if not z.requires_grad:
        return hard
    soft = torch.tanh(z)  # whose slope stands for the sign's, which has none
    return soft + (hard - soft).detach()


def _choice(z: Tensor) -> Tensor:
    return standardise(functional.one_hot(z.argmax(1), z.shape[1]).to(z.dtype))


_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "s": _sign,
    "u": lambda z: torch.erf(z / math.sqrt(2)) * math.sqrt(3),
    "c": _choice,
    "n": lambda z: z,
}


def groups(latent: str) -> list[tuple[str, int]]:
    """(kind, width) of each group. Raises ModelsError for what is no group."""
    found = []
    for text in latent.split(","):
        group = _GROUP.fullmatch(text.strip())
        if group is None:
            raise ModelsError(f"A latent has groups like s1, u9, n5 or 6c10, not {text!r}.")
        found += [(group[2], int(group[3]))] * int(group[1] or 1)
    return found


def width(latent: str) -> int:
    """How many numbers the groups take."""
    return sum(count for _, count in groups(latent))


def shape_noise(z: Tensor, latent: str) -> Tensor:
    """z [B,n] ~ N(0,1) → [B,n] in the shapes of ``latent``; an empty one leaves it."""
    if not latent:
        return z
    kinds = groups(latent)
    parts = z.split([count for _, count in kinds], 1)
    return torch.cat([_SHAPES[kind](x) for (kind, _), x in zip(kinds, parts, strict=True)], 1)


def scale_noise(z: Tensor, latent: str, scale: float) -> Tensor:
    """z [B,n] ~ N(0,1) before it gets its shapes, nearer to the middle for a scale below 1
    (truncation; BigGAN, section 3.1, resamples instead). Signs and choices have no middle and stay.
    """
    if not latent:
        return z * scale
    kinds = groups(latent)
    factors = [1.0 if kind in "sc" else scale for kind, count in kinds for _ in range(count)]
    return z * torch.tensor(factors, dtype=z.dtype)


def standardise(chosen: Tensor) -> Tensor:
    """One-hot rows [...,n] with mean 0 and variance 1 over uniform choices."""
    share = 1 / chosen.shape[-1]
    return (chosen - share) / math.sqrt(share * (1 - share))
