"""Norms: what training computes in bfloat16 is what torch's kernels compute in float32."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.runtime.norms import GroupNorm, InstanceNorm


def _gradients(module: nn.Module, x: Tensor, pull: Tensor) -> tuple[Tensor, ...]:
    x = x.clone().requires_grad_(True)
    made = module(x)
    asked = [x, *module.parameters()]
    return made, *torch.autograd.grad((made.float() * pull).sum(), asked)


def _norms() -> list[nn.GroupNorm]:
    affine = InstanceNorm(6, affine=True)
    with torch.no_grad():
        affine.weight.uniform_(0.5, 1.5)
        affine.bias.normal_()
    return [affine, InstanceNorm(6)]


@pytest.mark.parametrize("side", [8, 32])
@pytest.mark.parametrize("which", range(2), ids=["affine", "plain"])
def test_bfloat16_training_agrees_with_float32(which: int, side: int) -> None:
    torch.manual_seed(0)
    norm = _norms()[which]
    # Values that bfloat16 holds exactly, off centre, so that only the norm itself rounds.
    x = (torch.randn(4, 6, side, side) * (0.3 + torch.rand(4, 6, 1, 1)) + 0.5).bfloat16()
    pull = torch.randn(4, 6, side, side).bfloat16().float()
    exact = _gradients(norm, x.float(), pull)
    fast = _gradients(norm, x.contiguous(memory_format=torch.channels_last), pull)
    assert fast[0].dtype == torch.bfloat16
    assert fast[0].is_contiguous(memory_format=torch.channels_last)
    for found, wanted in zip(fast, exact, strict=True):
        assert (found.float() - wanted).norm() < 0.02 * wanted.norm()


def test_flat_features_give_no_infinite_gradient() -> None:
    x = torch.full((2, 6, 8, 8), 3.0).bfloat16()
    for norm in _norms():
        found = _gradients(norm, x, torch.randn(2, 6, 8, 8))
        assert all(torch.isfinite(value).all() for value in found)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("side", [8, 32, 64])
def test_a_served_picture_is_normed_to_the_same_bits_in_any_batch(
    two_threads: None, side: int, dtype: torch.dtype
) -> None:
    x = torch.randn(6, 64, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    norm = InstanceNorm(64).eval()
    whole = norm(x)
    assert all(
        torch.equal(norm(row), made) for row, made in zip(x.split(1), whole.split(1), strict=True)
    )
    assert torch.allclose(whole.float(), functional.instance_norm(x.float()), atol=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", [InstanceNorm(16, affine=True), GroupNorm(1, 16)])
def test_cuda_norms_what_the_cpu_does_and_keeps_dtype_and_format(
    norm: nn.GroupNorm, dtype: torch.dtype
) -> None:
    x = (torch.randn(3, 16, 20, 20) + 2).to(dtype).contiguous(memory_format=torch.channels_last)
    wanted = nn.GroupNorm.forward(norm, x.float())
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        found = norm.to("cuda")(x.to("cuda"))
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found.float().cpu(), wanted, atol=0.03)
