"""Small networks of the methods that read no text, saved as their authors save theirs, and the
pictures that these make when they are run as published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.inpainting.csa.network import (
    CoarseNetwork,
    CsaConfig,
    RefineNetwork,
    coarse_input,
    refine_input,
)
from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.tdanet.network import compose
from tests.models.checkpoints.published import save, with_aliases
from tests.models.parity import rule

SEED = 1234


@dataclass(frozen=True)
class PublishedFiles:
    """files: by role, for the import; size: of the pictures; run: picture [B,3,S,S] in [-1,1] of
    images [B,3,S,S], mask [B,1,S,S] (1 = known) and a job's seed.
    """

    files: Mapping[str, Path]
    size: int
    run: Callable[[Tensor, Tensor, int], Tensor]


def picnet(folder: Path) -> PublishedFiles:
    """As PICNet's trainer saves them: under DataParallel, each convolution twice."""
    config = PicnetConfig((4, 8, 16), 1, (8, 4, 4), 3, 4, refine=1)
    networks: dict[str, nn.Module] = {
        "encoder": PicnetEncoder(config),
        "generator": PicnetGenerator(config),
    }
    files = {}
    for role, network in networks.items():
        prefix = f"picnet/{role[0].upper()}/"
        rule.filled(network, SEED, rule.picnet(prefix, SEED), prefix)
        path = folder / f"latest_net_{role[0].upper()}.pth"
        files[role] = save(with_aliases(network, network.state_dict()), path, "module.")
    encoder, generator = networks.values()

    def run(images: Tensor, mask: Tensor, seed: int) -> Tensor:
        with torch.no_grad():
            seen = encoder(images, mask)
            noise = torch.randn(1, config.z, 8, 8, generator=torch.Generator().manual_seed(seed))
            z = seen.mu + seen.sigma * noise
            made: Tensor = generator(z, seen.features[-1], seen.features[1], mask)[-1]
        return compose(made, images, mask)

    return PublishedFiles(files, 64, run)


def csa(folder: Path) -> PublishedFiles:
    """As CSA's trainer saves them: bare state dicts."""
    config = CsaConfig(4, 6)
    coarse, refine = CoarseNetwork(config), RefineNetwork(config)
    files = {}
    for role, net, network in (("coarse", "netP", coarse), ("refine", "netG", refine)):
        rule.filled(network, SEED, rule.csa(net), f"csa/{net}/")
        files[role] = save(network.state_dict(), folder / f"30_{net[:3]}_{net[3]}.pth")

    def run(images: Tensor, mask: Tensor, seed: int) -> Tensor:
        with torch.no_grad():
            first = coarse(coarse_input(images, mask))
            made: Tensor = refine(refine_input(images, mask, first), 1 - mask)
        return compose(made.clamp(-1, 1), images, mask)

    return PublishedFiles(files, 64, run)


METHODS: dict[str, Callable[[Path], PublishedFiles]] = {"picnet": picnet, "csa": csa}
