"""The network that enlarges, and what its training pairs are made of."""

from __future__ import annotations

import pytest
import torch

from models.detail.degradation import Degradation, degrade, recolour
from models.detail.network import DetailConfig, DetailNetwork, enlarge
from models.training.noise import Noise


def pictures(count: int = 4, side: int = 64) -> torch.Tensor:
    cells = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(cells, size=side, mode="nearest")


@pytest.mark.parametrize("scale", [2, 4])
def test_it_starts_as_bicubic_enlargement(scale: int) -> None:
    small = pictures(2, 16)
    large = DetailNetwork(DetailConfig(8, 2, scale))(small)
    assert large.shape == (2, 3, 16 * scale, 16 * scale)
    assert torch.equal(large, enlarge(small, scale))


@torch.no_grad()
def test_products_enlarge_as_torchs_kernel_does() -> None:
    source = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 7, 12, generator=source)
    wanted = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic")
    with torch.autocast("cpu", torch.bfloat16):
        found = enlarge(small, 4)
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted, atol=1e-6)


def test_it_learns_edges_that_bicubic_enlargement_blurs() -> None:
    torch.manual_seed(0)
    real = pictures()
    small = torch.nn.functional.avg_pool2d(real, 4)
    network = DetailNetwork(DetailConfig(16, 2, 4))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        loss = (network(small) - real).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.7 * (enlarge(small, 4) - real).abs().mean()


def test_without_faults_a_small_picture_is_the_mean_over_areas() -> None:
    real = pictures()
    small = degrade(real, 4, Degradation(0, 0, 0), Noise(0, 0, 4))
    wanted = torch.nn.functional.avg_pool2d(real, 4)
    assert (small - wanted).abs().max() <= 1 / 255 + 1e-6


def test_faults_are_each_pictures_own_and_half_have_none() -> None:
    real = torch.zeros(64, 3, 32, 32)
    small = degrade(real, 4, Degradation(0, 0.1, 0), Noise(0, 0, 64))
    spread = small.flatten(1).std(1)
    clean = (spread < 1e-6).float().mean()
    assert 0.3 < clean < 0.7
    assert 0.02 < spread[spread > 1e-6].mean() < 0.09


def test_blur_softens_and_keeps_the_mean() -> None:
    real = pictures(64)
    sharp = degrade(real, 4, Degradation(0, 0, 0), Noise(0, 0, 64))
    soft = degrade(real, 4, Degradation(0.9, 0, 0), Noise(0, 0, 64))
    edges = [x.diff(dim=3).abs().mean((1, 2, 3)) for x in (sharp, soft)]
    assert (edges[1] <= edges[0] + 1e-3).all()
    assert (edges[1] < 0.97 * edges[0]).float().mean() > 0.25
    assert (soft.mean((2, 3)) - sharp.mean((2, 3))).abs().max() < 0.05


def test_the_same_step_makes_the_same_pairs_however_it_is_split() -> None:
    real = pictures(4)
    bounds = Degradation()
    whole = degrade(recolour(real, Noise(1, 7, 4)), 4, bounds, Noise(1, 7, 4))
    part = degrade(recolour(real[2:], Noise(1, 7, 4, 2, 2)), 4, bounds, Noise(1, 7, 4, 2, 2))
    assert torch.allclose(whole[2:], part, atol=1 / 127)


def test_noise_is_the_same_each_time_and_for_each_picture_of_a_batch() -> None:
    network = DetailNetwork(DetailConfig(width=8, depth=1, noise=2)).eval()
    torch.nn.init.normal_(network.blocks.weight)
    again = DetailNetwork(DetailConfig(width=8, depth=1, noise=2)).eval()
    again.load_state_dict(network.state_dict())
    pictures = torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        first, second = network(pictures)
        assert torch.allclose(first, again(pictures[:1])[0], atol=1e-4)
    assert torch.equal(first, second)
    assert first.std() > 0.01, "a plain picture gets grain"


def test_noise_covers_pictures_larger_than_its_planes() -> None:
    network = DetailNetwork(DetailConfig(width=8, depth=1, noise=2)).eval()
    torch.nn.init.normal_(network.blocks.weight)
    with torch.no_grad():
        (made,) = network(torch.zeros(1, 3, 140, 260))
    assert made.shape == (3, 560, 1040)
    assert made[:, :, -16:].std() > 0.01


def test_planes_that_are_new_change_little() -> None:
    plain = DetailNetwork(DetailConfig(width=8, depth=1))
    torch.nn.init.normal_(plain.blocks.weight, std=0.05)
    network = DetailNetwork(DetailConfig(width=8, depth=1, noise=2))
    network.load_state_dict(network.add_planes(plain.state_dict()))
    with torch.no_grad():
        gap = (network(pictures(1, 16)) - plain(pictures(1, 16))).abs().mean()
        assert 0 < gap < 0.1 * (plain(pictures(1, 16)) - enlarge(pictures(1, 16), 4)).abs().mean()
    state = network.state_dict()
    assert torch.equal(network.add_planes(state)["body.0.weight"], state["body.0.weight"])
