"""TDANet's training, published and small: phases, and the published sums term by term."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.damsm.losses import damsm_losses
from models.errors import ModelsError
from models.inpainting.tdanet import losses
from models.inpainting.tdanet.network import InpaintConfig
from models.inpainting.tdanet.official import (
    OfficialInpaintingObjective,
    OfficialInpaintingOptions,
    published_config,
)
from models.inpainting.tdanet.recipe import InpaintingObjective
from models.training.parts import PARTS
from tests.models.training.photos import NoisePhotos, TinyEncoders, watch_two_steps

OFFICIAL: dict[str, Any] = {"objective": "official", "width": 4, "refine": 1}
SMALL: dict[str, Any] = {"width": 4, "z": 4, "refine": 1}
PROJECTED = {
    "discriminator": "projected",
    "ndf": 8,
    "discriminator_size": 32,
    "augment": "translation",
}


def built(options: dict[str, Any], size: int) -> Any:
    torch.manual_seed(0)
    return PARTS["inpainting"](options, NoisePhotos(size), TinyEncoders())


def test_published_phases(tmp_path: Path) -> None:
    objective = built(OFFICIAL, 128)
    assert isinstance(objective, OfficialInpaintingObjective)
    assert {name: phase.trains for name, phase in objective.optimizer_steps.items()} == {
        "critics": ("critic", "critic_rec"),
        "generator": ("encoder", "generator"),
    }
    watch_two_steps(objective, NoisePhotos(128), "inpainting", tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"damsm": 0.1},
        {"text": False},
        PROJECTED,
        {**PROJECTED, "text": False, "damsm": 0.1},
        {"edges": 1.0},
        {"latent": "conditional"},
        {
            **PROJECTED,
            **{"latent": "conditional", "free": 0.5, "seeking": 0.1, "mean_fill_weight": 0.1},
        },
    ],
    ids=[
        *("plain", "damsm", "no-text", "projected", "projected-no-text", "edges"),
        *("conditional", "free"),
    ],
)
def test_small_phases(options: dict[str, Any], tmp_path: Path) -> None:
    objective = built({**SMALL, **options}, 32)
    assert isinstance(objective, InpaintingObjective)
    watch_two_steps(objective, NoisePhotos(32), "inpainting", tmp_path)


def test_named_attributes_are_asked_for_by_a_classifier_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    photos = NoisePhotos(32, attributes=(6, 10))
    options = {**SMALL, **PROJECTED, "attributes": 1.0}
    objective = PARTS["inpainting"](options, photos, TinyEncoders())
    assert list(objective.optimizer_steps) == ["classifier", "critic", "generator"]
    watch_two_steps(objective, photos, "inpainting", tmp_path)


def test_what_pixels_show_is_learned_beside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    photos = NoisePhotos(32, labels=10)
    objective = PARTS["inpainting"]({**SMALL, "labels": 1.0, "small": 2.0}, photos, TinyEncoders())
    assert objective.optimizer_steps["generator"].trains == ("encoder", "generator", "labeller")
    loop = watch_two_steps(objective, photos, "inpainting", tmp_path)
    assert set(objective.export(loop._recalibrated_averages())[1]) == {"encoder", "generator"}


def test_labels_that_the_data_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="--set labels=0"):
        watch_two_steps(
            built({**SMALL, "labels": 1.0}, 32), NoisePhotos(32), "inpainting", tmp_path
        )


def test_the_mean_is_compared_and_what_is_drawn_is_free(tmp_path: Path) -> None:
    options = {**SMALL, "latent": "conditional", "free": 0.5, "edges": 1.0}
    objective = built(options, 32)
    loop = watch_two_steps(objective, NoisePhotos(32), "inpainting", tmp_path)
    seen = objective.forward_shared(*loop.samples(9, 8, 0, 8), 9)
    compared = seen.compared.flatten().bool()
    assert 0 < compared.sum() < 8
    latent, (mu, _) = seen.paths.latents[1], seen.paths.prior
    assert torch.equal(latent[compared], mu[compared])
    assert all((latent != mu)[~compared].flatten(1).any(1))
    total = torch.stack(list(objective._reconstruction_losses(seen).values())).sum()
    (pull,) = torch.autograd.grad(total, seen.paths.gen[-1])
    hidden = (pull.abs() * (1 - seen.mask)).sum((1, 2, 3))
    assert (hidden[compared] > 0).all()
    assert (hidden[~compared] == 0).all()
    assert ((pull.abs() * seen.mask).sum((1, 2, 3)) > 0).all()


def test_options_of_the_latent_fit_together() -> None:
    with pytest.raises(ModelsError, match="published or conditional"):
        built({**SMALL, "latent": "none"}, 32)
    with pytest.raises(ModelsError, match="need latent"):
        built({**SMALL, "free": 0.5}, 32)
    with pytest.raises(ModelsError, match="give them a share"):
        built({**SMALL, "latent": "conditional", "seeking": 0.1}, 32)


def test_attributes_that_the_data_does_not_know_are_refused() -> None:
    with pytest.raises(ModelsError, match="--set attributes=0"):
        built({**SMALL, "attributes": 1.0}, 32)


@pytest.mark.parametrize("convolution", ["dilated", "gated", "partial"])
def test_other_convolutions_train(convolution: str, tmp_path: Path) -> None:
    objective = built({**SMALL, "convolution": convolution}, 32)
    watch_two_steps(objective, NoisePhotos(32), "inpainting", tmp_path)


def test_published_network() -> None:
    assert published_config(OfficialInpaintingOptions(), 256) == InpaintConfig()


@pytest.mark.parametrize("crossed", [True, False])
def test_published_terms(crossed: bool, tmp_path: Path) -> None:
    """Against the functions that the published step was compared with, from the same state."""
    objective = built({**OFFICIAL, "crossed": crossed}, 128)
    loop = watch_two_steps(objective, NoisePhotos(128), "inpainting", tmp_path)
    state = {k: _copied(m) for k, m in objective.modules.items()}
    batch, noise = loop.samples(7, 4, 0, 4)
    seen = objective.forward_shared(batch, noise, 7)
    judged, found = objective.loss("critics", seen, 7)
    made, more = objective.loss("generator", seen, 7)
    found = {**found, **more}
    for name, module in objective.modules.items():
        module.load_state_dict(state[name])
    expected = _by_hand(objective, batch, noise, crossed)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    torch.testing.assert_close(judged + made, torch.stack(list(expected.values())).sum())


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def _by_hand(
    objective: OfficialInpaintingObjective, batch: Any, noise: Any, crossed: bool
) -> dict[str, torch.Tensor]:
    real, mask = batch.images, batch.known_mask
    words, sentence = objective.text(batch.ids, batch.lengths)
    pad = torch.arange(words.shape[2])[None] >= batch.lengths[:, None]
    z, side = objective.config.z, objective.latent_side
    draws = torch.stack([noise.normal(path, z, side, side) for path in ("rec", "gen")])
    networks = objective.encoder, objective.generator
    paths = losses.two_paths(*networks, real, mask, (words, sentence, pad), draws, crossed)
    judges = objective.discriminator, objective.rec_discriminator
    found = {
        name: losses.least_squares_discriminator_loss(own_discriminator, real, paths.rec[-1])
        for name, own_discriminator in zip(("dis_img", "dis_img_rec"), judges, strict=True)
    }
    kl_rec, kl_g = losses.kl_losses(paths)
    found |= {"kl_rec": 80 * kl_rec, "kl_g": 80 * kl_g}
    pair = losses.score_matching_losses(judges[1], paths.rec[-1], paths.gen[-1], real)
    found |= {"ad_l2_rec": pair[0], "ad_l2_g": pair[1]}
    for name, pictures in (("g", paths.gen), ("rec", paths.rec)):
        found[f"l1_{name}"] = 20 * losses.pyramid_l1(pictures, real)
        found[f"gan_{name}"] = losses.least_squares_generator_loss(judges[0], pictures[-1])
        caption = (words, sentence, batch.lengths)
        pair = damsm_losses(objective.image(pictures[-1]), caption, gammas=(5.0, 5.0, 10.0))
        found[f"word_{name}"], found[f"sentence_{name}"] = (0.1 * loss for loss in pair)
    return found


def test_wrong_options_are_sentences() -> None:
    with pytest.raises(ModelsError, match="no small configuration for 48"):
        built(SMALL, 48)
    with pytest.raises(ModelsError, match="projected or none"):
        built({**SMALL, "discriminator": "wgan"}, 32)
    with pytest.raises(ModelsError, match="augment knows"):
        built({**SMALL, **PROJECTED, "augment": "blur"}, 32)
