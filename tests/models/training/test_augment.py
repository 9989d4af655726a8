import pytest
import torch

from models.training.augment import CHANGES, augment
from models.training.noise import Noise


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_shapes_and_let_gradients_through(name: str) -> None:
    images = (torch.rand(4, 3, 16, 16) * 2 - 1).requires_grad_(True)
    changed = augment(images, Noise(0, 0, 4), "d", [name])
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    changed.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_translation_moves_whole_pixels() -> None:
    images = torch.zeros(8, 3, 16, 16)
    images[:, :, 8, 8] = 1
    moved = augment(images, Noise(0, 0, 8), "d", ["translation"])
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((8,), 3.0))
    places = moved[:, 0].flatten(1).argmax(1)
    assert len(set(places.tolist())) > 1
    assert all(abs(int(p) // 16 - 8) <= 2 and abs(int(p) % 16 - 8) <= 2 for p in places)


def test_tags_tell_draws_of_one_step_apart() -> None:
    images, noise = torch.ones(2, 3, 8, 8), Noise(0, 0, 2)
    real, fake = (augment(images, noise, tag, ["colour"]) for tag in ("real", "fake"))
    assert not torch.equal(real, fake)
