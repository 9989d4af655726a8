"""PICNet's published files: import and export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from models.bundle import Bundle
from models.checkpoints.exporter import Content, exportable_config
from models.checkpoints.published import Published
from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.tdanet.official import PublishedPair, pair_files, pair_size


def read_published(files: Mapping[str, Path]) -> Published:
    """files: encoder, generator. Raises BundleError when they are of another kind."""
    pair = PublishedPair(files)
    config = PicnetConfig(**pair.sizes())
    roles = pair.fit(PicnetEncoder(config), PicnetGenerator(config))
    return Published(pair_size(config), asdict(config), roles)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """See :func:`models.inpainting.tdanet.official.pair_files`."""
    fixed = ("spectral", "convolution", "text", "text_attention")
    config = exportable_config(bundle, task, PicnetConfig, fixed)
    return pair_files(bundle, task, config, encoder=PicnetEncoder, generator=PicnetGenerator)
