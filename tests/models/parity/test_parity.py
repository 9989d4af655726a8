"""The networks at published size reproduce their references, filled by rule (see rule.py), on rows
alone and in batches.

``reference.npz`` holds every eighth pixel or so of the reference outputs; tolerances are absolute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.losses import contrastive_loss, sentence_scores, word_scores
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.inpainting.tdanet.blocks import fold_blocks
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    InpaintEncoder,
    InpaintGenerator,
    compose,
)
from models.layers import fold_spectral_norm
from models.manipulation.manigan.network import DetailCorrection, MainModule, ManiganConfig
from models.synthesis.efficient_t2i.network import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
)
from tests.models.parity import rule

pytestmark = pytest.mark.slow
SEED, TDANET_SEED = 1234, 20261123
# Words to picture and back, then sentence, of the four rows with classes 7, 3, 3, 9.
DAMSM_LOSSES = (2.5037546, 1.2480677, 1.3618010, 1.2412827)


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "reference.npz") as stored:
        return dict(stored)


def difference(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy() - expected).max())


@pytest.mark.parametrize("width", [16, 96])
def test_efficient_t2i(reference: dict[str, np.ndarray], width: int) -> None:
    generator = rule.filled(Generator(GeneratorConfig(width)), SEED, rule.efficient_t2i, "netG.")
    rule.settle_spectral(generator)
    z = rule.tensor(rule.normal("input.z", (2, 128), SEED).astype(np.float32))
    sentence = rule.tensor((0.3 * rule.normal("input.sent", (2, 256), SEED)).astype(np.float32))
    stride = 8 if width == 16 else 16
    with torch.inference_mode():
        image = fold_spectral_norm(generator)(z, sentence)
    assert difference(image[..., ::stride, ::stride], reference[f"t2i{width}_image"]) <= 1e-4
    discriminator = rule.filled(
        Discriminator(DiscriminatorConfig(width)), SEED, rule.efficient_t2i, "netD."
    )
    rule.settle_spectral(discriminator)
    with torch.inference_mode():
        logit = discriminator(image.clone(), sentence).numpy()
    assert np.allclose(logit, reference[f"t2i{width}_logit"], rtol=1e-4, atol=1e-4)


def test_tdanet(reference: dict[str, np.ndarray]) -> None:
    text = rule.filled(TextEncoder(TextEncoderConfig(5450)), TDANET_SEED, rule.tdanet, "text/")
    encoder = fold_blocks(
        rule.filled(InpaintEncoder(InpaintConfig()), TDANET_SEED, rule.tdanet, "E/")
    )
    generator = fold_blocks(
        rule.filled(InpaintGenerator(InpaintConfig()), TDANET_SEED, rule.tdanet, "G/")
    )
    given = rule.tdanet_inputs(8, TDANET_SEED)
    images, mask = 2 * given["image"] - 1, given["mask"]
    with torch.inference_mode():
        words, sentence = text(given["tokens"][:, : given["lengths"].max()], given["lengths"])
        assert difference(words[:1, :, :5], reference["tdanet_words"]) <= 1e-5
        pad = padding(given["lengths"], words.shape[2])
        seen = encoder(images, mask, words, sentence, pad)
        z = seen.mu + seen.sigma * given["eps"]
        pictures = generator(z, seen.summary, seen.features[2], mask)
        composed = compose(pictures[-1], images, mask)
    assert difference(seen.mu[:1, ::8], reference["tdanet_mu"]) <= 1e-5
    assert difference(seen.sigma[:1, ::8], reference["tdanet_sigma"]) <= 1e-5
    assert difference(pictures[0][:1, :, ::2, ::2], reference["tdanet_out1"]) <= 1e-4
    assert difference(composed[:1, :, ::8, ::8], reference["tdanet_composed"]) <= 1e-4
    assert difference(seen.mu[:, ::32], reference["tdanet_batch8_mu"]) <= 1e-5
    assert difference(composed[..., ::16, ::16], reference["tdanet_batch8"]) <= 1e-4
    critic = rule.filled(
        InpaintDiscriminator(InpaintDiscriminatorConfig()), TDANET_SEED, rule.tdanet, "D/"
    )
    with torch.inference_mode():
        assert difference(critic(composed[:1].clone()), reference["tdanet_d"]) <= 1e-4


def test_manigan(reference: dict[str, np.ndarray]) -> None:
    text = rule.filled(TextEncoder(TextEncoderConfig(5450)), SEED, rule.manigan)
    image = rule.filled(InceptionImageEncoder(), SEED, rule.manigan)
    vgg_names = {k: k.replace("features.", "vgg.") for k in VggDetail().state_dict()}
    detail = rule.filled(VggDetail(), SEED, rule.manigan, rename=vgg_names)
    main = rule.filled(MainModule(ManiganConfig()), SEED, rule.manigan)
    dcm = rule.filled(DetailCorrection(ManiganConfig()), SEED, rule.manigan)
    given = rule.manigan_inputs(4, SEED)
    with torch.inference_mode():
        words, sentence = text(given["captions"], given["lengths"])
        assert difference(words[:1], reference["manigan_words"]) <= 1e-5
        regions, code = image(given["image"])
        assert difference(regions[:1, ::4, ::4, ::4], reference["manigan_regions"]) <= 1e-4
        assert difference(code[:1], reference["manigan_code"]) <= 1e-4
        fine = detail(given["image"])
        assert difference(fine[:1, ::8, ::16, ::16], reference["manigan_vgg"]) <= 1e-4
        classes = torch.tensor([7, 3, 3, 9])
        losses = [
            *contrastive_loss(word_scores(regions, words, given["lengths"]), classes),
            *contrastive_loss(sentence_scores(code, sentence), classes),
        ]
        assert [float(x) for x in losses] == pytest.approx(DAMSM_LOSSES, rel=1e-4)
        pad = padding(given["lengths"], words.shape[2])
        out = main(given["z"], given["ca_noise"], words, sentence, pad, code, regions)
        final, _ = dcm(out.hidden, fine, words, pad)
    assert difference(out.pictures[0][:1, :, ::4, ::4], reference["manigan_image64"]) <= 2e-4
    assert difference(out.pictures[2][:1, :, ::16, ::16], reference["manigan_image256"]) <= 2e-4
    assert difference(final[:1, :, ::8, ::8], reference["manigan_final"]) <= 2e-4
    assert difference(final[..., ::4, ::4], reference["manigan_batch4"]) <= 2e-4
