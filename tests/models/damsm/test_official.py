"""DAMSM as published: what is trained, the rate by epochs, and the bundle that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.damsm.inception import InceptionImageEncoder
from models.damsm.official import OfficialDamsmObjective, load_trunk
from models.errors import BundleError, ModelsError
from models.training.parts import PARTS, Encoders, save
from tests.models.training.photos import NoisePhotos, watch_two_steps

TINY: dict[str, Any] = {
    "objective": "official",
    "trunk": "random",
    "words": 8,
    "features": 16,
    "dropout": 0.1,
}


def built(**changes: Any) -> Any:
    torch.manual_seed(0)
    return PARTS["damsm"]({**TINY, **changes}, NoisePhotos(32), None)


@pytest.mark.slow
def test_two_steps_end_in_encoders(tmp_path: Path) -> None:
    objective, data = built(), NoisePhotos(32)
    assert isinstance(objective, OfficialDamsmObjective)
    trunk = objective.image.Mixed_6a.branch3x3.conv.weight.clone()
    loop = watch_two_steps(objective, data, "damsm", tmp_path / "run")
    assert torch.equal(trunk, objective.image.Mixed_6a.branch3x3.conv.weight)
    averaged = loop._recalibrated_averages()
    norm = averaged["image_encoder"].Conv2d_1a_3x3.bn
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
    save(tmp_path / "bundle", "damsm", objective, averaged, data, None)
    again = Encoders(tmp_path / "bundle")
    assert isinstance(again.image, InceptionImageEncoder)
    assert again.text.config == objective.text.config
    assert not any(p.requires_grad for p in again.image.parameters())


def test_the_rate_falls_by_epochs_to_a_tenth() -> None:
    objective = built(epoch_steps=10)
    shares = [objective.rate_share(step) for step in (0, 9, 10, 20)]
    assert shares == pytest.approx([1, 1, 0.98, 0.9604])
    # As published: multiplied while above a tenth, so the last one lies just below.
    assert objective.rate_share(10**6) == pytest.approx(0.98**114)
    assert built().rate_share(10**6) == 1.0


def test_adam_starts_anew_each_epoch() -> None:
    objective = built(epoch_steps=2)
    batch = NoisePhotos(32).batch("damsm", [0], [np.random.default_rng(0)])
    optimiser = objective.optimizer_steps["damsm"].optimiser
    held = []
    for step in range(4):
        objective.forward_shared(batch, None, step)
        held.append(len(optimiser.state))
        for group in optimiser.param_groups:
            for weight in group["params"]:
                weight.grad = torch.ones_like(weight)
        optimiser.step()
    assert [bool(n) for n in held] == [False, True, False, True]


def test_imagenet_weights_come_from_a_file(tmp_path: Path) -> None:
    source = InceptionImageEncoder(16)
    torch.nn.init.constant_(source.Mixed_7c.branch1x1.conv.weight, 0.25)
    state = {k: v for k, v in source.state_dict().items() if not k.startswith("emb_")}
    torch.save({**state, "fc.weight": torch.zeros(10, 2048)}, tmp_path / "inception.pth")
    image = InceptionImageEncoder(16)
    head = image.emb_features.weight.clone()
    load_trunk(image, str(tmp_path / "inception.pth"))
    loaded = image.state_dict()["Mixed_7c.branch1x1.conv.weight"]
    assert torch.equal(loaded, torch.full_like(loaded, 0.25))
    assert torch.equal(image.emb_features.weight, head)


def test_wrong_trunks_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="imagenet or random"):
        built(trunk="resnet")
    with pytest.raises(BundleError, match="There is no file"):
        built(trunk="imagenet", trunk_file=str(tmp_path / "missing.pth"))
