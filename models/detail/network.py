"""A compact network that enlarges pictures: all of its work is done at the small size, then each
pixel becomes a block (sub-pixel convolution, Shi et al. 2016).

What it learns is the difference to bicubic enlargement (Kim et al. 2016); it starts as none. Where
feathers or leaves have grain that a small picture can't hold, it has to come from somewhere: planes
of noise beside the picture, always the same, so that a picture is enlarged the same way each time.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import conv
from models.runtime.precision import autocast_disabled

_SLOPE = 0.1
_LITTLE = 0.02  # standard deviation of weights
_NOISE_SIDE = 128  # pixels after which the planes repeat


@dataclass(frozen=True)
class DetailConfig:
    """width: channels; depth: convolutions between first and last; scale: of the side; noise:
    planes of noise beside the picture.
    """

    width: int = 48
    depth: int = 12
    scale: int = 4
    noise: int = 0


class DetailNetwork(nn.Module):
    """Pictures [B,3,H,W] in about [-1,1] to [B,3,scale·H,scale·W]."""

    planes: Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        widths = [3 + config.noise, *[config.width] * (config.depth + 1)]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            conv = nn.Conv2d(a, b, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            layers += [conv, nn.LeakyReLU(_SLOPE, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.blocks = nn.Conv2d(config.width, 3 * config.scale**2, 3, padding=1)
        nn.init.zeros_(self.blocks.weight)
        nn.init.zeros_(self.blocks.bias)  # type: ignore[arg-type]

        planes = torch.randn(
            1, config.noise, _NOISE_SIDE, _NOISE_SIDE, generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer("planes", planes, persistent=False)

    def add_planes(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a network with fewer planes of noise, the further ones at little weight."""
        first = state["body.0.weight"]
        more = 3 + self.config.noise - first.shape[1]
        source = torch.Generator().manual_seed(1)
        grown = torch.randn(len(first), max(0, more), 3, 3, generator=source)
        return {**state, "body.0.weight": torch.cat([first, _LITTLE * grown.to(first)], 1)}

    def forward(self, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """noise: normal [B,noise,H,W] instead of the network's own, while it is trained."""
        stacked = pictures
        if self.config.noise:
            noise = self._noise(pictures) if noise is None else noise
            stacked = torch.cat([pictures, noise.to(pictures)], 1)
        change = functional.pixel_shuffle(self.blocks(self.body(stacked)), self.config.scale)
        return enlarge(pictures, self.config.scale) + change

    def _noise(self, pictures: Tensor) -> Tensor:
        b, _, height, width = pictures.shape
        down, across = -(-height // _NOISE_SIDE), -(-width // _NOISE_SIDE)
        tiled = self.planes.repeat(1, 1, down, across)[:, :, :height, :width]
        return tiled.expand(b, -1, -1, -1)


def enlarge(pictures: Tensor, scale: int) -> Tensor:
    """Pictures [B,3,H,W] enlarged bicubically, float32."""
    if pictures.device.type == "cpu" and not torch.is_grad_enabled():
        height, width = pictures.shape[2:]
        with autocast_disabled(pictures):
            wide = pictures.float().contiguous() @ _rows(width, scale).T
            return (_rows(height, scale) @ wide).contiguous(memory_format=torch.channels_last)
    return _bicubic(pictures.float(), scale, scale)


def _bicubic(pictures: Tensor, down: float, across: float) -> Tensor:
    return functional.interpolate(
        pictures, scale_factor=(down, across), mode="bicubic", align_corners=False
    )


@functools.cache
def _rows(side: int, scale: int) -> Tensor:
    """What makes enlarged columns of columns [side]: [scale·side,side]. Products with it take a CPU
    a quarter of the time that torch's kernel does.
    """
    return _bicubic(torch.eye(side)[None, None], scale, 1)[0, 0]


_DISCRIMINATOR_LEAK = 0.2


class PatchDiscriminator(nn.Module):
    """Pictures [B,3,H,W] in [-1,1] and their blurred selves, of the same shape, to a map of
    realness [B,1,H/8,W/8]. It sees the difference, so detail is all that it can go by; what is
    beside that detail it sees too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(24, width, 3, spectral=True)
        self.middle = nn.ModuleList([conv(width, width, 3, spectral=True) for _ in range(2)])
        self.last = conv(width, 1, 1, spectral=True)

    def forward(self, pictures: Tensor, soft: Tensor) -> Tensor:
        pairs = functional.pixel_unshuffle(torch.cat([4 * (pictures - soft), soft], 1), 2)
        h = functional.leaky_relu(self.first(pairs), _DISCRIMINATOR_LEAK)
        for layer in self.middle:
            h = functional.leaky_relu(layer(functional.avg_pool2d(h, 2)), _DISCRIMINATOR_LEAK)
        out: Tensor = self.last(h)
        return out.float()
