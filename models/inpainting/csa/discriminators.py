"""What judges CSA's fills in training: patches of pictures, and of VGG-16's features (paper section
3.4), by relativistic least squares. Keys as published.
"""

import torch
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from models.runtime.norms import ExactInstanceNorm

_SLOPE = 0.2
_RELU3, _RELU4 = 16, 22  # of its layers; the first is relu3_3 after its pooling, as published


class PatchDiscriminator(nn.Module):
    """Pictures [B,3,S,S] in [-1,1] to raw scores [B,1,S/8-2,S/8-2] (``netD``)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for a, b, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers.append(nn.Conv2d(a * width, b * width, 4, stride, 1))
            layers += [ExactInstanceNorm(b * width, affine=True), nn.LeakyReLU(_SLOPE)]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).float()


class FeatureDiscriminator(nn.Module):
    """Features [B,256,h,w] of VGG-16 to raw scores [B,512,h/8,w/8] (``netF``)."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(nn.Conv2d(256, 512, 4, 2, 1), nn.LeakyReLU(_SLOPE)),
            *(nn.Conv2d(512, 512, 4, 2, 1), ExactInstanceNorm(512), nn.LeakyReLU(_SLOPE)),
            nn.Conv2d(512, 512, 4, 2, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.model(features).float()


class VggFeatures(nn.Module):
    """VGG-16 up to relu4_3. Keys are torchvision's ``features.N``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = make_layers([64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B,3,S,S] in [-1,1], without ImageNet normalisation → relu3_3, pooled, and
        relu4_3: [B,256,S/8,S/8], [B,512,S/8,S/8].
        """
        middle = self.features[: _RELU3 + 1](images)
        return middle, self.features[_RELU3 + 1 : _RELU4 + 1](middle)


def relativistic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss of scores [B,C,h,w]: of every picture the real ones shall lie one
    above the mean of the fake ones, these one below that of the real ones. The generator's is the
    same with both exchanged.
    """
    means = [scores.mean((1, 2, 3), keepdim=True) for scores in (real, fake)]
    above = (real - means[1] - 1).square().mean()
    return 0.5 * torch.add(above, (fake - means[0] + 1).square().mean())
