"""PICNet at its published size reproduces its reference, filled by rule (tests/models/parity), on
rows alone and in a batch, and so does its training step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.tdanet.blocks import fold_blocks
from models.inpainting.tdanet.network import (
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    compose,
)
from tests.models.parity import rule

pytestmark = pytest.mark.slow
SEED = 1234


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
