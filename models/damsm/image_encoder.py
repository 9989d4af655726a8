"""The DAMSM image encoder for small bundles: a frozen compact trunk and a trained head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite, EfficientNetLite0


@dataclass(frozen=True)
class CompactEncoderConfig:
    """input_size: side to which pictures are resized (multiple of 16, regions are a sixteenth of
    it); taps: trunk blocks whose features make the regions; hidden: width of the head."""

    input_size: int = 128
    taps: tuple[int, ...] = (2, 4, 10)
    hidden: int = 192
    features: int = 256


@dataclass(frozen=True)
class PhotoFeatures:
    """What manipulation sees of a photo: code [B,features]; regions [B,C,r,r]; detail [B,D,H/2,W/2]
    of the photo at the network's own size."""

    code: Tensor
    regions: Tensor
    detail: Tensor


class CompactImageEncoder(nn.Module):
    """Pictures to region and global features in the text encoder's space.

    trunk: EfficientNet-Lite0 unless another is handed in (judging encoders look through Lite2).
    """

    def __init__(self, config: CompactEncoderConfig, trunk: EfficientNetLite | None = None) -> None:
        super().__init__()
        self.config = config
        self.trunk = trunk or EfficientNetLite0(max(config.taps))
        self.trunk.eval().requires_grad_(False)
        width = sum(self.trunk.widths[t] for t in config.taps)
        self.head = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, config.hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(config.hidden),
            nn.LeakyReLU(0.1),
            nn.Conv2d(config.hidden, config.hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(config.hidden),
            nn.LeakyReLU(0.1),
        )
        self.emb_features = nn.Conv2d(config.hidden, config.features, 1, bias=False)
        self.emb_cnn_code = nn.Linear(2 * config.hidden, config.features)

    def train(self, mode: bool = True) -> CompactImageEncoder:
        """The frozen trunk stays in eval mode: its batch statistics are ImageNet's."""
        super().train(mode)
        self.trunk.eval()
        return self

    @property
    def grid(self) -> int:
        """Regions per side."""
        return self.config.input_size // 16

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B,3,H,W] in [-1,1] → (regions [B,features,grid,grid], code [B,features])."""
        return self.embed(self.taps(images))

    def photo(self, images: Tensor) -> PhotoFeatures:
        """Features of photos [B,3,S,S] in [-1,1] for manipulation.

        Regions are the last two taps at the finer one's resolution (twice ``grid``); detail is the
        trunk's stem.
        """
        taps = self.taps(images)
        fine, coarse = (taps[t] for t in self.config.taps[-2:])
        side = (fine.shape[-2], fine.shape[-1])
        raised = functional.interpolate(coarse, side, mode="bilinear", align_corners=False)
        return PhotoFeatures(self.embed(taps)[1], torch.cat([fine, raised], 1), self.detail(images))

    def detail(self, images: Tensor) -> Tensor:
        """The trunk's stem [B,stem_width,H/2,W/2]: what stands in for VGG's relu2_2."""
        return self.trunk.stem(images)

    @property
    def image(self) -> CompactImageEncoder:
        """What sees regions and code; for photos of manipulation that may be another network."""
        return self

    @property
    def photo_channels(self) -> tuple[int, int]:
        """Channels of ``PhotoFeatures.regions`` and of ``PhotoFeatures.detail``."""
        return sum(self.trunk.widths[t] for t in self.config.taps[-2:]), self.trunk.stem_width

    def taps(self, images: Tensor) -> dict[int, Tensor]:
        """What the trunk sees of pictures [B,3,H,W] in [-1,1], by the number of its block."""
        size = self.config.input_size
        x = functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)
        return self.trunk(x, self.config.taps)

    def embed(self, taps: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """The outputs of :meth:`forward` from ``taps``."""
        grid = (self.grid, self.grid)
        stacked = [functional.adaptive_avg_pool2d(taps[t], grid) for t in self.config.taps]
        hidden = self.head(torch.cat(stacked, 1))
        pooled = torch.cat([hidden.mean((2, 3)), hidden.amax((2, 3))], 1)
        return self.emb_features(hidden), self.emb_cnn_code(pooled)
