"""The part of a bundle that looks at photos for ManiGAN, of either kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.bundle import Bundle, load_strict
from models.damsm.image_encoder import CompactImageEncoder, PhotoFeatures
from models.damsm.inception import InceptionImageEncoder, VggDetail, open_image_encoder


class InceptionPhotoEncoder(nn.Module):
    """As published: regions and code by Inception-v3, detail by VGG-16."""

    keep_in_fp32 = ("detail",)

    def __init__(self, image: InceptionImageEncoder, detail: VggDetail) -> None:
        super().__init__()
        self.image, self.detail = image, detail

    def photo(self, images: Tensor) -> PhotoFeatures:
        regions, code = self.image(images)
        return PhotoFeatures(code, regions, self.detail(images))


PhotoEncoder = CompactImageEncoder | InceptionPhotoEncoder


def photo_encoder(bundle: Bundle, task: str, where: str) -> PhotoEncoder:
    """As the task's ``image_encoder`` describes it, weights loaded."""
    image = open_image_encoder(bundle, task)
    if not isinstance(image, InceptionImageEncoder):
        return image
    detail = VggDetail()
    load_strict(detail, bundle.state(task, "detail"), f"{where}: detail encoder")
    return InceptionPhotoEncoder(image, detail)


@dataclass(frozen=True)
class FrozenEncoders:
    """image: pictures → (regions, code) in the captions' space; encoder: photos → what the networks
    see of them, ``channels`` being those of its regions and of its detail; detail: pictures → early
    features, for perceptual losses.
    """

    image: nn.Module
    encoder: PhotoEncoder
    detail: Callable[[Tensor], Tensor]
    channels: tuple[int, int]

    @torch.no_grad()
    def photo(self, images: Tensor) -> PhotoFeatures:
        """Of photos [B,3,S,S] in [-1,1], without a graph."""
        return self.encoder.photo(images)

    def frozen(self, text: nn.Module) -> dict[str, nn.Module]:
        """All that a training looks through, by role."""
        return {"text_encoder": text, "image_encoder": self.image, **self.bundle_modules}

    @property
    def bundle_modules(self) -> dict[str, nn.Module]:
        """Networks that a bundle needs beside the image encoder, by role."""
        return {"detail": self.detail} if isinstance(self.detail, VggDetail) else {}


def compact_encoders(image: CompactImageEncoder) -> FrozenEncoders:
    """Everything by one small trunk, whose first layer stands in for VGG's relu2_2."""
    return FrozenEncoders(image, image, image.trunk.stem, image.photo_channels)


def published_encoders(image: InceptionImageEncoder, detail: VggDetail) -> FrozenEncoders:
    """Regions and code by Inception-v3, detail by VGG-16."""
    detail.eval().requires_grad_(False)
    channels = image.emb_features.out_channels, detail.channels
    return FrozenEncoders(image, InceptionPhotoEncoder(image, detail), detail, channels)
