"""Reflected borders."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.inpainting.tdanet.convolutions import reflection_pad


@pytest.mark.parametrize("side", [(5, 7), (8, 8), (2, 3)])
def test_training_agrees_with_torch(side: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *side).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    pull = torch.randn(2, 3, side[0] + 2, side[1] + 2)
    found, wanted = (
        reflection_pad(x, training=True),
        functional.pad(x, (1, 1, 1, 1), mode="reflect"),
    )
    assert torch.equal(found, wanted)
    assert found.is_contiguous(memory_format=torch.channels_last)
    mine, theirs = (torch.autograd.grad((y * pull).sum(), x)[0] for y in (found, wanted))
    torch.testing.assert_close(mine, theirs)
