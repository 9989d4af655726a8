"""The published DAMSM image encoder (AttnGAN section 3.2): Inception-v3 and two linear heads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception as parts
from torchvision.models.vgg import make_layers

from models.bundle import Bundle, config_from, load_strict
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder

INPUT = 299  # pixels


class InceptionImageEncoder(nn.Module):
    """Pictures to region and global features. Keys as published, the trunk's torchvision's."""

    def __init__(self, features: int = 256) -> None:
        super().__init__()
        conv = parts.BasicConv2d
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
            self.add_module(f"Mixed_{name}", parts.InceptionA(channels, pool_features=pooled))
        self.Mixed_6a = parts.InceptionB(288)
        for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            self.add_module(f"Mixed_{name}", parts.InceptionC(768, channels_7x7=width))
        self.Mixed_7a = parts.InceptionD(768)
        self.Mixed_7b = parts.InceptionE(1280)
        self.Mixed_7c = parts.InceptionE(2048)
        self.emb_features = nn.Conv2d(768, features, 1, bias=False)
        self.emb_cnn_code = nn.Linear(2048, features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B,3,H,W] in [-1,1] → (regions [B,features,17,17], code [B,features])."""
        x = functional.interpolate(images, (INPUT, INPUT), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = functional.max_pool2d(x, 3, 2)
        x = functional.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"):
            x = self.get_submodule(f"Mixed_{name}")(x)
        regions: Tensor = self.emb_features(x)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        code: Tensor = self.emb_cnn_code(torch.flatten(x.mean((2, 3)), 1))
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
