"""Bundles of the published networks at 256×256, as preset ``official`` trains them, with weights by
the rule that the parity tests draw theirs by: no file of weights is needed to measure speed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.bundle import Bundle, save_task
from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.inpainting.tdanet.convolutions import SpectralConv
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.manipulation.manigan.network import ManiganConfig, networks
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig
from tests.models.parity import rule

_SEED = 1234
_WORDS = ["<end>", "a", "bird", *(f"word{k}" for k in range(3, 5450))]  # as many as CUB's have
_SETTLED = 20  # power iterations; trained weights have seen thousands


def bundle(folder: Path, task: str) -> Bundle:
    """A bundle of this task alone."""
    torch.manual_seed(_SEED)
    method, config, scale = _PARTS[task]
    modules = _networks(task, config)
    text = TextEncoderConfig(len(_WORDS))
    modules["text_encoder"] = TextEncoder(text)
    states = {
        role: _converge_spectral_norms(rule.filled(module, _SEED, scale)).state_dict()
        for role, module in modules.items()
    }
    spec: Mapping[str, Any] = {
        "method": method,
        "size": 256,
        "max_words": 18,
        "tokenizer": "regexp",
        "network": asdict(config),
        "text_encoder": asdict(text),
        "image_encoder": {"kind": "inception"} if "detail" in modules else None,
    }
    return save_task(folder, task, spec, states, name=folder.name, words=_WORDS)


@contextmanager
def opened(task: str, shipped: Path | None) -> Iterator[Path]:
    """The shipped bundle's folder, or that of the task's published network while it is used."""
    if shipped is not None:
        yield shipped
        return
    with tempfile.TemporaryDirectory() as name:
        yield bundle(Path(name) / "official", task).folder


def _networks(task: str, config: Any) -> dict[str, nn.Module]:
    """By role."""
    if task == "synthesize":
        return {"generator": Generator(config)}
    if task == "inpaint":
        return {"encoder": InpaintEncoder(config), "generator": InpaintGenerator(config)}
    return {**networks(config), "image_encoder": InceptionImageEncoder(), "detail": VggDetail()}


# task -> method, configuration, the rule's scale
_PARTS: dict[str, tuple[str, Any, rule.Scale]] = {
    "synthesize": ("efficient-t2i", GeneratorConfig(), rule.efficient_t2i),
    "manipulate": ("manigan", ManiganConfig(), rule.manigan),
    "inpaint": ("tdanet", InpaintConfig(), rule.tdanet),
}


def _converge_spectral_norms(module: nn.Module) -> nn.Module:
    """Singular vectors of all spectral norms as after training."""
    rule.settle_spectral(module, _SETTLED)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, SpectralConv):
                layer.train()
                for _ in range(_SETTLED):
                    layer.weight()
    return module.eval()
