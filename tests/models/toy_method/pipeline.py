"""One convolution of the photo with its hole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.inpainting.pipeline import InpaintingPipeline
from models.pipeline import config_from


@dataclass(frozen=True)
class ToyConfig:
    kernel: int = 3


class ToyNetwork(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(4, 3, config.kernel, padding=config.kernel // 2)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        made: Tensor = self.conv(torch.cat([images * mask, mask], 1))
        return made


class ToyPipeline(InpaintingPipeline):
    def load_networks(self) -> None:
        network = ToyNetwork(config_from(ToyConfig, self.spec.network, self.where))
        self.network = self.prepare_module(self.load_state(network, "network"))

    def _fill(self, *inputs: Tensor) -> Tensor:
        made: Tensor = self.network(*inputs)
        return made.float()
