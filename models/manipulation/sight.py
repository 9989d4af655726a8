"""What ManiGAN's training looks at photos and pictures through: frozen networks of either kind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.damsm.efficientnet import EfficientNetLite
from models.damsm.image_encoder import CompactImageEncoder, PhotoFeatures
from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.manipulation.photo import InceptionPhotoEncoder, PhotoEncoder


class StemDetail(nn.Module):
    """The first layer of a compact trunk: what stands in for VGG's relu2_2 in small bundles."""

    def __init__(self, trunk: EfficientNetLite) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        """[B,3,H,W] in [-1,1] → [B,stem_width,H/2,W/2]."""
        return self.trunk.stem(images)


@dataclass(frozen=True)
class Sight:
    """image: pictures → (regions, code) in the captions' space; encoder: photos → what the networks
    see of them, ``channels`` being those of its regions and of its detail; detail: pictures → early
    features, for perceptual losses.
    """

    image: nn.Module
    encoder: PhotoEncoder
    detail: nn.Module
    channels: tuple[int, int]

    @torch.no_grad()
    def photo(self, images: Tensor) -> PhotoFeatures:
        """Of photos [B,3,S,S] in [-1,1], without a graph."""
        return self.encoder.photo(images)

    @property
    def shipped(self) -> dict[str, nn.Module]:
        """Networks that a bundle needs beside the image encoder, by role."""
        return {"detail": self.detail} if isinstance(self.detail, VggDetail) else {}


def compact_sight(image: CompactImageEncoder) -> Sight:
    """Everything by one small trunk."""
    return Sight(image, image, StemDetail(image.trunk), image.photo_channels)


def published_sight(image: InceptionImageEncoder, detail: VggDetail) -> Sight:
    """Regions and code by Inception-v3, detail by VGG-16."""
    detail.eval().requires_grad_(False)
    channels = image.emb_features.out_channels, detail.channels
    return Sight(image, InceptionPhotoEncoder(image, detail), detail, channels)
