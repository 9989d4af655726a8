"""Residual blocks of TDANet and its spectral normalisation.

Unlike torch's own, the normalisation flattens every weight on dimension 0, transposed convolutions
included, and does
one power iteration in each forward, in eval mode too. Keys as published:
``NAME.module.weight_{bar,u,v}``, ``bias``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import InstanceNorm

_EPS = 1e-12
SLOPE = 0.1


def _unit(x: Tensor) -> Tensor:
    return x / (x.norm() + _EPS)


class _Normalised(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach())
        rest = weight[0].numel()
        self.weight_u = nn.Parameter(_unit(torch.randn(weight.shape[0])), requires_grad=False)
        self.weight_v = nn.Parameter(_unit(torch.randn(rest)), requires_grad=False)
        self.weight_bar = nn.Parameter(weight.detach())


class SpectralConv(nn.Module):
    """A convolution, or with ``up`` a transposed one that doubles the size, of spectral norm
    one.
    """

    def __init__(self, plain: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        assert plain.bias is not None  # noqa: S101 (every layer of this network has one)
        self.module = _Normalised(plain.weight, plain.bias)
        self.up = isinstance(plain, nn.ConvTranspose2d)
        self.padding = int(plain.padding[0])

    def weight(self) -> Tensor:
        """The weight divided by its norm; keeps the iterated vectors in train mode only."""
        bar = self.module.weight_bar
        matrix = bar.flatten(1)
        with torch.autocast(bar.device.type, enabled=False):
            with torch.no_grad():
                v = _unit(matrix.T @ self.module.weight_u)
                u = _unit(matrix @ v)
            if not self.training:
                return bar / torch.dot(u, matrix @ v)
            # New storage behind the same parameters, as in the published training: a backward pass
            # of an earlier forward reads the latest vectors, too.
            self.module.weight_u.data, self.module.weight_v.data = u, v
            return bar / torch.dot(self.module.weight_u, matrix @ self.module.weight_v)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return functional.conv_transpose2d(
                x, self.weight(), self.module.bias, stride=2, padding=1, output_padding=1
            )
        return functional.conv2d(x, self.weight(), self.module.bias, padding=self.padding)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The plain layer that computes the same from the stored vectors."""
        weight = self.weight()
        plain: nn.Conv2d | nn.ConvTranspose2d
        if self.up:
            plain = _up_conv(weight.shape[0], weight.shape[1])
        else:
            b, a, k, _ = weight.shape
            plain = nn.Conv2d(a, b, k, padding=self.padding)
        plain.weight.copy_(weight)
        plain.bias.copy_(self.module.bias)  # type: ignore[union-attr]
        return plain.train(self.training)


def _activate(fresh: Tensor, slope: float = SLOPE) -> Tensor:
    """Leaky ReLU in place, for what a layer has just made and nobody else reads: large tensors
    cost more to allocate than to compute.
    """
    return functional.leaky_relu(fresh, slope, inplace=True)


def _up_conv(a: int, b: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)


