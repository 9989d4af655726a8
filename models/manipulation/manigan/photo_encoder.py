"""The part of a bundle that looks at photos for ManiGAN, of either kind."""

from __future__ import annotations

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

    @property
    def photo_channels(self) -> tuple[int, int]:
        return self.image.emb_features.out_channels, self.detail.channels

    def photo(self, images: Tensor) -> PhotoFeatures:
        regions, code = self.image(images)
        return PhotoFeatures(code, regions, self.detail(images))


# ``image`` sees pictures as (regions, code) in the captions' space, ``photo`` is what the networks
# see of photos, ``photo_channels`` being those of its regions and of its detail, and ``detail`` are
# early features, for perceptual losses.
PhotoEncoder = CompactImageEncoder | InceptionPhotoEncoder


def photo_encoder(bundle: Bundle, task: str, where: str) -> PhotoEncoder:
    """As the task's ``image_encoder`` describes it, weights loaded."""
    image = open_image_encoder(bundle, task)
    if not isinstance(image, InceptionImageEncoder):
        return image
    detail = VggDetail()
    load_strict(detail, bundle.state(task, "detail"), f"{where}: detail encoder")
    return InceptionPhotoEncoder(image, detail)


def bundle_modules(encoder: PhotoEncoder) -> dict[str, nn.Module]:
    """Networks that a bundle needs beside the image encoder, by role."""
    return {"detail": encoder.detail} if isinstance(encoder, InceptionPhotoEncoder) else {}


def frozen_modules(text: nn.Module, encoder: PhotoEncoder) -> dict[str, nn.Module]:
    """All that a training looks through, by role."""
    return {"text_encoder": text, "image_encoder": encoder.image, **bundle_modules(encoder)}
