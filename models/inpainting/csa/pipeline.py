"""Holes filled by CSA, the same for every seed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.inpainting.csa.network import (
    CoarseNetwork,
    CsaConfig,
    RefineNetwork,
    coarse_input,
    refine_input,
)
from models.inpainting.pipeline import InpaintingPipeline
from models.inpainting.tdanet.network import compose
from models.pipeline import config_from


class CsaPipeline(InpaintingPipeline):
    traced = False  # on a CPU, attention takes as many steps as the hole has cells

    def load_networks(self) -> None:
        config = config_from(CsaConfig, self.spec.network, self.where)
        self.coarse = self.prepare_module(self.load_state(CoarseNetwork(config), "coarse"))
        self.refine = self.prepare_module(self.load_state(RefineNetwork(config), "refine"))

    def _fill(self, *inputs: Tensor) -> Tensor:
        """images, mask: see :class:`InpaintingPipeline`."""
        return self._both(*inputs)[1]

    def _both(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The coarse fill and the refined one, which is not bounded."""
        coarse = self.coarse(coarse_input(images, mask)).to(images.dtype)
        made: Tensor = self.refine(refine_input(images, mask, coarse), 1 - mask)
        return coarse, made.float()

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image [B,3,S,S] in [0,1], mask [B,1,S,S] (1 = known) → coarse, refined, composed."""
        images, mask = 2 * given["image"] - 1, given["mask"][:, :1]
        coarse, refined = self._both(images, mask)
        composed = compose(refined.clamp(-1, 1), images, mask)
        return {"coarse": coarse, "refined": refined, "composed": composed}
