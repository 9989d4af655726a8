"""TDANet's ablations: without text, and with other convolutions in the encoder."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import ModelsError
from models.inpainting.tdanet.blocks import PartialConv, fold_blocks, halve_mask
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.pipeline import Item
from models.registry import load
from tests.models.inpainting.tdanet.test_network import SMALL, inputs, run
from tests.models.tiny import tiny_bundle

KINDS = ("plain", "dilated", "gated", "partial")


def networks(config: InpaintConfig) -> tuple[InpaintEncoder, InpaintGenerator]:
    torch.manual_seed(0)
    return InpaintEncoder(config).eval(), InpaintGenerator(config).eval()


def chosen(kind: str, text: bool = True, spectral: bool = True) -> InpaintConfig:
    return replace(SMALL, convolution=kind, text_attention=text, spectral=spectral)


def silent(kind: str, text: bool) -> set[str]:
    """The encoder's parameters without a gradient, of both distributions."""
    encoder, generator = networks(chosen(kind, text, spectral=False))
    given = inputs()
    seen = encoder(*given)
    pictures = generator(seen.mu, seen.summary, seen.features[1], given[1])
    spread = encoder.distribution(encoder.posterior, seen.summary)
    (sum(p.sum() for p in pictures) + seen.sigma.sum() + spread[0].sum()).backward()
    return {name for name, p in encoder.named_parameters() if p.grad is None}


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_gradients_of_every_choice(kind: str, text: bool) -> None:
    pictures = run(*networks(chosen(kind, text)), *inputs())
    assert [p.shape[-1] for p in pictures] == [16, 32, 64]
    assert silent(kind, text) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_does_not_depend_on_its_batch(kind: str) -> None:
    given, pair = inputs(), networks(chosen(kind))
    given[1][1, :, 40:50] = 0  # masks differ, too
    row = [x[1:2] for x in given]
    row[2], row[4] = row[2][..., :3], row[4][..., :3]
    assert torch.allclose(run(*pair, *given)[-1][1:2], run(*pair, *row)[-1], atol=1e-5)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_folding_changes_nothing(kind: str, spectral: bool) -> None:
    encoder, generator = networks(chosen(kind, spectral=spectral))
    folded = fold_blocks(copy.deepcopy(encoder)), fold_blocks(copy.deepcopy(generator))
    assert not any("weight_bar" in name for part in folded for name in part.state_dict())
    pairs = zip(run(encoder, generator, *inputs()), run(*folded, *inputs()), strict=True)  # type: ignore[arg-type]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_pixels_are_not_seen(kind: str) -> None:
    given, pair = list(inputs()), networks(chosen(kind))
    first = run(*pair, *given)[-1]
    given[0] = given[0] * given[1] + 0.7 * (1 - given[1])
    assert torch.allclose(first, run(*pair, *given)[-1], atol=1e-6)


def test_without_text_words_do_not_matter() -> None:
    given = list(inputs())
    other = [*given[:2], -given[2], -given[3], given[4]]
    for text in (True, False):
        pair = networks(chosen("plain", text))
        same = torch.equal(run(*pair, *given)[-1], run(*pair, *other)[-1])
        assert same is not text


def test_without_text_shapes_stay() -> None:
    encoder, _ = networks(chosen("plain", text=False))
    seen = encoder(*inputs())
    assert seen.summary.shape == (3, SMALL.condition, 8, 8)
    assert seen.summary[:, SMALL.encoder[-1] :].abs().max() == 0
    assert seen.attention.shape == (3, 64, 5)


def test_partial_convolution_of_a_constant_is_constant() -> None:
    torch.manual_seed(0)
    layer = PartialConv(1, 2, spectral=False)
    torch.nn.init.ones_(layer.conv.weight)  # type: ignore[arg-type]
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :, :3] = 1
    with torch.no_grad():
        out, known = layer(torch.full((1, 1, 8, 8), 0.5), mask)
    assert torch.equal(known[0, 0, 0], torch.tensor([1.0] * 4 + [0.0] * 4))
    expected = 9 * 0.5 + layer.conv.bias  # type: ignore[operator]
    assert torch.allclose(out[0, :, :, :4], expected[:, None, None].expand(-1, 8, 4), atol=1e-5)
    assert out[..., 4:].abs().max() == 0


def test_halving_takes_means_of_known_pixels() -> None:
    x = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    mean, known = halve_mask(x, mask)
    assert (float(mean), float(known)) == (3.0, 1.0)
    assert [float(t) for t in halve_mask(x, torch.zeros_like(mask))] == [0.0, 0.0]


def test_partial_convolutions_ask_for_the_mask() -> None:
    encoder, _ = networks(chosen("partial"))
    with pytest.raises(ModelsError, match="need the masks"):
        encoder.pyramid(inputs()[0])


def test_unknown_convolutions_are_refused() -> None:
    with pytest.raises(ModelsError, match=r"convolution is plain, .*, not 'square'"):
        chosen("square")


def test_the_deeper_half_is_dilated() -> None:
    levels = [InpaintConfig(convolution="dilated").kind(k) for k in range(6)]
    assert levels == ["plain"] * 3 + ["dilated"] * 3


@pytest.mark.parametrize(("kind", "text"), [(k, k != "plain") for k in KINDS])
def test_bundles_of_every_choice_are_served(kind: str, text: bool, tmp_path: Path) -> None:
    choice = {"convolution": kind, "text_attention": text}
    bundle = tiny_bundle(tmp_path / "bundle", rnn="gru", tdanet=choice)
    assert bundle.task("inpaint").text_encoder["rnn"] == "gru"
    photo, mask = Image.new("RGB", (90, 60), (200, 30, 60)), Image.new("L", (90, 60), 0)
    mask.paste(255, (30, 20, 60, 45))
    item = Item("a red bird", 1, 0, {"image": photo, "mask": mask})
    picture = load(bundle.folder, "inpaint", None, "cpu").run([item]).pictures[0]
    assert isinstance(picture, Image.Image), picture
    hole = np.asarray(mask) > 0
    assert np.array_equal(np.asarray(picture)[~hole], np.asarray(photo)[~hole])


def test_bundles_of_gru_encoders_synthesize(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", rnn="gru")
    picture = load(bundle.folder, "synthesize", None, "cpu").run([Item("a red bird", 1)])
    assert isinstance(picture.pictures[0], Image.Image)
