"""PICNet, Pluralistic Image Completion (Zheng, Cham and Cai, CVPR 2019): TDANet without words.

The encoder of the visible pixels gives the latent's distribution and the features that the
generator goes on from; blocks, attention, pyramids and discriminators are TDANet's, which grew out
of it. Masks are 1 = known. Keys as published, without the aliases under ``model`` and ``shortcut``.
"""

from dataclasses import dataclass

from torch import Tensor

from models.inpainting.tdanet.blocks import ResBlock
from models.inpainting.tdanet.network import FeatureEncoder, InpaintConfig, Painter


@dataclass(frozen=True)
class PicnetConfig(InpaintConfig):
    """Defaults are the published network, 256×256."""

    encoder: tuple[int, ...] = (32, 64, 128, 128, 128)
    decoder: tuple[int, ...] = (128, 128, 128, 64, 32)
    z: int = 128
    text: int = 0
    text_attention: bool = False


@dataclass(frozen=True)
class Encoded:
    """features: every level [B,C,h,w]; mu, sigma [B,z,h,w] of the prior."""

    features: list[Tensor]
    mu: Tensor
    sigma: Tensor


class PicnetEncoder(FeatureEncoder):
    """A masked picture to a latent distribution and features (``net_E``)."""

    def __init__(self, config: PicnetConfig) -> None:
        super().__init__(config)
        deep, spectral = config.encoder[-1], config.spectral
        self.prior = ResBlock(deep, 2 * config.z, deep, spectral)
        self.posterior = ResBlock(deep, 2 * config.z, deep, spectral)

    def forward(self, images: Tensor, mask: Tensor) -> Encoded:
        """images [B,3,S,S] in [-1,1]; mask [B,1,S,S]: the test-time path."""
        features = self.pyramid(images * mask, mask)
        return Encoded(features, *self.distribution(self.prior, self.refine(features[-1])))


class PicnetGenerator(Painter):
    """Latent and features to pictures from coarse to fine (``net_G``)."""

    keep_in_fp32 = ("generator",)

    def forward(self, z: Tensor, deepest: Tensor, known: Tensor, mask: Tensor) -> list[Tensor]:
        """z [B,z,h,w]; deepest [B,encoder[-1],h,w]: the encoder's last feature as it is, not the
        refined one; known: its feature ``config.feature``; mask [B,1,S,S]. Pictures: see
        :meth:`models.inpainting.tdanet.network.Painter.paint`.
        """
        return self.paint(deepest + self.generator(z.to(deepest.dtype)), known, mask)[0]
