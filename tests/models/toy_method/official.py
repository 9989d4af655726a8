"""Its published file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from models.bundle import Bundle
from models.checkpoints.exporter import Content
from models.checkpoints.files import fit, need, read
from models.checkpoints.published import Published
from tests.models.toy_method.pipeline import ToyConfig, ToyNetwork


def read_published(files: Mapping[str, Path]) -> Published:
    state = read(files["network"])
    config = ToyConfig(need(state, "conv.weight", "toy").shape[-1])
    return Published(32, asdict(config), {"network": fit(ToyNetwork(config), state, "toy")})


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    return {"toy.pth": bundle.state(task, "network")}
