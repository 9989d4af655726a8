"""CSA reproduces its reference, filled by rule (tests/models/parity): a quarter of the published
width on rows alone and in a batch, the layer, and a training step of the published size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.inpainting.csa.attention import CoherentAttention, hole_cells
from models.inpainting.csa.discriminators import PatchDiscriminator
from models.inpainting.csa.network import (
    CoarseNetwork,
    CsaConfig,
    RefineNetwork,
    coarse_input,
    refine_input,
)
from models.inpainting.csa.recipe import CsaObjective, Options
from models.training.batch import Batch
from models.training.noise import Noise
from tests.models.parity import rule

pytestmark = pytest.mark.slow
SEED, ROW = 1234, 5
# What the step of row 0 computes, and what its gradients' norms are.
STEP = {
    "d": 1.8426127,
    "f": 1.3437095,
    "g_gan": 4.4837208,
    "consistency_in": 0.6129688,
    "consistency_out": 0.8302944,
    "l1_coarse": 0.5331588,
    "l1_refined": 0.8171892,
    "g": 137.3748169,
    "grad_G": 421.6387939,
    "grad_P": 52.6754799,  # of the colour-filled input, as the forward pass sees it
}
Reference = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    with np.load(Path(__file__).parent / "reference.npz") as stored:
        yield dict(stored)


def filled(module: nn.Module, net: str) -> nn.Module:
    return rule.filled(module, SEED, rule.csa(net), f"csa/{net}/")


@pytest.mark.parametrize("rows", [[ROW], [0, 1, ROW]])
def test_pictures_and_scores(reference: Reference, rows: list[int]) -> None:
    coarse, refine = CoarseNetwork(CsaConfig(16)), RefineNetwork(CsaConfig(16))
    filled(coarse, "netP")
    filled(refine, "netG")
    seen: list[Tensor] = []
    layer = next(m for m in refine.modules() if isinstance(m, CoherentAttention))
    layer.register_forward_hook(lambda _, given, made: seen.extend((given[0], made)))
    given = rule.inpainting_inputs(ROW + 1, SEED)
    images, mask = given["image"][rows], given["mask"][rows]
    with torch.inference_mode():
        first = coarse(coarse_input(images, mask))
        refined = refine(refine_input(images, mask, first), 1 - mask)
        scores = filled(PatchDiscriminator(16), "netD")(refined)
    found = {
        "coarse": first[-1, :, ::8, ::8],
        "csa_in": seen[0][-1, ::8, ::4, ::4],
        "csa_out": seen[1][-1, ::8, ::2, ::2],
        "refined": refined[-1, :, ::8, ::8],
        "d": scores[-1, 0],
    }
    for name, values in found.items():
        assert np.abs(values.numpy() - reference[name]).max() <= 5e-4, name


def test_the_layer_and_its_published_gradient(reference: Reference) -> None:
    shape = (1, 512, 32, 32)
    features = torch.from_numpy(np.abs(rule.normal("csa/layer_input", shape, SEED))).float()
    gradient = torch.from_numpy(rule.normal("csa/layer_gradient", shape, SEED)).float()
    features.requires_grad_()
    hole = hole_cells(1 - rule.inpainting_inputs(3, SEED)["mask"][2:])
    made = CoherentAttention("published")(features, hole)
    made.backward(gradient)
    assert features.grad is not None
    for name, x in (("layer_out", made.detach()), ("layer_grad", features.grad)):
        assert np.abs(x[0, ::64, ::4, ::4].numpy() - reference[name]).max() <= 1e-4, name


def test_a_training_step() -> None:
    objective = CsaObjective(Options(detail="random"), 256)
    nets = ("netP", "netG", "netD", "netF")
    for module, net in zip(objective.modules.values(), nets, strict=True):
        filled(module, net).train()
    assert objective.vgg is not None
    filled(objective.vgg, "vgg16")
    given = rule.inpainting_inputs(1, SEED)
    nothing = torch.zeros(1, 1, dtype=torch.int64)
    captions = (nothing, torch.ones(1, dtype=torch.int64))
    batch = Batch(given["image"], *captions, nothing[:, 0], *captions, known_mask=given["mask"])
    state = objective.forward_shared(batch, Noise(0, 0, 1), 0)
    loss, found = objective.loss("discriminators", state, 0)
    loss.backward()
    objective.optimizer_steps["discriminators"].optimiser.step()
    loss, values = objective.loss("generators", state, 0)
    loss.backward()
    found |= {**values, "g": loss}
    for name, module in (("grad_P", objective.coarse), ("grad_G", objective.refine)):
        norms = [w.grad.norm() for w in module.parameters() if w.grad is not None]
        found[name] = torch.stack(norms).norm()
    assert {k: float(v.detach()) for k, v in found.items()} == pytest.approx(STEP, rel=1e-3)
