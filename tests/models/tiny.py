"""The smallest bundle that the real pipelines load: random weights, every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.bundle import Bundle, save_task
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.detail.network import DetailConfig, DetailNetwork
from models.inpainting.classical import CLASSICAL
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.manipulation.manigan.network import ManiganConfig, networks
from models.manipulation.sisgan.network import SentenceEncoder, SisganConfig, SisganGenerator
from models.manipulation.tagan.network import (
    TaganConfig,
    TaganDiscriminator,
    TaganDiscriminatorConfig,
    TaganGenerator,
)
from models.registry import PIPELINES
from models.synthesis.attngan.network import AttnganConfig, AttnganGenerator
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig
from tests.conftest import WORDS

SIZE = 32
TEXT = 16


NOTHING: Mapping[str, Any] = {}


def tiny_bundle(
    folder: Path,
    *,
    rnn: str = "lstm",
    manigan: Mapping[str, Any] = NOTHING,
    tdanet: Mapping[str, Any] = NOTHING,
    damsm: bool = False,
    detail: bool = False,
) -> Bundle:
    """A bundle of 32-pixel networks. manigan, tdanet: what differs from the published networks;
    damsm: also the encoders as a part of their own; detail: also a stage that enlarges by four.
    """
    torch.manual_seed(0)
    text_config = TextEncoderConfig(len(WORDS), 8, TEXT, rnn)
    image_config = CompactEncoderConfig(32, (2, 4), 8, TEXT)
    text, image = TextEncoder(text_config), CompactImageEncoder(image_config)
    common: dict[str, Any] = {
        "size": SIZE,
        "max_words": 12,
        "tokenizer": "regexp",
        "text_encoder": asdict(text_config),
        "image_encoder": None,
    }
    tasks = (_synthesis(), _manipulation(image, manigan), _inpainting(tdanet))
    for (task, method, network, modules), extra in zip(
        tasks,
        ({}, {"image_encoder": asdict(image_config)}, {"classical": list(CLASSICAL)}),
        strict=True,
    ):
        if task == "manipulate":
            modules["image_encoder"] = image
        states = {role: m.state_dict() for role, m in {**modules, "text_encoder": text}.items()}
        spec = {**common, "method": method, "network": network, **extra}
        bundle = save_task(folder, task, spec, states, name=folder.name, words=WORDS)
    if damsm:
        spec = {**common, "method": "damsm", "network": {}, "image_encoder": asdict(image_config)}
        states = {"image_encoder": image.state_dict(), "text_encoder": text.state_dict()}
        bundle = save_task(folder, "damsm", spec, states, words=WORDS)
    if detail:
        config = DetailConfig(8, 1, 4)
        network = DetailNetwork(config)
        nn.init.normal_(network.blocks.weight, std=0.05)  # it starts as bicubic
        spec = {**common, "method": "subpixel", "size": 128, "network": asdict(config)}
        bundle = save_task(folder, "detail", spec, {"network": network.state_dict()}, words=WORDS)
    return bundle


def tiny_method(folder: Path, method: str) -> Bundle:
    """A bundle of one method alone, of those in ``METHODS``, which also has variants."""
    torch.manual_seed(0)
    network, modules, more = METHODS[method]()
    method = method.split("-")[0]
    spec = {"method": method, "size": SIZE, "max_words": 12, "tokenizer": "regexp"}
    spec |= {"network": network, "text_encoder": {}, **more}
    states = {role: module.state_dict() for role, module in modules.items()}
    return save_task(folder, task_of(method), spec, states, name=folder.name, words=WORDS)


def task_of(method: str) -> str:
    method = method.split("-")[0]
    return next(task for task, known in PIPELINES.items() if method in known)


def _tagan() -> Method:
    config = TaganConfig(SIZE, 8, 1, 6, 8, 12)
    looks = TaganDiscriminatorConfig(8, 1, 8, 12)
    modules = {
        "generator": TaganGenerator(config),
        "discriminator": TaganDiscriminator(looks),
        "word_vectors": vectors(8),
    }
    return {**asdict(config), "discriminator": asdict(looks)}, modules, {}


def _sisgan(*, vgg: bool = False) -> Method:
    config = SisganConfig(SIZE, 8, 1, 6, 12, 8, vgg)
    modules = {
        "generator": SisganGenerator(config),
        "sentence_encoder": SentenceEncoder(8, 12),
        "word_vectors": vectors(8),
    }
    return asdict(config), modules, {"explains": False}


def _sisgan_of_damsm() -> Method:
    """As it is trained here."""
    text = TextEncoderConfig(len(WORDS), 8, TEXT)
    config = SisganConfig(SIZE, 8, 1, 6, TEXT, 0)
    modules = {"generator": SisganGenerator(config), "text_encoder": TextEncoder(text)}
    return asdict(config), modules, {"explains": False, "text_encoder": asdict(text)}


def _attngan() -> Method:
    text = TextEncoderConfig(len(WORDS), 8, TEXT)
    config = AttnganConfig(4, SIZE // 2, 2, 1, 8, 6, TEXT)
    modules = {"generator": AttnganGenerator(config), "text_encoder": TextEncoder(text)}
    return asdict(config), modules, {"explains": True, "text_encoder": asdict(text)}


def vectors(width: int) -> nn.Embedding:
    return nn.Embedding(len(WORDS), width, padding_idx=0)


Method = tuple[dict[str, Any], dict[str, nn.Module], dict[str, Any]]  # network, roles, more
METHODS: dict[str, Callable[[], Method]] = {
    "attngan": _attngan,
    "sisgan": _sisgan,
    "sisgan-vgg": partial(_sisgan, vgg=True),
    "sisgan-damsm": _sisgan_of_damsm,
    "tagan": _tagan,
}
Part = tuple[str, str, dict[str, Any], dict[str, nn.Module]]


def _synthesis() -> Part:
    config = GeneratorConfig(8, (2, 2, 1, 1), 8, TEXT, 8)
    return "synthesize", "efficient-t2i", asdict(config), {"generator": Generator(config)}


def _manipulation(image: CompactImageEncoder, changes: Mapping[str, Any]) -> Part:
    regions, detail = image.photo_channels
    config = replace(ManiganConfig(8, SIZE // 4, 1, 4, 4, TEXT, regions, detail, 8), **changes)
    return "manipulate", "manigan", asdict(config), networks(config)


def _inpainting(changes: Mapping[str, Any]) -> Part:
    config = replace(InpaintConfig((8, 8), 0, (8, 8), 2, 4, TEXT, 1), **changes)
    modules: dict[str, nn.Module] = {
        "encoder": InpaintEncoder(config),
        "generator": InpaintGenerator(config),
    }
    return "inpaint", "tdanet", asdict(config), modules
