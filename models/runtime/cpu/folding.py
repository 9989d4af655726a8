"""Layers merged into others that compute the same with fewer products, which is time on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL = 32  # side up to which the CPU's transposed convolutions may add up by batch size


class SubpixelDoubling(nn.Module):
    """A transposed 4×4 convolution that doubles the size, as a 2×2 convolution that makes four
    pixels at once (Shi et al. 2016): the same products in another order.

    With several threads the CPU's transposed convolutions of small maps give a picture other last
    bits alone than in a batch, its convolutions do not (see
    :func:`models.runtime.precision.batch_invariant_linear`).
    """

    @torch.no_grad()
    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        a, b = transposed.in_channels, transposed.out_channels
        self.four = nn.Conv2d(a, 4 * b, 2, padding=1, bias=transposed.bias is not None)
        # Pixel p of two comes from the kernel's rows p and p + 2, the nearer input last.
        kernel = transposed.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)
        self.four.weight.copy_(kernel.permute(3, 5, 1, 0, 2, 4).reshape(4 * b, a, 2, 2))
        if transposed.bias is not None and self.four.bias is not None:
            self.four.bias.copy_(transposed.bias.repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.four(x).permute(0, 2, 3, 1).unflatten(3, (2, 2, -1)).transpose(2, 3)
        return pixels.flatten(3, 4).flatten(1, 2)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def fold_doubling(plain: nn.Conv2d, side: int | None = None) -> nn.Module:
    """Nearest upsampling by two and a 3×3 convolution that keeps the size, as one layer: the same
    function up to rounding with 4 products per output pixel instead of 9. side: of its input, if
    known and always the same.
    """
    transposed = _transpose(plain)
    if side is None or side > _SMALL:
        return transposed
    return SubpixelDoubling(transposed).train(plain.training)


@torch.no_grad()
def _transpose(plain: nn.Conv2d) -> nn.ConvTranspose2d:
    """A pixel made of two rows of equal pixels sees the sum of their two kernel rows."""
    merged = nn.ConvTranspose2d(
        plain.in_channels, plain.out_channels, 4, stride=2, padding=1, bias=plain.bias is not None
    )
    rows = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)
    kernel = torch.einsum("ik,bakl,jl->abij", rows, plain.weight.double(), rows)
    merged.weight.copy_(kernel)
    if plain.bias is not None and merged.bias is not None:
        merged.bias.copy_(plain.bias)
    return merged.train(plain.training)


class FusedPointwise(nn.Module):
    """Two 3×3 convolutions that keep the size, with nothing between them, as one 5×5: the same
    function up to rounding. ``saves`` says where that is less work.

    The second convolution sees zeros beyond the border, where one convolution would go on with the
    first. So the outermost pixels are made by the two, from strips of three.
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        assert first.bias is None  # noqa: S101 (it would not reach beyond the border either)
        self.two = nn.Sequential(first, second)
        self.one = _merge(first, second)

    @staticmethod
    def saves(first: nn.Conv2d, *seconds: nn.Conv2d) -> bool:
        """Whether the products of ``seconds`` after one ``first`` become fewer by a quarter."""
        a, hidden, b = first.in_channels, first.out_channels, sum(s.out_channels for s in seconds)
        return 25 * a * b < 0.75 * 9 * (a * hidden + hidden * b)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.one(x)
        out[:, :, :1] = self.two(x[:, :, :3])[:, :, :1]
        out[:, :, -1:] = self.two(x[:, :, -3:])[:, :, -1:]
        out[..., :1] = self.two(x[..., :3])[..., :1]
        out[..., -1:] = self.two(x[..., -3:])[..., -1:]
        return out


@torch.no_grad()
def _merge(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """The 5×5 convolution of two 3×3 ones: every kernel of the second smeared by the first's."""
    merged = nn.Conv2d(
        first.in_channels, second.out_channels, 5, padding=2, bias=second.bias is not None
    )
    smear = first.weight.double().transpose(0, 1).flip(2, 3)
    merged.weight.copy_(functional.conv2d(second.weight.double(), smear, padding=2))
    if second.bias is not None and merged.bias is not None:
        merged.bias.copy_(second.bias)
    return merged.train(second.training)
