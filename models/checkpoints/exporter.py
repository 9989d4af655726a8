"""Bundles back to the authors' file layouts, for their code and for comparison."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from jobs.captions import Vocabulary
from models.bundle import Bundle
from models.errors import BundleError
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.inpainting.tdanet.official import KEY_ALIASES
from models.manipulation.manigan.network import ManiganConfig
from models.pipeline import config_from
from models.registry import method_folders
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig

State = Mapping[str, Tensor]
Content = Mapping[str, Any]  # of one file: a state dict, or a training state that holds one
Config = TypeVar("Config")
# What the authors' code builds its networks by, beside their sizes, where the file that was
# imported does not say it.
_T2I_PARAMS = {"g_model": "biggan_deep", "norm": "batch"}


def published_config(bundle: Bundle, task: str, cls: type[Config], fixed: Sequence[str]) -> Config:
    """The task's configuration. Raises BundleError unless ``fixed`` are as published: the authors'
    code has no network of another kind, and would not load its weights.
    """
    config, usual = config_from(cls, bundle.task(task).network, f"bundle {bundle.name!r}"), cls()
    own = {name: getattr(config, name) for name in fixed}
    differing = [f"{k} = {v!r}" for k, v in own.items() if v != getattr(usual, k)]
    looks = bundle.task(task).image_encoder
    if looks and looks.get("kind") != "inception":
        differing.append("an image encoder other than Inception-v3")
    if differing:
        raise BundleError(
            f"Bundle {bundle.name!r} can't be written in the published layout of {task!r}: its "
            f"network differs by {', '.join(differing)}. Imported bundles can, and those trained "
            "with the preset official."
        )
    return config


def _manigan(bundle: Bundle, task: str) -> dict[str, Content]:
    published_config(bundle, task, ManiganConfig, ("norm", "combination", "modules"))
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
    config = published_config(
        bundle, task, InpaintConfig, ("spectral", "text_attention", "convolution")
    )
    with torch.device("meta"):
        networks = {"encoder": InpaintEncoder(config), "generator": InpaintGenerator(config)}
    files: dict[str, Content] = {}
    for (role, network), name in zip(networks.items(), ("net_E.pth", "net_G.pth"), strict=True):
        files[name] = add_prefix(with_aliases(network, bundle.state(task, role)))
    return files


def with_aliases(network: nn.Module, state: State) -> dict[str, Tensor]:
    found = dict(state)
    for block, module in network.named_modules():
        for alias, own in KEY_ALIASES.get(type(module), {}).items():
            start = f"{block}.{own}."
            for key in state:
                if key.startswith(start):
                    found[f"{block}.{alias}.{key.removeprefix(start)}"] = state[key]
    return found


def _efficient_t2i(bundle: Bundle, task: str) -> dict[str, Content]:
    """The averaged generator's training state, blocks listed a second time under ``main``."""
    config = published_config(bundle, task, GeneratorConfig, ("spectral", "latent"))
    with torch.device("meta"):
        blocks = Generator(config).blocks
    state = bundle.state(task, "generator")
    found = dict(state)
    for k, block in enumerate(blocks):
        for key in state:
            if key.startswith(f"{block}."):
                found[f"main.{k}.{key.removeprefix(f'{block}.')}"] = state[key]
    beside = {"it": 0, **bundle.task(task).raw.get("published", {})}
    params = {**_T2I_PARAMS, "ngf": config.ngf, "z_dim": config.z}
    beside["netG_params"] = {**params, **beside.get("netG_params", {})}
    return {"netG.pth": {**beside, "optimizer": None, "net": found}}


def add_prefix(state: State) -> dict[str, Tensor]:
    return {f"module.{key}": value for key, value in state.items()}


LAYOUTS: dict[str, tuple[str, Callable[[Bundle, str], dict[str, Content]]]] = {
    "manigan": ("manipulate", _manigan),
    "tdanet": ("inpaint", _tdanet),
    "efficient-t2i": ("synthesize", _efficient_t2i),
}


def _layout(method: str) -> tuple[str, Callable[[Bundle, str], dict[str, Content]]]:
    """The method's task, and what makes its files."""
    if method in LAYOUTS:
        return LAYOUTS[method]
    folder = method_folders()[method]
    return folder.task, folder.module("official").published_files


def export(folder: Path, layout: str, out: Path) -> list[Path]:
    """Write one task's files, text encoder or word vectors and captions file into ``out``; what was
    imported comes back bit by bit.

    Raises BundleError when the bundle's task is of another method, or of a network that the
    authors' code does not have.
    """
    bundle = Bundle.open(folder)
    task, files_of = _layout(layout)
    spec = bundle.task(task)
    if spec.method != layout:
        raise BundleError(
            f"Bundle {bundle.name!r} does {task!r} by {spec.method}, not by {layout}."
        )
    states, held = files_of(bundle, task), spec.files
    if "text_encoder" in held:
        states["text_encoder.pth"] = bundle.state(task, "text_encoder")
    out.mkdir(parents=True, exist_ok=True)
    for name, state in states.items():
        torch.save(dict(state), out / name)
    if not spec.reads_text:
        return [out / name for name in states]
    words = Vocabulary.load(bundle.vocabulary_path(task)).words
    index = dict(enumerate(words))
    content = [[], [], index, {word: k for k, word in index.items()}]
    (out / "captions.pickle").write_bytes(pickle.dumps(content, protocol=2))
    written = [*states, "captions.pickle"]
    if "word_vectors" in held:
        vectors = bundle.state(task, "word_vectors")["weight"].numpy()
        np.savez(out / "vectors.npz", vectors=vectors[1:], words=np.array(words[1:]))
        written.append("vectors.npz")
    return [out / name for name in written]
