"""PICNet's training: phases, sizes and losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import ModelsError
from models.inpainting.picnet.network import PicnetConfig
from models.inpainting.picnet.recipe import Options, hole_sigma, known_l1, sized_config
from models.training.config import ConfigError
from models.training.parts import PARTS, parse_options
from tests.models.training.photos import NoisePhotos, watch_two_steps

SMALL: dict[str, Any] = {"objective": "picnet", "width": 4, "refine": 1}


def test_phases(tmp_path: Path) -> None:
    torch.manual_seed(0)
    photos = NoisePhotos(64)
    objective = PARTS["inpainting"](SMALL, photos, None)
    assert {name: step.trains for name, step in objective.optimizer_steps.items()} == {
        "discriminators": ("discriminator", "rec_discriminator"),
        "generator": ("encoder", "generator"),
    }
    watch_two_steps(objective, photos, "inpainting", tmp_path)


def test_sizes() -> None:
    assert sized_config(Options(), 256) == PicnetConfig()
    small = sized_config(Options(width=8), 64)
    assert (small.encoder, small.decoder) == ((8, 16, 32), (16, 16, 8))
    assert (small.feature, small.outputs, small.z) == (1, 3, 32)
    assert sized_config(Options(width=8), 128).decoder == (32, 32, 16, 8)
    with pytest.raises(ModelsError, match="64, 128, 256"):
        sized_config(Options(), 96)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="no option 'text'"):
        PARTS["inpainting"]({**SMALL, "text": True}, NoisePhotos(64), None)
    with pytest.raises(ConfigError, match=r"small or official or .*picnet"):
        parse_options("inpainting", {"objective": "other"})


def test_small_holes_have_narrow_targets() -> None:
    masks = torch.ones(3, 1, 8, 8)
    masks[1, :, :2] = 0
    masks[2] = 0
    sigma = hole_sigma(masks).flatten().tolist()
    assert sigma == pytest.approx([0.168, 0.599, 0.998], abs=1e-3)


def test_the_generation_path_is_compared_where_all_is_known() -> None:
    images, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    mask[..., 4:] = 0
    made = torch.ones(1, 3, 8, 8, requires_grad=True)
    loss = known_l1([made], images, mask)
    assert loss.item() == 0.5
    loss.backward()
    assert made.grad is not None
    assert (made.grad[..., 4:] == 0).all()
