"""TAGAN's published files: import and export. Bare state dicts; word vectors come beside them, for
the authors' code asks fastText for them word by word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from models.bundle import Bundle
from models.checkpoints.exporter import Content, role_files
from models.checkpoints.files import count, fit, need, read
from models.checkpoints.published import Published
from models.checkpoints.word_vectors import read_vectors, read_vocabulary, vector_note
from models.manipulation.tagan.network import (
    TaganConfig,
    TaganDiscriminator,
    TaganDiscriminatorConfig,
    TaganGenerator,
)

_MAX_WORDS = 50  # of the authors' tables


def read_published(files: Mapping[str, Path]) -> Published:
    """files: generator, vectors, captions, and for explanations and further training discriminator.
    Raises BundleError when they are of another kind.
    """
    what, state = f"generator {files['generator'].name}", read(files["generator"])
    looks, discriminator = _discriminator(files.get("discriminator"))
    hidden, words = (need(state, f"txt_encoder_f.weight_{k}", what).shape[1] for k in ("hh", "ih"))
    config = TaganConfig(
        size=16 << looks.stages if looks else TaganConfig.size,
        ngf=len(need(state, "encoder.0.weight", what)),
        blocks=count(state, "residual_blocks.{}.encoder.", what, start=3),
        condition=len(need(state, "mu.0.weight", what)),
        words=words,
        hidden=hidden,
    )
    roles: dict[str, nn.Module] = {"generator": fit(TaganGenerator(config), state, what)}
    network: dict[str, Any] = asdict(config)
    if looks and discriminator:
        roles["discriminator"] = discriminator
        network["discriminator"] = asdict(looks)
    asked = read_vocabulary(files["captions"])
    known, roles["word_vectors"] = read_vectors(files["vectors"], asked, words)
    more, notes = {"explains": discriminator is not None}, [vector_note(asked, known)]
    return Published(config.size, network, roles, known, _MAX_WORDS, more, notes)


def _discriminator(
    path: Path | None,
) -> tuple[TaganDiscriminatorConfig, nn.Module] | tuple[None, None]:
    if path is None:
        return None, None
    what, state = f"discriminator {path.name}", read(path)
    hidden, words = (need(state, f"txt_encoder_f.weight_{k}", what).shape[1] for k in ("hh", "ih"))
    ndf, stages = len(need(state, "encoder_1.0.weight", what)), count(state, "gen_filter.{}.", what)
    config = TaganDiscriminatorConfig(ndf, stages, words, hidden)
    return config, fit(TaganDiscriminator(config), state, what)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """The networks' files."""
    names = {"generator": "generator.pth", "discriminator": "discriminator.pth"}
    return role_files(bundle, task, names)
