from __future__ import annotations

import torch
from torch import nn

from models.layers import conv
from models.training.ema import Average


def test_parameters_are_averaged_once_warmed_up() -> None:
    live = nn.Linear(2, 1)
    average = Average(live, decay=0.9)
    before = average.module.weight.clone()
    with torch.no_grad():
        live.weight.add_(1)
    average.update(live, step=1000)
    torch.testing.assert_close(average.module.weight, before + 0.1)


def test_buffers_are_copied() -> None:
    """Spectral norms keep unit vectors; a mean of two is shorter than either."""
    torch.manual_seed(0)
    live = nn.Sequential(conv(3, 4, 3, spectral=True), nn.BatchNorm2d(4))
    average = Average(live, decay=0.9)
    for step in range(5):
        live(torch.randn(2, 3, 8, 8))
        average.update(live, step=1000 + step)
    for name, buffer in live.named_buffers():
        assert torch.equal(average.module.get_buffer(name), buffer), name
    torch.testing.assert_close(average.module.get_buffer("0.weight_u").norm(), torch.tensor(1.0))
