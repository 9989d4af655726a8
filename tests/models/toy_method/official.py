"""Its published file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from models.bundle import Bundle
from models.checkpoints.exporter import Content
from models.checkpoints.files import fit, need, read
from tests.models.toy_method.pipeline import ToyConfig, ToyNetwork


def read_published(files: Mapping[str, Path]) -> tuple[int, ToyConfig, dict[str, nn.Module]]:
    state = read(files["network"])
    config = ToyConfig(need(state, "conv.weight", "toy").shape[-1])
    return 32, config, {"network": fit(ToyNetwork(config), state, "toy")}


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    return {"toy.pth": bundle.state(task, "network")}
