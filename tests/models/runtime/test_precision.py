"""Fewer bits where they do not show, float32 where they would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.inpainting.tdanet.pipeline import TdanetPipeline
from models.manipulation.manigan.pipeline import ManiganPipeline
from models.pipeline import Pipeline
from models.registry import load
from models.runtime.autotune import psnr
from models.runtime.precision import (
    KeepInFp32,
    batch_invariant_linear,
    candidates,
    cast_weights,
    logits,
)

AVIARY = Path(__file__).parents[3] / "weights/aviary"


class Network(nn.Module):
    keep_in_fp32 = ("first",)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 1))
        self.last = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(x))
        return out


@pytest.fixture
def autocast() -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16):
        yield


def test_only_kernels_are_lowered_and_only_where_it_does_not_show() -> None:
    network = cast_weights(Network(), torch.bfloat16)
    kinds = {name: value.dtype for name, value in network.named_parameters()}
    assert {name for name, dtype in kinds.items() if dtype == torch.bfloat16} == {
        "last.0.weight",
        "last.0.bias",
    }


def test_a_sensitive_part_computes_in_float32(autocast: None) -> None:
    part = nn.Conv2d(3, 4, 1)
    x = torch.randn(1, 3, 4, 4)
    with torch.autocast("cpu", enabled=False):
        wanted = part(x)
    assert torch.equal(KeepInFp32(part)(x), wanted)


def test_a_linear_part_gives_a_row_the_same_bits_in_any_batch() -> None:
    layer = nn.Linear(320, 700)
    x = torch.randn(11, 320)
    whole = batch_invariant_linear(layer, x)
    assert torch.allclose(whole, layer(x), atol=1e-5)
    for count in (1, 2, 3, 5, 8):
        assert torch.equal(KeepInFp32(layer)(x[:count]), whole[:count])


def test_logits_are_not_rounded(autocast: None) -> None:
    queries, keys = torch.randn(1, 5, 8), torch.randn(1, 8, 6)
    wanted = (queries.double() @ keys.double()).float()
    assert torch.allclose(logits(queries, keys), wanted, atol=1e-5)
    assert logits(queries.bfloat16(), keys.bfloat16()).dtype == torch.float32


def test_float32_is_always_a_candidate() -> None:
    assert candidates(torch.device("cpu"))[0] == "float32"
    assert candidates(torch.device("meta")) == ("float32",)


@pytest.mark.parametrize("task", ["synthesize", "manipulate", "inpaint"])
def test_bfloat16_is_close_to_float32_and_the_same_in_any_batch(tiny: Path, task: str) -> None:
    full, half = (load(tiny, task, None, "cpu", kind) for kind in ("float32", "bfloat16"))
    prepared = [full.prepare(item) for item in full.examples(5)]
    wanted = [full.forward([p])[0] for p in prepared]
    alone = [half.forward([p])[0] for p in prepared]
    assert min(psnr(a, b) for a, b in zip(wanted, alone, strict=True)) > 35  # untrained networks
    for a, b in zip(alone, half.forward(prepared), strict=True):
        assert np.abs(a - b).max() <= 2 / 255


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(
    "bfloat16" not in candidates(torch.device("cpu")), reason="this CPU serves in float32"
)
@pytest.mark.parametrize("name", ["aviary", "cub", "flowers"])
def test_synthesis_in_bfloat16_is_the_same_to_the_bit_in_any_batch(
    threads: None, name: str
) -> None:
    pipeline: Pipeline[object] = load(AVIARY.parent / name, "synthesize", None, "cpu", "bfloat16")
    prepared = [pipeline.prepare(item) for item in pipeline.examples(12)]
    alone = [pipeline.forward([one])[0] for one in prepared]
    for size in (2, 3, 8, 12):
        together = pipeline.forward(prepared[:size])
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=False)), size


def test_sensitive_parts_of_the_pipelines_keep_float32(tiny: Path) -> None:
    edit, fill = (load(tiny, task, None, "cpu", "bfloat16") for task in ("manipulate", "inpaint"))
    assert isinstance(edit, ManiganPipeline)
    assert isinstance(fill, TdanetPipeline)
    assert edit.dcm is not None
    for part in (edit.dcm.upsample, fill.encoder.prior, fill.generator.f_transformer):
        assert isinstance(part, KeepInFp32)
        assert {p.dtype for p in part.parameters()} <= {torch.float32}


def test_examples_differ(tiny: Path) -> None:
    pipeline: Pipeline[object] = load(tiny, "synthesize", None, "cpu")
    items = pipeline.examples(9)
    assert len({item.seed for item in items}) == 9
    assert len({item.text for item in items}) > 3
