"""TAGAN's training: the published step, what learns, what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.bundle import Bundle
from models.manipulation.tagan.network import TaganConfig, TaganDiscriminatorConfig
from models.manipulation.tagan.recipe import Options, TaganObjective, training_vectors
from models.registry import load
from models.training.config import read_preset
from models.training.parts import (
    PARTS,
    Encoders,
    initialise,
    parse_options,
    save,
    sizes_of_bundle,
)
from tests.conftest import WORDS
from tests.models.manipulation.tagan.test_network import SEED, difference, reference  # noqa: F401
from tests.models.parity import rule
from tests.models.tiny import tiny_method
from tests.models.training.photos import NoisePhotos, TinyEncoders, watch_two_steps

TINY: dict[str, Any] = {"objective": "tagan", "ngf": 4, "ndf": 4, "blocks": 1, "condition": 6}


def built(data: NoisePhotos, pair: Any, **changes: Any) -> Any:
    torch.manual_seed(0)
    return PARTS["manipulation"]({**TINY, "hidden": 8, **changes}, data, pair)


class GivenNoise:
    """A step's draws, in its order."""

    def __init__(self, noise: Tensor) -> None:
        self._rows = iter(noise)

    def normal(self, name: str, *shape: int) -> Tensor:
        return next(self._rows)


class GivenVectors(nn.Embedding):
    """Word vectors as they are, past any table."""

    def forward(self, given: Tensor) -> Tensor:
        return given


def step(objective: Any, given: dict[str, Tensor]) -> dict[str, float]:
    """One step of every optimiser, as the loop makes it, with the norms of the gradients."""

    class Batch:
        images, ids, lengths = given["image"], given["vectors"], (~given["pad"]).sum(1)

    for module in objective.modules.values():
        module.train()
    shared: Any = objective.forward_shared(Batch(), GivenNoise(given["noise"]), 0)
    found: dict[str, float] = {}
    for name, phase in objective.optimizer_steps.items():
        for key, module in objective.modules.items():
            module.requires_grad_(key in phase.trains)
        phase.optimiser.zero_grad()
        loss, values = objective.loss(name, shared, 0)
        loss.backward()
        weights = objective.modules[name].parameters()
        norms = torch.stack([w.grad.norm() for w in weights if w.grad is not None])
        found |= {key: float(value.detach()) for key, value in values.items()}
        found[f"{name[0]}_grad_norm"] = float(norms.norm())
        phase.optimiser.step()
    return found


@pytest.mark.slow
def test_step_parity(reference: dict[str, np.ndarray]) -> None:  # noqa: F811
    vectors = GivenVectors(2, 300)
    vectors.requires_grad_(False)
    objective = TaganObjective(Options(), 128, vectors)
    rule.filled(objective.generator, SEED, rule.scaled(1.2), "tagan/netG/")
    rule.filled(objective.discriminator, SEED, rule.scaled(1.4), "tagan/netD/")
    found = step(objective, rule.editing_inputs(4, 128, SEED))
    expected = dict(zip(reference["step_names"], reference["step_values"].tolist(), strict=True))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name
    mean = objective.generator.get_buffer("encoder.3.running_mean")
    assert difference(mean, reference["step_bn_mean"]) <= 1e-4


def test_what_is_trained_is_served_and_goes_on(tmp_path: Path) -> None:
    data, pair = NoisePhotos(64), TinyEncoders()
    objective = built(data, pair)
    trained = [list(p.trains) for p in objective.optimizer_steps.values()]
    assert trained == [["discriminator"], ["generator"]]
    loop = watch_two_steps(objective, data, "manipulation", tmp_path / "run")
    save(tmp_path / "one", "manipulation", objective, loop._recalibrated_averages(), data, pair)
    spec = Bundle.open(tmp_path / "one").task("manipulate")
    assert (spec.method, spec.size) == ("tagan", 64)
    pipeline: Any = load(tmp_path / "one", "manipulate", None, "cpu")
    assert all(isinstance(p, Image.Image) for p in pipeline.run(pipeline.examples(2)).pictures)
    again = built(data, Encoders(tmp_path / "one"))
    initialise(again, "manipulation", tmp_path / "one", data.vocabulary)
    for one, two in (
        (again.vectors, objective.vectors),
        (again.discriminator.classifier, objective.discriminator.classifier),
    ):
        torch.testing.assert_close(one.weight, two.weight, atol=1e-3, rtol=1e-3)  # kept as float16


def test_vectors_of_the_encoders_have_the_level_of_fasttexts() -> None:
    table = training_vectors("damsm", TinyEncoders().text, NoisePhotos(64).vocabulary).weight
    assert table[0].abs().max() == 0
    assert float(table[1:].square().mean().sqrt()) == pytest.approx(0.3)
    assert not table.requires_grad


def test_vectors_of_a_file(tmp_path: Path) -> None:
    words = NoisePhotos(64).vocabulary
    path = tmp_path / "some.vec"
    path.write_text(f"{words.words[1]} 1 2\n{words.words[3]} 3 6\nother 9 9\n")
    table = training_vectors(str(path), TinyEncoders().text, words).weight
    assert table[[0, 1, 2, 3]].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]


def test_the_published_rate_halves() -> None:
    objective = built(NoisePhotos(64), TinyEncoders(), halve_every=10)
    assert [objective.rate_share(step) for step in (0, 9, 10, 35)] == [1, 1, 0.5, 0.125]


def test_official_is_the_published_size() -> None:
    options = parse_options(
        "manipulation", read_preset("tagan-official", "manipulation")["options"]
    )
    assert options == Options(halve_every=13900)
    objective = TaganObjective(options, 128, nn.Embedding(2, 300))
    assert objective.config == TaganConfig()
    assert objective.discriminator.config == TaganDiscriminatorConfig()


def test_training_goes_on_from_an_import(tmp_path: Path) -> None:
    """Words keep their own vectors, wherever the data has them."""
    data, pair, folder = (
        NoisePhotos(32),
        TinyEncoders(),
        tiny_method(tmp_path / "b", "tagan").folder,
    )
    words = tmp_path / "some.vec"
    words.write_text("".join(f"{word} {' '.join('0' * 8)}\n" for word in WORDS[1:]))
    sizes = sizes_of_bundle(folder, "manipulation", TINY)
    assert sizes["loop"] == {"size": 32}
    options = {**TINY, **sizes["options"], "ndf": 8, "vectors": str(words)}
    objective: Any = PARTS["manipulation"](options, data, pair)
    initialise(objective, "manipulation", folder, data.vocabulary)
    bundle = Bundle.open(folder)
    for role, module in {**objective.modules, **objective.frozen}.items():
        state = bundle.state("manipulate", role)
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items()), role
