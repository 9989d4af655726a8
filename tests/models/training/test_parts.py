"""Starting from a bundle: words that are new to it, networks of other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.captions import END, Vocabulary
from models.bundle import save_task
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import BundleError, ModelsError, UnknownBundle
from models.synthesis.efficient_t2i.recipe import SynthesisObjective, SynthesisOptions
from models.training.config import ConfigError
from models.training.parts import (
    Encoders,
    grow_embedding,
    initialise,
    parse_options,
    sizes_of_bundle,
)
from tests.conftest import WORDS
from tests.models.tiny import tiny_bundle


def test_new_words_start_as_the_mean_of_the_known() -> None:
    known, wanted = Vocabulary([END, "red", "bird"]), Vocabulary([END, "bird", "owl"])
    table = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 2.0]])
    found = grow_embedding(table, known, wanted)
    assert found.tolist() == [[0.0, 0.0], [4.0, 2.0], [3.0, 1.0]]


def test_a_generator_of_another_size_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    encoders = Encoders(bundle.folder)
    options = SynthesisOptions(discriminator="own", ngf=4, ndf=4, z=3)
    objective = SynthesisObjective(options, 32, encoders.text)
    with pytest.raises(BundleError, match="generator"):
        initialise(objective, "synthesis", bundle.folder, encoders.vocabulary)


def test_sizes_come_from_the_bundle(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    found = sizes_of_bundle(bundle.folder, "synthesis", {"discriminator": "own"})
    assert found["loop"] == {"size": 32}
    expected = {"ngf": 8, "widths": "2,2,1,1", "z": 8, "attention": 8, "spectral": True}
    expected["latent"] = ""
    assert found["options"] == expected
    options = SynthesisOptions(discriminator="own", ndf=4, **found["options"])
    encoders = Encoders(bundle.folder)
    objective = SynthesisObjective(options, 32, encoders.text)
    initialise(objective, "synthesis", bundle.folder, encoders.vocabulary)
    assert objective.generator.config.ngf == 8


@pytest.mark.parametrize("part", ["manipulation", "inpainting"])
def test_the_encoders_width_is_no_option_of_training(part: str) -> None:
    photos = {"objective": "adversarial", "discriminator": "projected"}
    options = photos if part == "manipulation" else {}
    found = sizes_of_bundle(Path("weights/aviary"), part, options)
    assert found["loop"] == {"size": 64}
    assert "text" not in found["options"]
    assert found["options"]["z"] > 0
    parse_options(part, {**options, **found["options"]})


def test_a_text_encoder_alone_is_enough_for_synthesis(tmp_path: Path) -> None:
    """As an imported Efficient-T2I comes: a generator and a text encoder."""
    whole = tiny_bundle(tmp_path / "tiny")
    spec = {k: v for k, v in whole.task("synthesize").raw.items() if k != "files"}
    states = {role: whole.state("synthesize", role) for role in ("generator", "text_encoder")}
    save_task(tmp_path / "one", "synthesize", spec, states, name="one", words=WORDS)
    encoders = Encoders(tmp_path / "one")
    assert encoders.text.config.features == 16
    with pytest.raises(ConfigError, match="image encoder"):
        _ = encoders.image


def test_a_task_that_the_bundle_lacks_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    encoders = Encoders(bundle.folder)
    objective = SynthesisObjective(
        SynthesisOptions(ngf=4, ndf=4, discriminator_size=32), 32, encoders.text
    )
    with pytest.raises(UnknownBundle, match="damsm"):
        initialise(objective, "damsm", bundle.folder, encoders.vocabulary)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"widths": "4,4,2"}, "3 widths make pictures of 16 pixels, not 32; set widths to 4 "),
        ({"warmup_steps": 5}, "need reconstruction_weight"),
        ({"augment": "blur"}, "augment knows"),
        ({"discriminator": "projected", "taps": "2,16"}, "taps are numbers from 0 to 15"),
        ({"discriminator": "projected", "taps": ""}, "taps are numbers"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], sentence: str) -> None:
    text = TextEncoder(TextEncoderConfig(len(WORDS), 8, 16))
    chosen = SynthesisOptions(**{"discriminator": "own", "ngf": 4, "ndf": 4} | options)
    with pytest.raises(ModelsError, match=sentence):
        SynthesisObjective(chosen, 32, text)
