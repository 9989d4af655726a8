"""Residual blocks of TDANet, and what they fold into for serving."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.inpainting.tdanet.convolutions import SpectralConv, conv, conv3, reflection_pad, up_conv
from models.layers import to_features
from models.runtime.cpu.folding import fill
from models.runtime.norms import InstanceNorm
from models.runtime.precision import attend

SLOPE = 0.1
M = TypeVar("M", bound=nn.Module)


def activate(fresh: Tensor, slope: float = SLOPE) -> Tensor:
    """Leaky ReLU in place, for what a layer has just made and nobody else reads: large tensors
    cost more to allocate than to compute.
    """
    return functional.leaky_relu(fresh, slope, inplace=True)


def fold_blocks(module: M) -> M:
    """Replace every spectral layer inside ``module``, in place, by the plain one it amounts to,
    and every plain 3×3 convolution before a pooling by one with a stride. For serving: the same
    function up to rounding, in less time.
    """
    for name, child in module.named_children():
        if isinstance(child, SpectralConv):
            setattr(module, name, child.folded())
        else:
            fold_blocks(child)
    if isinstance(module, ResBlock):
        pooled = module.conv2  # of gated convolutions it is neither linear nor to be merged
        if module.down and isinstance(pooled, nn.Conv2d):
            module.conv2, module.down = _fold_pooling(pooled), False
    return module


def _fold_pooling(plain: nn.Conv2d) -> nn.Conv2d:
    """A 3×3 convolution and the 2×2 average pooling after it as one 4×4 convolution of stride 2:
    its kernel is the mean of the four shifts, 4 products per output pixel instead of 9.
    """
    merged = nn.Conv2d(plain.in_channels, plain.out_channels, 4, stride=2, padding=1)
    shifts = [(0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0)]
    kernels = [functional.pad(plain.weight.double(), shift) for shift in shifts]
    return fill(merged, torch.stack(kernels).mean(0), plain.bias, plain)


class PartlyConstantConv(nn.Module):
    """A convolution that keeps the size, of features whose channels after the first ``varying`` are
    the same everywhere, as a caption's are: for serving, the same function up to rounding.

    What the flat channels add depends on the border alone, so it is made once for a picture as
    small as the kernel, of which the middle is repeated.
    """

    def __init__(self, plain: nn.Conv2d, varying: int) -> None:
        super().__init__()
        self.varying = _input_slice(plain, slice(varying), bias=False)
        self.flat = _input_slice(plain, slice(varying, None), bias=True)

    def forward(self, x: Tensor) -> Tensor:
        a, kernel = self.varying.in_channels, self.flat.kernel_size[0]
        added = self.flat(x[:, a:, :kernel, :kernel])
        for dim in (2, 3):
            added = _repeat_middle(added, dim, x.shape[dim])
        return self.varying(x[:, :a]).add_(added)


def _input_slice(plain: nn.Conv2d, channels: slice, bias: bool) -> nn.Conv2d:
    """The convolution of these input channels alone."""
    weight = plain.weight[:, channels]
    b, a, kernel, _ = weight.shape
    part = nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=bias)
    return fill(part, weight, plain.bias if bias else None, plain)


def _repeat_middle(x: Tensor, dim: int, size: int) -> Tensor:
    """x with its middle repeated along ``dim``, to ``size``; a single one need not be."""
    if x.shape[dim] < 3:
        return x
    first, middle, last = x.split(1, dim)
    middle = middle.repeat_interleave(size - 2, dim)
    return torch.cat([first, middle, last], dim)


def fold_constant_channels(block: ResBlock, varying: int) -> None:
    """Let the convolutions of a folded ``block`` make use of input whose channels after the first
    ``varying`` are the same everywhere, in place.
    """
    for name in ("conv1", "bypass"):
        plain = block.get_submodule(name)
        if isinstance(plain, nn.Conv2d):
            setattr(block, name, PartlyConstantConv(plain, varying))


class ResBlock(nn.Module):
    """Activation before each of two convolutions; the shortcut sees the raw input. ``down`` halves
    the size. kind: see :func:`models.inpainting.tdanet.convolutions.conv3`; only the first is
    dilated.
    """

    of_pixels = False  # which are not activated

    def __init__(
        self,
        a: int,
        b: int,
        hidden: int,
        spectral: bool,
        down: bool = False,
        slope: float = SLOPE,
        kind: str = "plain",
    ) -> None:
        super().__init__()
        self.halves, self.slope = down, slope
        self.down = down  # False once folded: the second convolution has a stride then
        self.conv1 = conv3(kind, a, hidden, spectral)
        self.conv2 = conv3("plain" if kind == "dilated" else kind, hidden, b, spectral)
        self.bypass = conv(a, b, 1, spectral)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.of_pixels else functional.leaky_relu(x, self.slope))
        h = self.conv2(activate(h, self.slope))
        # Pooling and a 1×1 convolution commute; this order has a quarter of the work.
        shortcut: Tensor = self.bypass(functional.avg_pool2d(x, 2) if self.halves else x)
        return shortcut.add_(functional.avg_pool2d(h, 2) if self.down else h)


class FirstBlock(ResBlock):
    """Pixels to features at half the size. kind: "plain" or "gated"."""

    of_pixels = True

    def __init__(self, a: int, b: int, spectral: bool, kind: str = "plain") -> None:
        super().__init__(a, b, b, spectral, down=True, kind=kind)


class UpBlock(nn.Module):
    """Instance norm before each convolution, twice the size after."""

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.conv1 = conv(a, b, 3, spectral)
        self.conv2 = up_conv(b, b, spectral)
        self.bypass = up_conv(a, b, spectral)
        self.model = nn.ModuleDict(
            {"0": InstanceNorm(a, affine=True), "3": InstanceNorm(b, affine=True)}
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(activate(self.model["0"](x)))
        h = self.conv2(activate(self.model["3"](h)))
        shortcut: Tensor = self.bypass(x)
        return shortcut.add_(h)


class ToPixels(nn.Module):
    """Features to RGB in [-1,1], borders reflected."""

    def __init__(self, a: int, spectral: bool) -> None:
        super().__init__()
        self.conv1 = conv(a, 3, 3, spectral, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        x = reflection_pad(functional.leaky_relu(x, SLOPE), self.training)
        return torch.tanh(self.conv1(x))


class ContextAttention(nn.Module):
    """Short and long term attention (PICNet): in the decoder, and from known features."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.alpha = nn.Parameter(torch.zeros(1))
        self.query_conv = nn.Conv2d(channels, channels // 4, 1)
        # The one block of the network whose slope is torch's default.
        self.model = ResBlock(2 * channels, channels, channels, spectral, slope=0.01)

    def forward(self, x: Tensor, known: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """x [B,C,H,W]; known: encoder features of the same shape; mask [B,1,H,W], 1 = known."""
        c, h, w = x.shape[1:]
        query = self.query_conv(x).flatten(2)
        looked = x if known is None else torch.cat([x, known.to(x.dtype)], 1)
        spread = to_features(attend(query.transpose(1, 2), query, looked.flatten(2)), h, w)
        # Parameters of one number are float32, and so would be all that follows.
        own = (self.gamma * spread[:, :c] + x).to(x.dtype)
        if known is None or mask is None:
            return own
        carried = (self.alpha * (1 - mask) * spread[:, c:] + mask * known).to(x.dtype)
        return self.model(torch.cat([own, carried], 1))


class PartialConv(nn.Module):
    """A 3×3 convolution of the known pixels, times 9 / their number in the window (equation 1);
    where there are none the result is 0 and stays a hole (equation 2). Padding counts as hole.
    """

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.conv = conv(a, b, 3, spectral)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [B,a,H,W] → ([B,b,H,W], its mask)."""
        count = functional.avg_pool2d(mask, 3, stride=1, padding=1, divisor_override=1)
        known = (count > 0.5).to(mask.dtype)
        bias = cast("Tensor", self.conv.bias)[:, None, None]
        raw = self.conv(x * mask.to(x.dtype))
        out = (raw - bias) * (9 / count.clamp(min=1)) + bias
        return (out * known).to(raw.dtype), known


def halve_mask(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the known pixels of 2×2 blocks; a block without any becomes a hole of zeros."""
    share = functional.avg_pool2d(mask, 2)
    mean = functional.avg_pool2d(x * mask.to(x.dtype), 2) / share.clamp(min=0.25).to(x.dtype)
    return mean, (share > 0).to(mask.dtype)


class PartialBlock(nn.Module):
    """The residual block that halves the size, of partial convolutions. ``first``: x are pixels,
    without activation before the first convolution.
    """

    def __init__(self, a: int, b: int, hidden: int, spectral: bool, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.conv1 = PartialConv(a, hidden, spectral)
        self.conv2 = PartialConv(hidden, b, spectral)
        self.bypass = conv(a, b, 1, spectral)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [B,a,H,W] → ([B,b,H/2,W/2], its mask)."""
        h, known = self.conv1(x if self.first else functional.leaky_relu(x, SLOPE), mask)
        h, known = halve_mask(*self.conv2(activate(h), known))
        shortcut: Tensor = self.bypass(halve_mask(x, mask)[0])
        return shortcut + h, known
