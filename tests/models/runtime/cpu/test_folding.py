"""Networks folded for serving compute what they were before."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.inception import InceptionImageEncoder
from models.inpainting.tdanet.blocks import PartlyConstantConv
from models.layers import fold_batch_norm, to_features
from models.manipulation.manigan.blocks import AffineCombination, up_block
from models.manipulation.manigan.blocks import fold_blocks as fold_upsampling
from models.runtime.cpu.folding import FusedPointwise, SubpixelDoubling, fold_doubling
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig, fold_generator


def used(module: nn.Module) -> None:
    """Statistics as after training."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_upsampling_becomes_part_of_a_convolution(bias: bool, size: tuple[int, int]) -> None:
    plain = nn.Conv2d(3, 5, 3, padding=1, bias=bias)
    x = torch.randn(2, 3, *size)
    wanted = plain(functional.interpolate(x, scale_factor=2, mode="nearest"))
    for side in (None, 8, 64):
        assert torch.allclose(fold_doubling(plain, side)(x), wanted, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3), (9, 7)])
def test_two_convolutions_become_one_up_to_the_border(bias: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(3, 7, 3, padding=1, bias=False)
    second = nn.Conv2d(7, 5, 3, padding=1, bias=bias)
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        assert torch.allclose(FusedPointwise(first, second)(x), second(first(x)), atol=1e-5)


@pytest.mark.parametrize(("hidden", "chained"), [(32, True), (4, False)])
def test_affine_combinations_are_chained_where_that_is_less_work(
    hidden: int, chained: bool
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(AffineCombination(6, 4, hidden)).eval()
    x, photo = torch.randn(2, 6, 8, 8), torch.randn(2, 4, 8, 8)
    with torch.inference_mode():
        wanted = network[0](x, photo)
        found = fold_upsampling(network)[0](x, photo)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert any(isinstance(m, FusedPointwise) for m in network.modules()) == chained
    assert fold_upsampling(network) is network  # once more changes nothing
    with torch.inference_mode():
        assert torch.equal(network[0](x, photo), found)


def test_features_of_one_picture_are_seen_to_be_channels_last() -> None:
    rows = torch.arange(24.0).reshape(1, 8, 3)
    features = to_features(rows, 2, 4)
    assert torch.equal(features, rows.transpose(1, 2).reshape(1, 3, 2, 4))
    beside = torch.cat([features, features.contiguous(memory_format=torch.channels_last)], 1)
    assert beside.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (4, 7)])
def test_what_is_the_same_everywhere_is_convolved_once(kernel: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(7, 5, kernel, padding=kernel // 2)
    flat = torch.randn(2, 4, 1, 1).expand(-1, -1, *size)
    x = torch.cat([torch.randn(2, 3, *size), flat], 1)
    with torch.inference_mode():
        assert torch.allclose(PartlyConstantConv(plain, 3)(x), plain(x), atol=1e-5)


@pytest.mark.parametrize("spectral", [True, False])
def test_a_folded_generator_paints_the_same(spectral: bool) -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(8, (2, 2, 1, 1), 8, 16, 8, spectral)).eval()
    used(generator)
    z, sentence = torch.randn(3, 8), torch.randn(3, 16)
    with torch.inference_mode():
        wanted = generator(z, sentence)
        found = fold_generator(generator)(z, sentence)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert any(isinstance(m, SubpixelDoubling) for m in generator.modules())
    assert fold_generator(generator) is generator  # once more changes nothing
    with torch.inference_mode():
        assert torch.equal(generator(z, sentence), found)


def test_up_blocks_are_folded_where_they_double() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(up_block(4, 4, 17), up_block(4, 2)).eval()
    x = torch.randn(2, 4, 5, 5)
    with torch.inference_mode():
        wanted = network(x)
        found = fold_upsampling(network)(x)
    assert torch.allclose(found, wanted, atol=1e-5)
    kinds = [type(block[1]) for block in network]
    assert kinds == [nn.Conv2d, nn.ConvTranspose2d]


@pytest.mark.parametrize(
    ("network", "kept"),
    [
        (CompactImageEncoder(CompactEncoderConfig(32, (2, 4), 8, 16)), 1),
        (InceptionImageEncoder(), 0),
    ],
)
def test_batch_norms_become_part_of_convolutions(network: nn.Module, kept: int) -> None:
    torch.manual_seed(0)
    used(network.eval())
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        wanted = network(x)
        found = fold_batch_norm(network)(x)
    for a, b in zip(wanted, found, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().max()))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == kept
