"""The published training losses, from networks filled by rule (see rule.py)."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.losses import damsm_losses
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.inpainting.tdanet import losses as inpainting
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    InpaintEncoder,
    InpaintGenerator,
)
from models.manipulation.manigan import losses as manipulation
from models.manipulation.manigan.discriminators import ManiganDiscriminator
from models.manipulation.manigan.network import (
    DetailCorrection,
    MainModule,
    ManiganConfig,
    use_published_masks,
)
from tests.models.parity import rule

pytestmark = pytest.mark.slow
SEED, TDANET_SEED = 1234, 20261123
MANIGAN = {
    "kl": 0.022075073793530464,
    "errD0": 2.807039976119995,
    "errD1": 2.783536911010742,
    "errD2": 2.8023672103881836,
    "errG": 37.49813461303711,
    "errC": 32.36421203613281,
    "word_level_real": 0.06278926134109497,
}
TDANET = {
    "kl_rec": 16.791601181030273,
    "kl_g": 3.9231772422790527,
    "l1_rec": 32.85136795043945,
    "l1_g": 32.86659240722656,
    "gan_g": 0.7559506297111511,
    "word_g": 0.6287964582443237,
    "sentence_g": 0.2927490472793579,
    "ad_l2_g": 0.0005960979615338147,
    "gan_rec": 0.7751705646514893,
    "ad_l2_rec": 0.0002793031744658947,
    "word_rec": 0.6287387013435364,
    "sentence_rec": 0.2927495837211609,
    "dis_img": 0.4623725712299347,
    "dis_img_rec": 0.45307716727256775,
    "grad_E": 32.007633209228516,
    "grad_G": 72.251708984375,
}


def test_manigan() -> None:
    text = rule.filled(TextEncoder(TextEncoderConfig(5450)), SEED, rule.manigan)
    image = rule.filled(InceptionImageEncoder(), SEED, rule.manigan)
    vgg_names = {k: k.replace("features.", "vgg.") for k in VggDetail().state_dict()}
    detail = rule.filled(VggDetail(), SEED, rule.manigan, rename=vgg_names)
    main = rule.filled(MainModule(ManiganConfig()), SEED, rule.manigan)
    dcm = rule.filled(DetailCorrection(ManiganConfig()), SEED, rule.manigan)
    use_published_masks(main)
    use_published_masks(dcm)
    judges = [rule.filled(ManiganDiscriminator(s), SEED, rule.manigan) for s in (64, 128, 256)]
    given = rule.manigan_inputs(4, SEED)
    real = given["image"]
    classes = torch.tensor([7, 3, 3, 9])
    with torch.inference_mode():
        words, sentence = text(given["captions"], given["lengths"])
        caption = (words, sentence, given["lengths"])
        pad = padding(given["lengths"], words.shape[2])
        regions, code = image(real)
        out = main(given["z"], given["ca_noise"], words, sentence, pad, code, regions)
        reals = [functional.adaptive_avg_pool2d(real, p.shape[-1]) for p in out.pictures]
        final, _ = dcm(out.hidden, detail(real), words, pad)
        matching = sum(damsm_losses(image(out.pictures[2]), caption, classes))
        corrected = sum(damsm_losses(image(final), caption, classes))
        fooled = [
            manipulation.adversarial_loss(discriminator, fake, sentence)
            for discriminator, fake in zip(judges, out.pictures, strict=True)
        ]
        perceptual = manipulation.perceptual_loss(detail, out.pictures, reals)
        kl = manipulation.kl_loss(out.mu, out.logvar)
        found = {
            "kl": kl,
            # The fixture's value leaves the KL term out.
            "errG": manipulation.main_loss(fooled, matching, perceptual, torch.zeros(())),
            "errC": manipulation.correction_loss(
                manipulation.adversarial_loss(judges[2], final, sentence), corrected, final, real
            ),
        }
        for k, (discriminator, seen, made) in enumerate(
            zip(judges, reals, out.pictures, strict=True)
        ):
            terms = [
                word_level_term(image(seen)[0], words, given["lengths"], matches)
                for matches in (True, False)
            ]
            loss = manipulation.discriminator_loss(discriminator, seen, made, sentence)
            # The fixture passes the true captions as the mismatched ones too.
            found[f"errD{k}"] = loss + (terms[0] + terms[1]) / 2
        found["word_level_real"] = terms[0]
    compare(found, MANIGAN)


def word_level_term(regions: Tensor, words: Tensor, lengths: Tensor, matches: bool) -> Tensor:
    """The word-level part of the published discriminator loss, mean over the batch, which the
    product leaves out: no trained weight changes it.

    regions [B,D,h,w] of the real pictures at the discriminator's resolution; words [B,D,T];
    ``matches``: these are
    their own captions.
    """
    scores: list[Tensor] = []
    for region, word, length in zip(regions.flatten(2), words, lengths.tolist(), strict=True):
        e = word[:, :length]
        over_words = (region.T @ e).softmax(1)
        over_regions = (4 * over_words).softmax(0)
        relevance = functional.cosine_similarity(e, region @ over_regions, dim=0)
        scores.append((5 * relevance).logsumexp(0).sigmoid())
    return functional.binary_cross_entropy(
        torch.stack(scores), torch.full((len(scores),), float(matches))
    )


def test_tdanet_step() -> None:
    text = rule.filled(TextEncoder(TextEncoderConfig(5450)), TDANET_SEED, rule.tdanet, "text/")
    image = rule.filled(InceptionImageEncoder(), TDANET_SEED, rule.tdanet, "image/")
    encoder = rule.filled(InpaintEncoder(InpaintConfig()), TDANET_SEED, rule.tdanet, "E/").train()
    generator = rule.filled(
        InpaintGenerator(InpaintConfig()), TDANET_SEED, rule.tdanet, "G/"
    ).train()
    judges = [
        rule.filled(
            InpaintDiscriminator(InpaintDiscriminatorConfig()), TDANET_SEED, rule.tdanet, prefix
        ).train()
        for prefix in ("D/", "D_rec/")
    ]
    encoder.word_attention.published_masks = True
    image.requires_grad_(False)
    given = rule.tdanet_inputs(4, TDANET_SEED)
    real = 2 * given["image"] - 1
    with torch.no_grad():
        words, sentence = text(given["tokens"][:, : given["lengths"].max()], given["lengths"])
    texts = (words, sentence, padding(given["lengths"], words.shape[2]))
    paths = inpainting.two_paths(
        encoder, generator, real, given["mask"], texts, latent_draws(4), crossed=True
    )
    found = judge_step(judges, real, paths.rec[-1])
    found |= generator_losses(judges, image, paths, real, (words, sentence, given["lengths"]))
    sum(v for k, v in found.items() if not k.startswith("dis_")).backward()
    found |= {"grad_E": gradient_norm(encoder), "grad_G": gradient_norm(generator)}
    compare(found, TDANET)


def latent_draws(rows: int) -> Tensor:
    keys = [[f"eps_{path}{b}" for b in range(rows)] for path in "pq"]
    drawn = [[rule.tensor(rule.normal(k, (256, 8, 8), TDANET_SEED)) for k in row] for row in keys]
    return torch.stack([torch.stack(row) for row in drawn]).float()


def judge_step(judges: list[nn.Module], real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Both discriminators' losses, and one step of their optimiser."""
    weights = [p for p in chain(*(j.parameters() for j in judges)) if p.requires_grad]
    optimiser = torch.optim.Adam(weights, 1e-4, (0.0, 0.999))
    losses = [
        inpainting.least_squares_discriminator_loss(discriminator, real, fake)
        for discriminator in judges
    ]
    torch.stack(losses).sum().backward()
    optimiser.step()
    return {"dis_img": losses[0].detach(), "dis_img_rec": losses[1].detach()}


