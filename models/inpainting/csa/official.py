"""CSA's files as its trainer saves them: import and export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import nn

from models.bundle import Bundle
from models.checkpoints.exporter import Content, role_files
from models.checkpoints.files import fit, need, read
from models.checkpoints.published import Published
from models.errors import BundleError
from models.inpainting.csa.network import ATTENTIVE, CoarseNetwork, CsaConfig, RefineNetwork


def read_published(files: Mapping[str, Path]) -> Published:
    """files: coarse, refine. Raises BundleError when they are of another kind."""
    names = {role: f"{role} {path.name}" for role, path in files.items()}
    states = {role: read(path) for role, path in files.items()}
    width = len(need(states["coarse"], "model.model.0.weight", names["coarse"]))
    levels = max(key.count("model.") for key in states["coarse"]) - 1
    if levels <= ATTENTIVE:
        raise BundleError(f"{names['coarse']}: a network of {levels} levels is none of CSA's.")
    config = CsaConfig(width, levels)
    roles: dict[str, nn.Module] = {"coarse": CoarseNetwork(config), "refine": RefineNetwork(config)}
    for role, network in roles.items():
        fit(network, states[role], names[role])
    return Published(1 << levels, asdict(config), roles)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """Bare state dicts."""
    return role_files(bundle, task, {"coarse": "net_P.pth", "refine": "net_G.pth"})
