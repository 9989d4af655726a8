"""Losses of pictures whose drawing is known."""

from __future__ import annotations

import pytest
import torch

from models.data.aviary.drawing import bird, label_map
from models.training.losses import edge_loss, small_part_mask

COUNTED = torch.zeros(2, 1, 8, 8)
COUNTED[0, :, 2:6, 2:6] = 1


def test_small_things_are_small() -> None:
    labels = torch.from_numpy(label_map(bird("test", 0), 64)).long()[None]
    small = small_part_mask(labels)
    assert small.shape == (1, 1, 64, 64)
    assert 0.005 < small.mean() < 0.06
    assert {6, 7, 8} == set(labels[small[:, 0] > 0].tolist())


def test_edges_are_those_of_the_counted_pixels() -> None:
    images = torch.zeros(2, 3, 8, 8)
    made = images.clone()
    made[1, :, 4, 4] = 1  # nothing of the second picture is hidden
    assert edge_loss(made, images, COUNTED) == 0
    made[0, :, 4, 4] = 1
    # Four edges of height one around one of 16 pixels.
    assert edge_loss(made, images, COUNTED) == pytest.approx(4 / 16)
