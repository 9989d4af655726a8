"""A further method of a task is a module and one line of the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.bundle import load_strict, save_task
from models.errors import UnknownBundle
from models.evaluation.runner import Runner
from models.pipeline import Item, Pipeline, Pixels, to_image, to_pixels
from models.registry import PIPELINES, load
from models.runtime.autotune import Memory, tune


class Colour(nn.Module):
    """Paints everything in the colour that its word has."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.rand(words, 3))

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [B] → [B,3,16,16] in [-1,1]."""
        return (2 * self.colours[ids] - 1)[:, :, None, None].expand(-1, -1, 16, 16)


class ColourPipeline(Pipeline[int]):
    """What a method's folder holds at least."""

    def __init__(self, *given: str) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        network = Colour(len(self.vocabulary))
        load_strict(network, self.bundle.state(self.task, "generator"), "colour")
        self.generator = self.prepare_module(network)

    def prepare(self, item: Item) -> int:
        return self.encode(item.text).ids[0]

    @torch.inference_mode()
    def forward(self, batch: Sequence[int]) -> list[Pixels]:
        return list(to_pixels(self.compute(self.generator, self.to_device(torch.tensor(batch)))))

    def finish(self, prepared: int, pixels: Pixels) -> Image.Image:
        return to_image(pixels)

    def example(self) -> Item:
        return Item(self.known_word, 0)


@pytest.fixture
def colour_bundle(tiny: Path, tmp_path: Path) -> Iterator[Path]:
    folder = shutil.copytree(tiny, tmp_path / "colour")
    words = json.loads((folder / "vocabulary.json").read_text())["words"]
    spec = {"method": "colour", "size": 16, "max_words": 4, "tokenizer": "regexp"}
    spec |= {"network": {}, "text_encoder": {}}
    states = {"generator": Colour(len(words)).state_dict()}
    save_task(folder, "synthesize", spec, states, name="colour", words=words)
    PIPELINES["synthesize"]["colour"] = f"{__name__}:ColourPipeline"
    yield folder
    del PIPELINES["synthesize"]["colour"]


def test_a_further_method_is_loaded_tuned_and_evaluated(colour_bundle: Path) -> None:
    pipeline = load(colour_bundle, "synthesize", None, "cpu")
    assert isinstance(pipeline, ColourPipeline)
    one, two = pipeline.run([Item("red", 1), Item("blue", 1)]).pictures
    assert isinstance(one, Image.Image)
    assert isinstance(two, Image.Image)
    assert one.size == (16, 16)
    assert len(np.unique(np.asarray(one).reshape(-1, 3), axis=0)) == 1
    assert np.any(np.asarray(one) != np.asarray(two))

    def loading(precision: str) -> Pipeline[int]:
        return load(colour_bundle, "synthesize", None, "cpu", precision)

    assert tune(loading, "float32", 4, Memory(None)).best_batch
    assert Runner(pipeline).run([Item("red", 1)])[0].size == (16, 16)


def test_a_method_that_this_version_lacks_is_named(colour_bundle: Path) -> None:
    line = PIPELINES["synthesize"].pop("colour")
    with pytest.raises(UnknownBundle, match="by no known method, not by 'colour'"):
        load(colour_bundle, "synthesize", None, "cpu")
    PIPELINES["synthesize"]["colour"] = line
