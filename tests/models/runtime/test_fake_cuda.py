"""The CUDA path of every network and of every training, on fake tensors: dtypes, memory formats and
devices as on a GPU, without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoints.importer import import_published
from models.damsm.text_encoder import TextEncoder
from models.registry import load
from models.training.batch import Batch
from models.training.config import LoopOptions, read_preset
from models.training.loop import Loop
from models.training.objective import Objective
from models.training.parts import PARTS
from models.training.run import Run
from tests.models.inpainting.without_text import METHODS
from tests.models.runtime.fake_cuda import DEVICE, Seen, fake, fake_cuda, follow
from tests.models.training.photos import BATCH, NoisePhotos, TinyEncoders

WEIGHTS = Path(__file__).parents[3] / "weights"
ROWS, WORDS = 3, 8
# Convolutions that are given float32: where pictures and words enter, whose cast is the first thing
# done; and parts that keep float32, where rounding shows, with the first layer after them.
EXCEPTIONS = (
    *("coarse.model.model.0", "refine.model.model.0"),
    *("encoder.block0.", "image.trunk._conv_stem", "main.h_net2.att.", "main.h_net3.att."),
    *("main.h_net2.channel_att.", "main.h_net3.channel_att.", "dcm.h_net.att."),
    "dcm.h_net.color_channel_att.",
    *("dcm.upsample.", "encoder.prior.", "generator.f_transformer.", "generator.generator."),
    *("generator.decoder0.", "generator.encoder.0", "generator.h_net2.att."),
)


def _words(features: int) -> tuple[Tensor, Tensor, Tensor]:
    pad = torch.zeros(ROWS, WORDS, dtype=torch.bool, device=DEVICE)
    return fake(ROWS, features, WORDS), fake(ROWS, features), pad


def _draw(p: Any) -> Tensor:
    return p.generator(fake(ROWS, p.generator.config.z), fake(ROWS, p.text.config.features))


def _edit(p: Any) -> Tensor:
    z, noise = fake(ROWS, p.config.z), fake(ROWS, p.config.condition)
    return p._edit(z, noise, *_words(p.config.text), fake(ROWS, 3, p.config.size, p.config.size))


def _fill(p: Any) -> Tensor:
    side = p.spec.size
    words, sentence, pad = _words(p.config.text)
    images, mask = fake(ROWS, 3, side, side), fake(ROWS, 1, side, side)
    return p._fill(images, mask, words, sentence, pad, fake(ROWS, *p.latent))


RUNS = {"synthesize": _draw, "manipulate": _edit, "inpaint": _fill}


def _fill_without_text(p: Any) -> Tensor:
    side = p.spec.size
    noise = () if p.latent is None else (fake(ROWS, *p.latent),)
    return p._fill(fake(ROWS, 3, side, side), fake(ROWS, 1, side, side), *noise)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", list(RUNS))
@pytest.mark.parametrize("bundle", ["aviary", "cub"])
def test_serving_stays_in_half_precision_and_channels_last(
    bundle: str, task: str, precision: str
) -> None:
    _serve(WEIGHTS / bundle, task, precision, RUNS[task])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", list(METHODS))
def test_serving_without_text_does_so_too(method: str, precision: str, tmp_path: Path) -> None:
    made = import_published(method, METHODS[method](tmp_path).files, tmp_path / "bundle")
    _serve(made.folder, "inpaint", precision, _fill_without_text)


def _edit_by_vectors(p: Any) -> Tensor:
    sentence = fake(ROWS, p.generator.mu[0].part.in_features)
    photos = fake(ROWS, 3, p.spec.size, p.spec.size)
    return p._edit(fake(ROWS, *p.draws), sentence, photos)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", ["sisgan", "sisgan-vgg", "tagan"])
def test_serving_by_word_vectors_does_so_too(
    method: str, precision: str, tiny_methods: dict[str, Path]
) -> None:
    _serve(tiny_methods[method], "manipulate", precision, _edit_by_vectors)


def _draw_by_words(p: Any) -> Tensor:
    return p._picture(fake(ROWS, sum(p.draws)), *_words(p.generator.config.text))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_serving_by_attention_does_so_too(precision: str, tiny_methods: dict[str, Path]) -> None:
    _serve(tiny_methods["attngan"], "synthesize", precision, _draw_by_words)


def _serve(bundle: Path, task: str, precision: str, run: Any) -> None:
    with fake_cuda() as mode, torch.no_grad():
        pipeline = load(bundle, task, None, "cuda:0", precision)
        seen = Seen()
        for name, network in vars(pipeline).items():
            if isinstance(network, nn.Module):
                seen.watch(network, name)
        with mode, pipeline.autocast():
            made = run(pipeline)
    assert made.device.type == "cuda"
    assert made.shape == (ROWS, 3, pipeline.spec.size, pipeline.spec.size)
    assert seen.convolutions
    unexpected = [n for n in seen.float32_inputs if not n.startswith(EXCEPTIONS)]
    assert not unexpected, " ".join(unexpected)
    assert seen.norms_in_float32 == []
    assert seen.norms_in_rows == []


class Drawings(NoisePhotos):
    """With what they were drawn from."""

    latent = "n94"

    def batch(self, part: str, indices: Sequence[int], sources: Sequence[Any]) -> Batch:
        return replace(super().batch(part, indices, sources), code=torch.zeros(len(indices), 94))


class FakeFabric:
    """What the loop asks of Lightning Fabric, which wants a real card."""

    device, world_size, global_rank, is_global_zero = DEVICE, 1, 0, True

    def __init__(self, dtype: torch.dtype, objective: Objective) -> None:
        self.dtype, self.objective, self.backwards = dtype, objective, 0

    def autocast(self) -> torch.autocast:
        return torch.autocast("cuda", self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Zeros for gradients: torch's engine asks the driver for a context before it does more."""
        assert (loss.device, loss.dtype, loss.shape) == (DEVICE, torch.float32, ())
        assert loss.requires_grad
        for module in self.objective.modules.values():
            for weight in module.parameters():
                weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
        self.backwards += 1