def generator_losses(
    judges: list[nn.Module],
    image: nn.Module,
    paths: inpainting.Paths,
    real: Tensor,
    caption: tuple[Tensor, Tensor, Tensor],
) -> dict[str, Tensor]:
    kl_rec, kl_g = inpainting.kl_losses(paths)
    found = {"kl_rec": inpainting.KL_FACTOR * kl_rec, "kl_g": inpainting.KL_FACTOR * kl_g}
    matched = inpainting.score_matching_losses(judges[1], paths.rec[-1], paths.gen[-1], real)
    found |= {"ad_l2_rec": matched[0], "ad_l2_g": matched[1]}
    for name, pictures in (("g", paths.gen), ("rec", paths.rec)):
        finest = pictures[-1]
        found[f"l1_{name}"] = inpainting.L1_FACTOR * inpainting.pyramid_l1(pictures, real)
        found[f"gan_{name}"] = inpainting.least_squares_generator_loss(judges[0], finest)
        word, whole = damsm_losses(image(finest), caption, gammas=inpainting.GAMMAS)
        found[f"word_{name}"] = inpainting.MATCH_FACTOR * word
        found[f"sentence_{name}"] = inpainting.MATCH_FACTOR * whole
    return found


def gradient_norm(module: nn.Module) -> Tensor:
    return torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm()


def compare(found: dict[str, Tensor], expected: dict[str, float]) -> None:
    assert {k: float(v.detach()) for k, v in found.items()} == pytest.approx(expected, rel=1e-4)
