"""SISGAN's training: the published step, what learns, what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import vgg16_bn

from models.bundle import Bundle
from models.checkpoints.exporter import export
from models.errors import BundleError, ModelsError
from models.manipulation.sisgan.network import SisganConfig, SisganDiscriminatorConfig, VggEncoder
from models.manipulation.sisgan.recipe import Options, SisganObjective, load_vgg
from models.registry import load
from models.training.config import read_preset
from models.training.parts import PARTS, Encoders, initialise, parse_options, save
from tests.models.manipulation.sisgan.test_network import SEED, reference, sentences  # noqa: F401
from tests.models.manipulation.tagan.test_recipe import step
from tests.models.parity import rule
from tests.models.training.photos import NoisePhotos, TinyEncoders, watch_two_steps

TINY: dict[str, Any] = {"objective": "sisgan", "ngf": 4, "ndf": 4, "blocks": 1, "condition": 6}


class GivenSentences(SisganObjective):
    """Sentences as they are, past the text encoder."""

    def _read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return ids


@pytest.mark.slow
def test_step_parity(reference: dict[str, np.ndarray]) -> None:  # noqa: F811
    text: Any = TinyEncoders().text
    text.config = type("Config", (), {"features": 300})
    objective = GivenSentences(Options(), 64, text)
    rule.filled(objective.generator, SEED, rule.scaled(1.2), "sisgan/netG/")
    rule.filled(objective.discriminator, SEED, rule.scaled(1.4), "sisgan/netD/")
    given = rule.editing_inputs(4, 64, SEED)
    found = step(objective, {**given, "vectors": sentences(given).clone()})
    expected = dict(zip(reference["step_names"], reference["step_values"].tolist(), strict=True))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name


def built(data: NoisePhotos, pair: Any, **changes: Any) -> Any:
    torch.manual_seed(0)
    return PARTS["manipulation"]({**TINY, **changes}, data, pair)


def test_what_is_trained_is_served_and_goes_on(tmp_path: Path) -> None:
    data, pair = NoisePhotos(64), TinyEncoders()
    objective = built(data, pair)
    loop = watch_two_steps(objective, data, "manipulation", tmp_path / "run")
    save(tmp_path / "one", "manipulation", objective, loop._recalibrated_averages(), data, pair)
    spec = Bundle.open(tmp_path / "one").task("manipulate")
    assert (spec.method, spec.raw["explains"], spec.network["words"]) == ("sisgan", False, 0)
    pipeline: Any = load(tmp_path / "one", "manipulate", None, "cpu")
    assert all(isinstance(p, Image.Image) for p in pipeline.run(pipeline.examples(2)).pictures)
    again = built(data, Encoders(tmp_path / "one"))
    initialise(again, "manipulation", tmp_path / "one", data.vocabulary)
    kept = loop.averages["generator"].module.get_parameter("mu.0.weight")
    torch.testing.assert_close(again.generator.mu[0].weight, kept, atol=1e-3, rtol=1e-3)
    with pytest.raises(BundleError, match="DAMSM text encoder, which its authors' code"):
        export(tmp_path / "one", "sisgan", tmp_path / "out")


def test_half_of_the_edits_are_by_the_sentence_of_the_row_after(tmp_path: Path) -> None:
    data = NoisePhotos(64)
    objective = built(data, TinyEncoders())
    loop = watch_two_steps(objective, data, "manipulation", tmp_path)
    seen = objective.forward_shared(*loop.samples(3, 5, 0, 5), 3)
    order = [1, 0, 2, 3, 4]
    assert torch.equal(seen.given, seen.own[order])


def test_imagenets_vgg_comes_from_a_file(tmp_path: Path) -> None:
    source = vgg16_bn()
    torch.nn.init.constant_(source.features[28].running_mean, 0.5)  # after conv4_2
    torch.save(source.state_dict(), tmp_path / "vgg.pth")
    encoder = VggEncoder()
    load_vgg(encoder, str(tmp_path / "vgg.pth"))
    x = torch.rand(1, 3, 32, 32)
    layers = [*source.eval().features[:23], *source.features[24:33]]
    with torch.no_grad():
        expected = torch.nn.Sequential(*layers)((x - encoder.mean) / encoder.deviation)
        torch.testing.assert_close(encoder(2 * x - 1), expected)
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelsError, match="is not torchvision's VGG-16"):
        load_vgg(encoder, str(tmp_path / "other.pth"))


def test_wrong_options_are_sentences() -> None:
    with pytest.raises(ModelsError, match="plain or vgg"):
        built(NoisePhotos(64), TinyEncoders(), encoder="other")
    with pytest.raises(ModelsError, match=r"set loop.size = 64"):
        built(NoisePhotos(128), TinyEncoders())


def test_official_is_the_published_size() -> None:
    options = parse_options(
        "manipulation", read_preset("sisgan-official", "manipulation")["options"]
    )
    assert options == Options(encoder="vgg", halve_every=13900)
    looks = SisganDiscriminatorConfig()
    published = SisganConfig()
    for name in ("ngf", "blocks", "condition"):
        assert getattr(options, name) == getattr(published, name)
    assert (options.ndf, options.condition) == (looks.ndf, looks.condition)
