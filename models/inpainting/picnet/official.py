"""PICNet's published files: import and export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from models.bundle import Bundle
from models.checkpoints.exporter import Content, add_prefix, published_config, with_aliases
from models.checkpoints.published import Published
from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.tdanet.official import PublishedPair


def read_published(files: Mapping[str, Path]) -> Published:
    """files: encoder, generator. Raises BundleError when they are of another kind."""
    pair = PublishedPair(files["encoder"], files["generator"])
    config = PicnetConfig(**pair.sizes())
    encoder, generator = PicnetEncoder(config), PicnetGenerator(config)
    pair.fit(encoder, generator)
    roles = {"encoder": encoder, "generator": generator}
    return Published(8 << len(config.encoder), asdict(config), roles)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """Every convolution under all of its names, each key with DataParallel's prefix."""
    fixed = ("spectral", "convolution", "text", "text_attention")
    config = published_config(bundle, task, PicnetConfig, fixed)
    with torch.device("meta"):
        networks = {"encoder": PicnetEncoder(config), "generator": PicnetGenerator(config)}
    return {
        f"net_{role[0].upper()}.pth": add_prefix(with_aliases(network, bundle.state(task, role)))
        for role, network in networks.items()
    }
