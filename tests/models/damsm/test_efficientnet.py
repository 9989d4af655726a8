"""The trunk of the compact encoders."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite0, SameConv2d


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(8, 8), (7, 8), (9, 6), (3, 3)])
def test_same_padding_gives_the_odd_pixel_to_the_right_and_below(
    kernel: int, stride: int, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = SameConv2d(4, 4, kernel, stride, groups=4)
    x = torch.randn(2, 4, *shape)
    windows = [-(-side // stride) for side in shape]
    missing = [
        max((n - 1) * stride + kernel - side, 0) for n, side in zip(windows, shape, strict=True)
    ]
    pads = [half for total in reversed(missing) for half in (total // 2, -(-total // 2))]
    wanted = functional.conv2d(functional.pad(x, pads), conv.weight, stride=stride, groups=4)
    made = conv(x)
    assert list(made.shape[2:]) == windows
    torch.testing.assert_close(made, wanted)


def test_a_trunk_leaves_its_pictures_and_what_is_tapped_as_they_are() -> None:
    torch.manual_seed(0)
    trunk = EfficientNetLite0(5).eval()
    pictures = torch.rand(1, 3, 64, 64) * 2 - 1
    before = pictures.clone()
    stem, taps = trunk.stem(pictures), trunk(pictures, (0, 2, 5))
    kept = {k: tap.clone() for k, tap in taps.items()}
    assert torch.equal(trunk.stem(pictures), stem)
    assert torch.equal(pictures, before)
    for k in (0, 2, 5):
        assert torch.equal(trunk(pictures, (k,))[k], kept[k])
        assert torch.equal(taps[k], kept[k])


def test_gradients_pass_through() -> None:
    trunk = EfficientNetLite0(3)
    pictures = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
    trunk(pictures, (3,))[3].sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
