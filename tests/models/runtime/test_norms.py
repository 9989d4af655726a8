"""Norms: what training computes in bfloat16 is what torch's kernels compute in float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.runtime.norms import InstanceNorm


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
