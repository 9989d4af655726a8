"""PICNet at its published size reproduces its reference, filled by rule (tests/models/parity), on
rows alone and in a batch, and so does its training step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.picnet.recipe import Options, PicnetObjective
from models.inpainting.tdanet.blocks import fold_blocks
from models.inpainting.tdanet.network import (
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    compose,
)
from models.training.batch import Batch
from tests.models.parity import rule

pytestmark = pytest.mark.slow
SEED = 1234
STEP = {
    "kl_rec": 6.363542556762695,
    "kl_g": 12.929391860961914,
    "app_rec": 39.415096282958984,
    "app_g": 25.703838348388672,
    "ad_g": 1.179521083831787,
    "img_d": 0.5449512004852295,
    "ad_rec": 0.002792907878756523,
    "img_d_rec": 0.6444458365440369,
    "grad_E": 72.6734390258789,
    "grad_G": 18.285903930664062,
    "grad_D": 7.336655139923096,
    "grad_D_rec": 7.011643886566162,
}


def networks() -> dict[str, torch.nn.Module]:
    """E, G, D and D_rec."""
    made = {
        "E": PicnetEncoder(PicnetConfig()),
        "G": PicnetGenerator(PicnetConfig()),
        "D": InpaintDiscriminator(InpaintDiscriminatorConfig()),
        "D_rec": InpaintDiscriminator(InpaintDiscriminatorConfig()),
    }
    for net, module in made.items():
        prefix = f"picnet/{net}/"
        rule.filled(module, SEED, rule.picnet(prefix, SEED), prefix)
    return made


@pytest.mark.parametrize("rows", [[0], [1], [0, 1, 2]])
def test_pictures_and_scores(rows: list[int]) -> None:
    nets = networks()
    encoder, generator = fold_blocks(nets["E"]), fold_blocks(nets["G"])
    given = rule.inpainting_inputs(3, SEED)
    images, mask = given["image"][rows], given["mask"][rows]
    with np.load(Path(__file__).parent / "reference.npz") as stored, torch.inference_mode():
        seen = encoder(images, mask)
        z = seen.mu + seen.sigma * given["noise"][1, rows]
        made = generator(z, seen.features[-1], seen.features[2], mask)
        composed = compose(made[-1], images, mask)
        found = {
            "mu": seen.mu[:, ::32],
            "sigma": seen.sigma[:, ::32],
            "out1_": made[0][..., ::4, ::4],
            "out4_": made[-1][..., ::16, ::16],
            "composed": composed[..., 1::16, 1::16],
            "d": nets["D"](composed)[:, 0],
            "d_rec": nets["D_rec"](composed)[:, 0],
        }
        for name, values in found.items():
            for k, row in enumerate(rows):
                gap = np.abs(values[k].numpy() - stored[f"{name}{row}"])
                assert gap.max() <= 1e-4, (name, row)


class GivenNoise:
    """The draws of both paths."""

    def __init__(self, rec: torch.Tensor, gen: torch.Tensor) -> None:
        self.given = {"rec": rec, "gen": gen}

    def normal(self, name: str, *shape: int) -> torch.Tensor:
        return self.given[name].reshape(-1, *shape)


def test_a_training_step() -> None:
    given = rule.inpainting_inputs(2, SEED)
    nothing = torch.zeros(2, 1, dtype=torch.int64)
    captions = (nothing, torch.ones(2, dtype=torch.int64))
    batch = Batch(given["image"], *captions, nothing[:, 0], *captions, known_mask=given["mask"])
    objective = PicnetObjective(Options(), 256)
    nets = dict(zip(objective.modules, networks().values(), strict=True))
    for name, module in objective.modules.items():
        module.load_state_dict(nets[name].state_dict())
        module.train()
    noise: Any = GivenNoise(*given["noise"])
    state = objective.forward_shared(batch, noise, 0)
    found: dict[str, torch.Tensor] = {}
    trainable = {
        name: [w for w in module.parameters() if w.requires_grad]
        for name, module in objective.modules.items()
    }
    for name, step in objective.optimizer_steps.items():
        for other, weights in trainable.items():
            for weight in weights:
                weight.requires_grad_(other in step.trains)
        loss, values = objective.loss(name, state, 0)
        loss.backward()
        step.optimiser.step()
        found |= values
    for name, net in zip(objective.modules, ("E", "G", "D", "D_rec"), strict=True):
        norms = [w.grad.norm() for w in trainable[name] if w.grad is not None]
        found[f"grad_{net}"] = torch.stack(norms).norm()
    assert {k: float(v.detach()) for k, v in found.items()} == pytest.approx(STEP, rel=1e-3)
