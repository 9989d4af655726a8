"""Bundles back to the authors' file layouts, for their code and for comparison."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jobs.captions import Vocabulary
from models.bundle import Bundle
from models.errors import BundleError
from models.imports.networks import TDANET_ALIASES
from models.inpainting.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.pipeline import config_from
from models.synthesis.network import Generator, GeneratorConfig

State = Mapping[str, Tensor]
Content = Mapping[str, Any]  # of one file: a state dict, or a training state that holds one


def _manigan(bundle: Bundle, task: str) -> dict[str, Content]:
    roles = {
        "main": "main.pth",
        "dcm": "dcm.pth",
        "image_encoder": "image_encoder.pth",
        "detail": "vgg16.pth",
    }
    held = bundle.task(task).files
    return {name: bundle.state(task, role) for role, name in roles.items() if role in held}


def _tdanet(bundle: Bundle, task: str) -> dict[str, Content]:
    """Every convolution under all of its names, each key with DataParallel's prefix."""
    config = config_from(InpaintConfig, bundle.task(task).network, f"bundle {bundle.name!r}")
    with torch.device("meta"):
        networks = {"encoder": InpaintEncoder(config), "generator": InpaintGenerator(config)}
    files: dict[str, Content] = {}
    for (role, network), name in zip(networks.items(), ("net_E.pth", "net_G.pth"), strict=True):
        files[name] = _prefixed(_doubled(network, bundle.state(task, role)))
    return files


def _doubled(network: nn.Module, state: State) -> dict[str, Tensor]:
    found = dict(state)
    for block, module in network.named_modules():
        for alias, own in TDANET_ALIASES.get(type(module), {}).items():
            start = f"{block}.{own}."
            for key in state:
                if key.startswith(start):
                    found[f"{block}.{alias}.{key.removeprefix(start)}"] = state[key]
    return found


def _efficient_t2i(bundle: Bundle, task: str) -> dict[str, Content]:
    """The averaged generator's training state, blocks listed a second time under ``main``."""
    config = config_from(GeneratorConfig, bundle.task(task).network, f"bundle {bundle.name!r}")
    with torch.device("meta"):
        blocks = Generator(config).blocks
    state = bundle.state(task, "generator")
    found = dict(state)
    for k, block in enumerate(blocks):
        for key in state:
            if key.startswith(f"{block}."):
                found[f"main.{k}.{key.removeprefix(f'{block}.')}"] = state[key]
    sizes = {"ngf": config.ngf, "z_dim": config.z}
    return {"netG.pth": {"it": 0, "optimizer": None, "net": found, "netG_params": sizes}}


def _prefixed(state: State) -> dict[str, Tensor]:
    return {f"module.{key}": value for key, value in state.items()}


LAYOUTS: dict[str, tuple[str, Callable[[Bundle, str], dict[str, Content]]]] = {
    "manigan": ("manipulate", _manigan),
    "tdanet": ("inpaint", _tdanet),
    "efficient-t2i": ("synthesize", _efficient_t2i),
}


def export(folder: Path, layout: str, out: Path) -> list[Path]:
    """Write one task's files, text encoder and captions file into ``out``; what was imported comes
    back bit by bit.

    Raises BundleError when the bundle's task is of another method.
    """
    bundle = Bundle.open(folder)
    task, files_of = LAYOUTS[layout]
    spec = bundle.task(task)
    if spec.method != layout:
        raise BundleError(
            f"Bundle {bundle.name!r} does {task!r} by {spec.method}, not by {layout}."
        )
    out.mkdir(parents=True, exist_ok=True)
    states = {**files_of(bundle, task), "text_encoder.pth": bundle.state(task, "text_encoder")}
    for name, state in states.items():
        torch.save(dict(state), out / name)
    index = dict(enumerate(Vocabulary.load(bundle.vocabulary_path(task)).words))
    content = [[], [], index, {word: k for k, word in index.items()}]
    (out / "captions.pickle").write_bytes(pickle.dumps(content, protocol=2))
    return [out / name for name in (*states, "captions.pickle")]
