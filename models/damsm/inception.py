"""The published DAMSM image encoder (AttnGAN section 3.2): Inception-v3 and two linear heads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import Inception3
from torchvision.models.vgg import make_layers

from models.bundle import Bundle, config_from, load_strict
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder

INPUT = 299  # pixels


class InceptionImageEncoder(Inception3):  # type: ignore[misc]
    """Pictures to region and global features. Keys as published, the trunk's torchvision's."""

    def __init__(self, features: int = 256) -> None:
        super().__init__(num_classes=1, aux_logits=False, init_weights=False)
        del self.avgpool, self.dropout, self.fc
        self._trunk = [name for name, _ in self.named_children()]
        self.emb_features = nn.Conv2d(768, features, 1, bias=False)
        self.emb_cnn_code = nn.Linear(2048, features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B,3,H,W] in [-1,1] → (regions [B,features,17,17], code [B,features])."""
        x = functional.interpolate(images, (INPUT, INPUT), mode="bilinear", align_corners=False)
        for name in self._trunk:
            x = self.get_submodule(name)(x)
            if name == "Mixed_6e":
                regions: Tensor = self.emb_features(x)
        code: Tensor = self.emb_cnn_code(x.mean((2, 3)))
        return regions, code


class VggDetail(nn.Module):
    """VGG-16 up to relu2_2, the DCM's detail feature. Keys are torchvision's ``features.N``."""

    channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.features = make_layers([64, 64, "M", 128, 128])

    def forward(self, images: Tensor) -> Tensor:
        """images [B,3,H,W] in [-1,1], without ImageNet normalisation → [B,128,H/2,W/2]."""
        return self.features(images)


ImageEncoder = CompactImageEncoder | InceptionImageEncoder


def open_image_encoder(bundle: Bundle, task: str) -> ImageEncoder:
    """That of a bundle's task, of either kind. Raises BundleError when its weights do not fit."""
    where = f"bundle {bundle.name!r}, {task}"
    options = dict(bundle.task(task).image_encoder or {})
    image: ImageEncoder
    if options.pop("kind", "compact") == "compact":
        image = CompactImageEncoder(config_from(CompactEncoderConfig, options, where))
    else:
        image = InceptionImageEncoder(**options)
    load_strict(image, bundle.state(task, "image_encoder"), f"{where}: image_encoder")
    return image


def described(image: nn.Module | None) -> dict[str, Any] | None:
    """What :func:`open_image_encoder` reads; None for none."""
    if image is None:
        return None
    if isinstance(image, CompactImageEncoder):
        return asdict(image.config)
    assert isinstance(image, InceptionImageEncoder)  # noqa: S101 (there are two kinds)
    return {"kind": "inception", "features": image.emb_features.out_channels}
