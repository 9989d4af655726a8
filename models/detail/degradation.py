"""What the pictures of a small generator lack beside size: they are softer than real ones and
slightly spotted. Training pairs real pictures with such versions of themselves (in the manner of
Zhang et al. 2021, "Designing a Practical Degradation Model", weaker).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.training.noise import Noise

_KERNEL = 5  # pixels of the blur
_NO_BLUR = 0.05  # standard deviation in pixels that leaves a picture as it is


@dataclass(frozen=True)
class Degradation:
    """Bounds that each picture's own values are drawn under, uniformly; half of the pictures get
    none of a kind. blur: standard deviation in small pixels; grain, spots: standard deviation of
    noise, by pixel and by four pixels, colours in [-1,1].
    """

    blur: float = 0.9
    grain: float = 0.03
    spots: float = 0.03


def degrade(pictures: Tensor, scale: int, bounds: Degradation, noise: Noise) -> Tensor:
    """Small versions [B,3,H/scale,W/scale] in [-1,1] of pictures [B,3,H,W], in 8-bit steps."""
    small = functional.avg_pool2d(pictures, scale)
    height, width = small.shape[-2:]
    small = _blur(small, _draw(noise, "blur", bounds.blur).clamp_min(_NO_BLUR))
    strength = _draw(noise, "grain", bounds.grain)[:, None, None, None]
    small = small + strength * noise.normal("grain", 3, height, width)
    cells = noise.normal("spots", 3, -(-height // 2), -(-width // 2))
    spots = functional.interpolate(cells, (height, width), mode="bilinear", align_corners=False)
    small = small + _draw(noise, "spots", bounds.spots)[:, None, None, None] * spots
    return ((small.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def recolour(pictures: Tensor, noise: Noise) -> Tensor:
    """Pictures [B,3,H,W] in [-1,1], each with its own gain and shift by channel: what is learned of
    edges should hold for any colour.
    """
    gain = 1 + 0.2 * (2 * noise.uniform("gain", 3, 1, 1) - 1)
    shift = 0.2 * (2 * noise.uniform("shift", 3, 1, 1) - 1)
    return (pictures * gain + shift).clamp(-1, 1)


def _draw(noise: Noise, name: str, bound: float) -> Tensor:
    """float32 [B]: zero for half of the pictures, for others up to ``bound``."""
    drawn = noise.uniform(f"{name} by picture", 2)
    return bound * drawn[:, 0] * (drawn[:, 1] < 0.5)


def _blur(pictures: Tensor, deviations: Tensor) -> Tensor:
    """Each picture under a Gaussian of its own standard deviation [B]."""
    b, channels, height, width = pictures.shape
    places = torch.arange(_KERNEL, device=pictures.device) - _KERNEL // 2
    line = torch.exp(-(places**2) / (2 * deviations[:, None] ** 2))
    line = line / line.sum(1, keepdim=True)
    kernels = (line[:, :, None] * line[:, None]).repeat_interleave(channels, 0)[:, None]
    edge = _KERNEL // 2
    padded = functional.pad(pictures, (edge, edge, edge, edge), mode="replicate")
    flat = padded.reshape(1, b * channels, *padded.shape[-2:])
    out = functional.conv2d(flat, kernels, groups=b * channels)
    return out.view(b, channels, height, width)
