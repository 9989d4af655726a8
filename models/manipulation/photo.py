"""The part of a bundle that looks at photos for ManiGAN, of either kind."""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from models.bundle import Bundle, load_strict
from models.damsm.image_encoder import PhotoFeatures
from models.damsm.inception import InceptionImageEncoder, VggDetail, image_encoder_of


class PhotoEncoder(Protocol):
    """Photos [B,3,S,S] in [-1,1] to what manipulation sees of them."""

    def photo(self, images: Tensor) -> PhotoFeatures: ...


class InceptionPhotoEncoder(nn.Module):
    """As published: regions and code by Inception-v3, detail by VGG-16."""

    keep_in_fp32 = ("detail",)

    def __init__(self, image: InceptionImageEncoder, detail: VggDetail) -> None:
        super().__init__()
        self.image, self.detail = image, detail

    def photo(self, images: Tensor) -> PhotoFeatures:
        regions, code = self.image(images)
        return PhotoFeatures(code, regions, self.detail(images))


def photo_encoder(bundle: Bundle, task: str, where: str) -> nn.Module:
    """A PhotoEncoder as the task's ``image_encoder`` describes it, weights loaded."""
    image = image_encoder_of(bundle.task(task).image_encoder, where)
    load_strict(image, bundle.state(task, "image_encoder"), f"{where}: image encoder")
    if not isinstance(image, InceptionImageEncoder):
        return image
    detail = VggDetail()
    load_strict(detail, bundle.state(task, "detail"), f"{where}: detail encoder")
    return InceptionPhotoEncoder(image, detail)


def as_photo_encoder(module: nn.Module) -> PhotoEncoder:
    return cast("PhotoEncoder", module)
