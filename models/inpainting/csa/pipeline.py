"""Holes filled by CSA, the same for every seed."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from models.inpainting.csa.network import (
    CoarseNetwork,
    CsaConfig,
    RefineNetwork,
    coarse_input,
    refine_input,
)
from models.inpainting.pipeline import InpaintingPipeline
from models.pipeline import config_from


class CsaPipeline(InpaintingPipeline):
    """See :class:`models.pipeline.Pipeline`."""

    def load_networks(self) -> None:
        config = config_from(CsaConfig, self.spec.network, self.where)
        coarse = self.load_state(CoarseNetwork(config), "coarse")
        refine = self.load_state(RefineNetwork(config), "refine")
        self.coarse = cast("CoarseNetwork", self.prepare_module(coarse))
        self.refine = cast("RefineNetwork", self.prepare_module(refine))

    def _fill(self, *inputs: Tensor) -> Tensor:
        """images, mask: see :class:`InpaintingPipeline`."""
        images, mask = inputs
        coarse = self.coarse(coarse_input(images, mask)).to(images.dtype)
        made: Tensor = self.refine(refine_input(images, mask, coarse), 1 - mask)
        return made.float()
