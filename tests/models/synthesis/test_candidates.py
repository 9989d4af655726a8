"""Less noise, and the best of several pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import InputProblem
from models.pipeline import Item, OutputWithAttention, Pipeline, Pixels
from models.registry import load
from models.runtime.precision import candidates
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.test_pipelines import warm_up
from tests.models.tiny import tiny_bundle

AVIARY = Path(__file__).parents[3] / "weights/aviary"
ITEM = Item("a red bird with blue wings", 7)
OTHERS = [Item("a green crown", 3), Item("the belly", 4, candidates=3), Item("red", 5)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "choosing", damsm=True).folder


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> Pipeline[Any]:
    return load(bundle, "synthesize", None, "cpu")


def made(pipeline: Pipeline[Any], *items: Item) -> list[tuple[Pixels, int]]:
    """Pixels of each item, and which of its candidates it is."""
    prepared = [pipeline.prepare(item) for item in items]
    outputs = pipeline.forward(prepared)
    return [
        (out.pixels if isinstance(out, OutputWithAttention) else out, pipeline.candidate(p, out))
        for p, out in zip(prepared, outputs, strict=True)
    ]


def noise(pipeline: Pipeline[Any], item: Item) -> torch.Tensor:
    z: torch.Tensor = pipeline.prepare(item).z
    return z


def test_the_first_candidate_is_the_picture_without_others(pipeline: Pipeline[Any]) -> None:
    z = noise(pipeline, ITEM)
    wanted = torch.randn(z.shape[1], generator=torch.Generator().manual_seed(7))
    assert torch.equal(z, wanted[None])
    many = noise(pipeline, replace(ITEM, candidates=16))
    assert torch.equal(many[:1], z)
    assert torch.equal(many[:5], noise(pipeline, replace(ITEM, candidates=5)))
    assert len({tuple(row.tolist()) for row in many}) == 16


def test_the_best_candidate_is_kept(pipeline: Pipeline[Any]) -> None:
    """By the agreement of each candidate, drawn by itself, with the text."""
    assert isinstance(pipeline, SynthesisPipeline)
    assert pipeline.encoders is not None
    chosen = set()
    for seed in range(6):
        item = replace(ITEM, seed=seed, candidates=8)
        ((pixels, candidate),) = made(pipeline, item)
        z, sentence = noise(pipeline, item), pipeline._sentences([pipeline.prepare(item)])
        with torch.inference_mode():
            drawn = torch.cat([pipeline.generator(row[None], sentence) for row in z])
            scores = pipeline.encoders.agreement(drawn, item.blend)
        assert scores[candidate] == pytest.approx(max(scores), abs=1e-5)
        best = (drawn[candidate].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) / 2
        assert np.abs(best - pixels).max() <= 1 / 255
        chosen.add(candidate)
    assert len(chosen) > 1


def test_the_choice_does_not_depend_on_the_batch(pipeline: Pipeline[Any]) -> None:
    wanted = replace(ITEM, candidates=8)
    ((alone, candidate),) = made(pipeline, wanted)
    for place in range(len(OTHERS) + 1):
        batch = [*OTHERS[:place], wanted, *OTHERS[place:]]
        pixels, again = made(pipeline, *batch)[place]
        assert again == candidate
        assert np.array_equal(pixels, alone)


@pytest.mark.skipif(
    "bfloat16" not in candidates(torch.device("cpu")), reason="this CPU serves in float32"
)
def test_the_shipped_weights_choose_the_same_in_bfloat16() -> None:
    pipeline: Pipeline[Any] = load(AVIARY, "synthesize", None, "cpu", "bfloat16")
    items = [replace(item, candidates=1 + k % 4) for k, item in enumerate(pipeline.examples(8))]
    alone = [made(pipeline, item)[0] for item in items]
    for (pixels, candidate), (wanted, first) in zip(made(pipeline, *items), alone, strict=True):
        assert candidate == first
        assert np.array_equal(pixels, wanted)


def test_candidates_are_drawn_in_batches_that_pay(bundle: Path) -> None:
    pipeline = load(bundle, "synthesize", None, "cpu")
    wanted = made(pipeline, replace(ITEM, candidates=7))
    sizes: list[int] = []
    draw = pipeline.generator.register_forward_pre_hook(
        lambda _, inputs: sizes.append(len(inputs[0]))
    )  # type: ignore[attr-defined]
    pipeline.best_batch = 3
    found = made(pipeline, replace(ITEM, candidates=7))
    draw.remove()
    assert sizes == [3, 3, 1]
    assert found[0][1] == wanted[0][1]


def test_explanations_are_of_the_chosen_picture(pipeline: Pipeline[Any]) -> None:
    item = replace(ITEM, candidates=8, explain=True)
    result = pipeline.run([item])
    assert list(result.explanations) == [0]
    output = pipeline.forward([pipeline.prepare(item)])[0]
    assert isinstance(output, OutputWithAttention)
    assert output.candidate == made(pipeline, replace(ITEM, candidates=8))[0][1]


def test_a_bundle_without_encoders_can_not_choose(tiny: Path) -> None:
    pipeline = load(tiny, "synthesize", None, "cpu")
    with pytest.raises(InputProblem, match="can't choose"):
        pipeline.prepare(replace(ITEM, candidates=2))


def test_noise_is_scaled(pipeline: Pipeline[Any]) -> None:
    z = noise(pipeline, ITEM)
    assert torch.equal(noise(pipeline, replace(ITEM, noise_scale=1.0)), z)
    assert torch.equal(noise(pipeline, replace(ITEM, noise_scale=0.5)), z * 0.5)
    still = [made(pipeline, replace(ITEM, seed=k, noise_scale=0.0))[0][0] for k in range(2)]
    assert np.array_equal(*still)
    assert not np.array_equal(still[0], made(pipeline, ITEM)[0][0])


def served(where: Path, damsm: bool) -> Path:
    folder = tiny_bundle(where / "served", damsm=damsm).folder
    raw = json.loads((folder / "bundle.json").read_text())
    raw["tasks"]["synthesize"]["serving"] = {"noise_scale": 0.5, "candidates": 4}
    (folder / "bundle.json").write_text(json.dumps(raw))
    return folder


def test_bundles_say_how_they_are_served(tmp_path: Path) -> None:
    pipeline = load(served(tmp_path, damsm=True), "synthesize", None, "cpu")
    assert pipeline.with_serving_options(ITEM) == replace(ITEM, noise_scale=0.5, candidates=4)
    assert pipeline.with_serving_options(ITEM, candidates=2) == replace(
        ITEM, noise_scale=0.5, candidates=2
    )
    warm_up(pipeline, 2)
    usual, pictures = pipeline.usual_batch([pipeline.prepare(item) for item in OTHERS])
    assert (len(usual), len(usual[0].z), pictures) == (1, 4, 4)


def test_a_bundle_without_encoders_serves_one_candidate(tmp_path: Path) -> None:
    pipeline = load(served(tmp_path, damsm=False), "synthesize", None, "cpu")
    assert pipeline.with_serving_options(ITEM) == replace(ITEM, noise_scale=0.5)
    warm_up(pipeline, 2)
    single = [pipeline.prepare(ITEM)] * 3
    assert pipeline.usual_batch(single) == (single, 3)
