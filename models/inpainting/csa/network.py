"""CSA's two U-Nets: the coarse one fills the hole, the refined one looks at what it filled through
the coherent semantic attention layer. Masks are 1 = known; keys as published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from models.inpainting.csa.attention import CoherentAttention, hole_cells
from models.runtime.norms import ExactInstanceNorm

ATTENTIVE = 3  # the level whose features, of an eighth of the size, the layer replaces
# What the coarse network sees in the hole, as published: means of ImageNet, red and blue swapped.
_FILL = tuple(2 * level / 255 - 1 for level in (123, 104, 117))


@dataclass(frozen=True)
class CsaConfig:
    """width: channels of the first level (ngf); levels: halvings down to one cell, so that pictures
    have 2^levels pixels a side. Defaults are the published network.
    """

    width: int = 64
    levels: int = 8

    @property
    def widths(self) -> list[int]:
        """Channels after each level."""
        return [self.width * min(2**k, 8) for k in range(self.levels)]


class Probe(nn.Identity):
    """A place whose features training looks at."""


class Level(nn.Module):
    """One level of a U-Net with all below it; its output goes beside its input."""

    def __init__(self, layers: Sequence[nn.Module], outermost: bool = False) -> None:
        super().__init__()
        self.model, self.outermost = nn.Sequential(*layers), outermost

    def forward(self, x: Tensor, hole_mask: Tensor, probes: list[Tensor] | None = None) -> Tensor:
        """hole_mask bool [B,1,S/8,S/8]; probes: takes what the probes see."""
        out = x
        for layer in self.model:
            if isinstance(layer, Level):
                out = layer(out, hole_mask, probes)
            else:
                out = layer(out, hole_mask) if isinstance(layer, CoherentAttention) else layer(out)
            if probes is not None and isinstance(layer, Probe):
                probes.append(out)
        return out if self.outermost else torch.cat([out, x], 1)


_down = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
_up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
_norm = partial(ExactInstanceNorm, affine=True)
_leaky = partial(nn.LeakyReLU, 0.2)


def _dilated(a: int) -> nn.Conv2d:
    return nn.Conv2d(a, a, 4, stride=2, padding=3, dilation=2)


class CoarseNetwork(nn.Module):
    """Pictures with a filled hole to a first fill (``netP``)."""

    def __init__(self, config: CsaConfig) -> None:
        super().__init__()
        widths = config.widths
        a, b = widths[-2:]
        level = Level([_leaky(), _down(a, b), nn.ReLU(), _up(b, a), _norm(a)])
        for k in range(config.levels - 2, 0, -1):
            a, b = widths[k - 1 : k + 1]
            down = [_leaky(), _down(a, b), _norm(b)]
            level = Level([*down, level, nn.ReLU(), _up(2 * b, a), _norm(a)])
        a = config.width
        ends = [nn.ReLU(), _up(2 * a, 3), nn.Tanh()]
        self.model = Level([_down(3, a), level, *ends], outermost=True)

    def forward(self, images: Tensor) -> Tensor:
        """[B,3,S,S] in [-1,1], see :func:`coarse_input`, to the same."""
        return self.model(images, images)


class RefineNetwork(nn.Module):
    """The first fill beside the known pixels to the refined picture (``netG``)."""

    def __init__(self, config: CsaConfig, gradient: str = "published") -> None:
        super().__init__()
        widths = config.widths
        a = widths[-1]
        level = Level([_leaky(), _dilated(a), nn.ReLU(), _up(a, a), _norm(a)])
        for k in range(config.levels - 1, 0, -1):
            a, b = widths[k - 1 : k + 1]
            first = [_leaky(), _dilated(a), _norm(a), _leaky(), nn.Conv2d(a, b, 3, padding=1)]
            last = [nn.ReLU(), nn.ConvTranspose2d(2 * b, a, 3, padding=1), _norm(a)]
            last += [nn.ReLU(), _up(a, a), _norm(a)]
            if k == ATTENTIVE:
                attention = [CoherentAttention(gradient), Probe(), _norm(b)]
                level = Level([*first, *attention, level, Probe(), *last])
            else:
                level = Level([*first, _norm(b), level, *last])
        a = config.width
        ends = [nn.ReLU(), nn.ConvTranspose2d(2 * a, 3, 3, padding=1)]
        self.model = Level([nn.Conv2d(6, a, 3, padding=1), level, *ends], outermost=True)

    def forward(
        self, given: Tensor, hole_mask: Tensor, probes: list[Tensor] | None = None
    ) -> Tensor:
        """given [B,6,S,S], see :func:`refine_input`; hole_mask float32 [B,1,S,S], 1 = hole →
        [B,3,S,S], not bounded. probes: takes the features [B,C,S/8,S/8] after the layer and, of as
        many channels more, those on the way up.
        """
        return self.model(given, hole_cells(hole_mask), probes)


def coarse_input(images: Tensor, mask: Tensor) -> Tensor:
    """images [B,3,S,S] in [-1,1] with the published colour where mask [B,1,S,S] is 0."""
    colour = torch.cat([torch.full_like(mask, level) for level in _FILL], 1)
    return mask * images + (1 - mask) * colour


def refine_input(images: Tensor, mask: Tensor, coarse: Tensor) -> Tensor:
    """The coarse fill in the photo, and the photo with zeros in its hole [B,6,S,S]."""
    known = mask * images
    return torch.cat([known + (1 - mask) * coarse, known], 1)
