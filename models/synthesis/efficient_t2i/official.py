"""Batch statistics of a generator estimated again from captions, as Efficient-T2I's authors do
before they score a checkpoint.

Their averaged weights are saved with the statistics of the live network. Their scripts for IS and
FID first run the network in train mode over training captions, which makes running means and
variances (momentum 0.1) and the singular vectors of spectral norms those of the averaged weights;
their notebook takes the file as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from models.bundle import Bundle, load_strict, save_task
from models.checkpoints.collect import collect
from models.checkpoints.exporter import Content, exportable_config
from models.checkpoints.files import add_aliases, drop_aliases, fit, need, read, read_beside
from models.checkpoints.published import UNCUT, Published
from models.damsm.official import read_text
from models.data.opening import open_photos
from models.errors import BundleError, ModelsError
from models.pipeline import config_from, generator
from models.registry import load
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig
from models.synthesis.pipeline import SynthesisPipeline

TASK = "synthesize"
# What the authors' code builds its networks by, beside their sizes, where the file that was
# imported does not say it.
_PARAMS = {"g_model": "biggan_deep", "norm": "batch"}


def recalibrate_bundle(
    folder: Path, where: str, out: Path, *, passes: int = 100, batch: int = 8, seed: int = 0
) -> Bundle:
    """Write the bundle in ``folder`` to ``out`` with new statistics, from ``passes`` batches of the
    first captions of the photos in ``where``; the defaults are the authors'.

    Raises ModelsError when the bundle synthesises by another method or knows no caption's words.
    """
    pipeline = load(folder, TASK, None, "cpu")
    if not isinstance(pipeline, SynthesisPipeline):
        raise ModelsError(f"Bundle {pipeline.bundle.name!r} has no batch statistics to estimate.")
    captions = _first_captions(pipeline, where)
    config = config_from(GeneratorConfig, pipeline.spec.network, TASK)
    network = Generator(config).train()
    load_strict(network, pipeline.bundle.state(TASK, "generator"), TASK)
    source = generator(seed)
    with torch.no_grad():
        for k in range(passes):
            rows = [captions[(k * batch + row) % len(captions)] for row in range(batch)]
            _, sentences = pipeline.text(*pipeline.captions(rows))
            network(torch.randn(batch, config.z, generator=source), sentences)
    made = collect(out, [folder])
    spec = {**made.task(TASK).raw, "recalibrated": {"passes": passes, "batch": batch, "seed": seed}}
    states = {role: made.stored(TASK, role) for role in made.task(TASK).files}
    return save_task(out, TASK, spec, {**states, "generator": network.state_dict()})


def _first_captions(pipeline: SynthesisPipeline, where: str) -> list[tuple[int, ...]]:
    """In the order of the training photos, those without a known word left out."""
    photos = open_photos(where, size=pipeline.spec.size)
    texts = [photos.caption_texts(index)[0] for index in range(len(photos))]
    found = [pipeline.encode(text).ids for text in texts if pipeline.knows(text)]
    if not found:
        raise ModelsError(f"Bundle {pipeline.bundle.name!r} knows no word of these captions.")
    return found


def read_published(files: Mapping[str, Path]) -> Published:
    """files: generator, text-encoder, captions. Blocks of the generator are listed a second time
    under ``main``. Upstream saves it under ``net`` of a training state, whose plain values come
    with it: ``it`` and ``netG_params``, by which the authors' code builds the network.
    """
    words, text = read_text(files)
    path = files["generator"]
    what = f"generator {path.name}"
    state, beside = read(path, inside="net"), read_beside(path, "net")
    rows, z = need(state, "block1.weight_orig", what).shape
    channels = [rows // 16]
    while f"block{2 * len(channels) + 1}.conv4.bias" in state:
        channels.append(len(state[f"block{2 * len(channels) + 1}.conv4.bias"]))
    ngf = channels[-1]
    condition = need(state, "block2.bn1.gammas_projection.weight_orig", what).shape[1]
    config = GeneratorConfig(
        ngf=ngf,
        widths=tuple(c // ngf for c in channels),
        z=z,
        sentence=condition - z,
        attention=_attention_resolution(state, channels, what),
    )
    network = Generator(config)
    fit(network, drop_aliases(state, _aliases(network), what), what)
    roles = {"generator": network, "text_encoder": text}
    published = {name: beside[name] for name in ("it", "netG_params") if name in beside}
    more = {"text_encoder": asdict(text.config), "published": published}
    return Published(config.size, asdict(config), roles, words, UNCUT, more)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """The averaged generator's training state, blocks listed a second time under ``main``."""
    config = exportable_config(bundle, task, GeneratorConfig, ("spectral", "latent"))
    with torch.device("meta"):
        aliases = _aliases(Generator(config))
    found = add_aliases(bundle.state(task, "generator"), aliases)
    beside = {"it": 0, **bundle.task(task).raw.get("published", {})}
    params = {**_PARAMS, "ngf": config.ngf, "z_dim": config.z}
    beside["netG_params"] = {**params, **beside.get("netG_params", {})}
    return {"netG.pth": {**beside, "optimizer": None, "net": found}}


def _aliases(network: Generator) -> dict[str, str]:
    return {f"main.{k}.": f"{name}." for k, name in enumerate(network.blocks)}


def _attention_resolution(state: Mapping[str, Tensor], channels: list[int], what: str) -> int:
    """Resolution of the attention layer: by its place in ``main``, else by its width; where that
    fits several, the published 64×64.
    """
    if "non_local.gamma" not in state:
        return 0
    width = need(state, "non_local.theta.weight_orig", what).shape[1]
    fitting = [4 << level for level, (a, _) in enumerate(pairwise(channels)) if a == width]
    listed = [4 << k // 2 for k in range(2 * len(channels)) if f"main.{k}.gamma" in state]
    if not fitting or not set(listed) <= set(fitting):
        raise BundleError(f"{what}: its attention layer fits no block.")
    return (listed or [r for r in fitting if r == 64] or fitting)[0]
