"""Holes filled by PICNet: every picture of a job is a sample, the first one too, as its authors
sample; ``noise_scale`` 0 gives the mean, which is nearer to the truth.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.pipeline import InpaintingPipeline
from models.inpainting.tdanet.blocks import fold_blocks
from models.inpainting.tdanet.network import named_outputs
from models.pipeline import config_from


class PicnetPipeline(InpaintingPipeline):
    def load_networks(self) -> None:
        config = self.config = config_from(PicnetConfig, self.spec.network, self.where)
        encoder = fold_blocks(self.load_state(PicnetEncoder(config), "encoder").eval())
        network = fold_blocks(self.load_state(PicnetGenerator(config), "generator").eval())
        self.encoder, self.generator = self.prepare_module(encoder), self.prepare_module(network)
        cells = self.spec.size >> len(config.encoder)
        self.latent = config.z, cells, cells

    def _fill(self, *inputs: Tensor) -> Tensor:
        """images, mask, noise: see :class:`InpaintingPipeline`."""
        images, mask, noise = inputs
        seen = self.encoder(images, mask)
        z = seen.mu + seen.sigma * noise
        return self.generator(z, seen.features[-1], seen.features[self.config.feature], mask)[-1]

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image [B,3,S,S] in [0,1], mask [B,1,S,S] (1 = known), eps: see :func:`named_outputs`."""
        images, mask = 2 * given["image"] - 1, given["mask"][:, :1]
        code = self.encoder(images, mask)
        z, feature = code.mu + code.sigma * given["eps"], code.features[self.config.feature]
        pictures = self.generator(z, code.features[-1], feature, mask)
        return named_outputs(code.mu, code.sigma, pictures, images, mask)