def conv(a: int, b: int, kernel: int, spectral: bool, padding: int | None = None) -> nn.Module:
    """A convolution that keeps the size (or loses the border with padding 0)."""
    plain = nn.Conv2d(a, b, kernel, padding=kernel // 2 if padding is None else padding)
    return SpectralConv(plain) if spectral else plain


def up_conv(a: int, b: int, spectral: bool) -> nn.Module:
    """A transposed 3×3 convolution to twice the size."""
    plain = _up_conv(a, b)
    return SpectralConv(plain) if spectral else plain


def fold(module: nn.Module) -> nn.Module:
    """Replace every spectral layer inside ``module``, in place, by the plain one it amounts to,
    and every 3×3 convolution before a pooling by one with a stride. For serving: the same
    function up to rounding, in less time.
    """
    for name, child in module.named_children():
        if isinstance(child, SpectralConv):
            setattr(module, name, child.folded())
        else:
            fold(child)
    if isinstance(module, FirstBlock | ResBlock) and module.down:
        module.conv2, module.down = _strided(module.conv2), False
    return module


@torch.no_grad()
def _strided(plain: nn.Module) -> nn.Conv2d:
    """A 3×3 convolution and the 2×2 average pooling after it as one 4×4 convolution of stride 2:
    its kernel is the mean of the four shifts, 4 products per output pixel instead of 9.
    """
    assert isinstance(plain, nn.Conv2d)  # noqa: S101
    assert plain.bias is not None  # noqa: S101
    merged = nn.Conv2d(plain.in_channels, plain.out_channels, 4, stride=2, padding=1)
    shifts = [(0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0)]
    kernels = [functional.pad(plain.weight.double(), shift) for shift in shifts]
    merged.weight.copy_(torch.stack(kernels).mean(0))
    merged.bias.copy_(plain.bias)  # type: ignore[union-attr]
    return merged.train(plain.training)


class FirstBlock(nn.Module):
    """Pixels to features at half the size, without activation before the first convolution."""

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.down = True  # False once folded: the second convolution has a stride then
        self.conv1 = conv(a, b, 3, spectral)
        self.conv2 = conv(b, b, 3, spectral)
        self.bypass = conv(a, b, 1, spectral)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(_activate(self.conv1(x)))
        shortcut: Tensor = self.bypass(functional.avg_pool2d(x, 2))
        return shortcut.add_(functional.avg_pool2d(h, 2) if self.down else h)


class ResBlock(nn.Module):
    """Activation before each of two convolutions; the shortcut sees the raw input. ``down`` halves
    the size.
    """

    def __init__(
        self,
        a: int,
        b: int,
        hidden: int,
        spectral: bool,
        down: bool = False,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.halves, self.slope = down, slope
        self.down = down  # False once folded: the second convolution has a stride then
        self.conv1 = conv(a, hidden, 3, spectral)
        self.conv2 = conv(hidden, b, 3, spectral)
        self.bypass = conv(a, b, 1, spectral)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(functional.leaky_relu(x, self.slope))
        h = self.conv2(_activate(h, self.slope))
        # Pooling and a 1×1 convolution commute; this order has a quarter of the work.
        shortcut: Tensor = self.bypass(functional.avg_pool2d(x, 2) if self.halves else x)
        return shortcut.add_(functional.avg_pool2d(h, 2) if self.down else h)


class UpBlock(nn.Module):
    """Instance norm before each convolution, twice the size after. Norm keys: ``model.0``,
    ``model.3``.
    """

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.conv1 = conv(a, b, 3, spectral)
        self.conv2 = up_conv(b, b, spectral)
        self.bypass = up_conv(a, b, spectral)
        self.model = nn.ModuleDict(
            {"0": InstanceNorm(a, affine=True), "3": InstanceNorm(b, affine=True)}
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(_activate(self.model["0"](x)))
        h = self.conv2(_activate(self.model["3"](h)))
        shortcut: Tensor = self.bypass(x)
        return shortcut.add_(h)


class ToPixels(nn.Module):
    """Features to RGB in [-1,1], borders reflected."""

    def __init__(self, a: int, spectral: bool) -> None:
        super().__init__()
        self.conv1 = conv(a, 3, 3, spectral, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(functional.leaky_relu(x, SLOPE), (1, 1, 1, 1), mode="reflect")
        return torch.tanh(self.conv1(x))


class ContextAttention(nn.Module):
    """Short and long term attention (PICNet): within the decoder, and from known encoder features
    into the hole.
    """

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.alpha = nn.Parameter(torch.zeros(1))
        self.query_conv = nn.Conv2d(channels, channels // 4, 1)
        # The one block of the network whose slope is torch's default.
        self.model = ResBlock(2 * channels, channels, channels, spectral, slope=0.01)

    def forward(self, x: Tensor, known: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """x [B,C,H,W]; known: encoder features of the same shape; mask [B,1,H,W], 1 = known."""
        b, c, h, w = x.shape
        query = self.query_conv(x).flatten(2)
        attention = torch.softmax((query.transpose(1, 2) @ query).float(), 2).to(x.dtype)

        looked = x if known is None else torch.cat([x, known], 1)
        spread = (looked.flatten(2) @ attention.transpose(1, 2)).view(b, -1, h, w)
        own = self.gamma * spread[:, :c] + x
        if known is None or mask is None:
            return own
        carried = self.alpha * (1 - mask) * spread[:, c:] + mask * known
        out: Tensor = self.model(torch.cat([own, carried], 1))
        return out