def _read_captions_unpacked(objective: Objective) -> None:
    """In the place of recurrent networks, which ask for lengths that fakes don't know."""
    for network in {**objective.modules, **objective.frozen}.values():
        if isinstance(network, TextEncoder):
            network.forward = partial(_unpacked, network)  # type: ignore[method-assign]


def _unpacked(encoder: TextEncoder, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    vectors = encoder.encoder(ids).mean(2, keepdim=True)
    words = vectors.expand(-1, -1, encoder.config.features).transpose(1, 2)
    return words.contiguous(), words.mean(2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("preset", "part"),
    [
        *(("cub", part) for part in ("damsm", "synthesis", "manipulation", "inpainting", "detail")),
        ("cub", "detail generated"),
        ("aviary", "synthesis"),
        ("csa-cub", "inpainting"),
        ("picnet-cub", "inpainting"),
        ("attngan-cub", "synthesis"),
        ("sisgan-cub", "manipulation"),
        ("tagan-cub", "manipulation"),
    ],
)
def test_a_training_step_stays_on_the_device(
    preset: str, part: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    part, _, generated = part.partition(" ")
    data: Any = Drawings(64, labels=9)
    encoders: Any = None if part in ("damsm", "detail") else TinyEncoders()
    options = dict(read_preset(preset, part)["options"])
    options |= {"warmup_steps": 0} if "warmup_steps" in options else {}
    if part == "detail":
        options |= {"patch": 32, "adversarial_start": 1}
    if generated:
        Image.new("RGB", (8 * 16, 8 * 16)).save(tmp_path / "a.webp")
        options |= {"objective": generated, "generated": str(tmp_path)}
    objective = PARTS[part](options, data, encoders)
    objective.averaged = ()
    _read_captions_unpacked(objective)
    fabric: Any = FakeFabric(dtype, objective)
    loop_options = LoopOptions(batch=BATCH, size=64, steps=1, workers=0)
    seen = Seen()
    with fake_cuda() as mode:
        loop = Loop(objective, data, part, loop_options, Run(tmp_path), fabric)
        for phase in objective.optimizer_steps.values():
            follow(phase.optimiser)
        for name, network in {**objective.modules, **objective.frozen}.items():
            seen.watch(network, name)
        loop.step = 1  # from which all networks learn
        with mode:
            values = loop.advance()
    assert fabric.backwards == len(objective.optimizer_steps)
    assert {value.device for value in values.values()} == {DEVICE}
    assert seen.norms_in_float32 == []
    assert seen.norms_in_rows == []
