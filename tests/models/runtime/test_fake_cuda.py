"""The CUDA path of every network and of every training, on fake tensors: dtypes, memory formats and
devices as on a GPU, without one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.registry import load
from tests.models.runtime.fake_cuda import DEVICE, Seen, fake, fake_cuda

WEIGHTS = Path(__file__).parents[3] / "weights"
ROWS, WORDS = 3, 8
# Convolutions that are given float32: where pictures and words enter, whose cast is the first thing
# done; and parts that keep float32, where rounding shows, with the first layer after them.
EXCEPTIONS = (
    *("encoder.block0.", "image.trunk._conv_stem", "main.h_net2.att.", "main.h_net3.att."),
    *("main.h_net2.channel_att.", "main.h_net3.channel_att.", "dcm.h_net.att."),
    "dcm.h_net.color_channel_att.",
    *("dcm.upsample.", "encoder.prior.", "generator.f_transformer.", "generator.generator."),
    "generator.decoder0.",
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
    return p._fill(images, mask, words, sentence, pad, fake(ROWS, *p._latent))


RUNS = {"synthesize": _draw, "manipulate": _edit, "inpaint": _fill}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", list(RUNS))
@pytest.mark.parametrize("bundle", ["aviary", "cub"])
def test_serving_stays_in_half_precision_and_channels_last(
    bundle: str, task: str, precision: str
) -> None:
    with fake_cuda() as mode, torch.no_grad():
        pipeline = load(WEIGHTS / bundle, task, None, "cuda:0", precision)
        seen = Seen()
        for name, network in vars(pipeline).items():
            if isinstance(network, nn.Module):
                seen.watch(network, name)
        with mode, pipeline.autocast():
            made = RUNS[task](pipeline)
    assert made.device.type == "cuda"
    assert made.shape == (ROWS, 3, pipeline.spec.size, pipeline.spec.size)
    assert seen.convolutions
    unexpected = [n for n in seen.float32_inputs if not n.startswith(EXCEPTIONS)]
    assert not unexpected, " ".join(unexpected)
    assert seen.norms_in_float32 == []
    assert seen.norms_in_rows == []
