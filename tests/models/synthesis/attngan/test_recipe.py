"""AttnGAN's training: who learns when, what the loss is made of, what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from models.bundle import Bundle
from models.registry import load
from models.synthesis.attngan.network import AttnganConfig
from models.synthesis.attngan.recipe import Options
from models.training.config import read_preset
from models.training.parts import PARTS, initialise, parse_options, save
from tests.models.training.photos import NoisePhotos, TinyEncoders, watch_two_steps

TINY: dict[str, Any] = {"objective": "attngan", "ngf": 4, "ndf": 4, "stages": 2, "blocks": 1}


def built(data: NoisePhotos, pair: Any, **changes: Any) -> Any:
    torch.manual_seed(0)
    return PARTS["synthesis"]({**TINY, "z": 8, "condition": 6, **changes}, data, pair)


def test_what_is_trained_is_served_and_goes_on(tmp_path: Path) -> None:
    data, pair = NoisePhotos(64), TinyEncoders()
    objective = built(data, pair)
    assert list(objective.optimizer_steps) == ["judge0", "judge1", "generator"]
    loop = watch_two_steps(objective, data, "synthesis", tmp_path / "run")
    save(tmp_path / "one", "synthesis", objective, loop._recalibrated_averages(), data, pair)
    spec = Bundle.open(tmp_path / "one").task("synthesize")
    assert (spec.method, spec.size, spec.raw["explains"]) == ("attngan", 64, True)
    pipeline: Any = load(tmp_path / "one", "synthesize", None, "cpu")
    assert all(isinstance(p, Image.Image) for p in pipeline.run(pipeline.examples(2)).pictures)
    again = built(data, pair)
    initialise(again, "synthesis", tmp_path / "one", data.vocabulary)
    kept = loop.averages["generator"].module.get_parameter("h_net2.upsample.1.weight")
    found = again.generator.get_parameter("h_net2.upsample.1.weight")
    torch.testing.assert_close(found, kept, atol=1e-3, rtol=1e-3)  # kept as float16


def test_the_generators_loss_is_the_published_sum(tmp_path: Path) -> None:
    data = NoisePhotos(64)
    objective = built(data, TinyEncoders())
    loop = watch_two_steps(objective, data, "synthesis", tmp_path)
    seen = objective.forward_shared(*loop.samples(5, 4, 0, 4), 5)
    loss, values = objective.loss("generator", seen, 5)
    expected = values["g"] + 5 * values["matching"] + values["kl"]
    torch.testing.assert_close(loss, expected)


def test_official_is_the_published_size() -> None:
    values = read_preset("attngan-official", "synthesis")
    options = parse_options("synthesis", values["options"])
    assert options == Options()
    published = AttnganConfig()
    for name in ("ngf", "stages", "blocks", "z", "condition"):
        assert getattr(options, name) == getattr(published, name)
    assert values["loop"]["size"] == published.size
