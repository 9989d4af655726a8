"""How much of a bird, or of a flower, an ImageNet classifier sees in pictures.

The mass of probability on the subject's classes, as a ratio to real photos of the same size in
pixels. No number of a distance says as plainly that a smear is no bird. EfficientNet-Lite2 reports;
where pictures or snapshots were chosen by this measure, Lite0 chose, and never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLiteClassifier

# Indices of ImageNet's 1,000 classes.
CLASSES: dict[str, tuple[int, ...]] = {
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    # Daisy and lady's slipper; rapeseed, hip, cardoon and artichoke; flowerpot and vase.
    "flower": (985, 986, 984, 989, 946, 944, 738, 883),
}
_QUANTILES = 0.05, 0.95  # of a map's values: what counts as 0 and as 1
NETWORKS = {"lite2": (2, 260), "lite0": (0, 224)}  # variant and native side in pixels


@dataclass(frozen=True)
class SubjectClassifier:
    """name: of the metrics (``bird_mass``; with Lite0 ``bird_mass_lite0``)."""

    subject: str
    by: str
    side: int
    network: EfficientNetLiteClassifier

    @property
    def suffix(self) -> str:
        return "" if self.by == "lite2" else f"_{self.by}"

    @torch.inference_mode()
    def mass(self, images: Tensor, batch: int = 16) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1] → float32 [N] in [0,1]."""
        classes = list(CLASSES[self.subject])
        found = [self.network(self._enlarged(x))[1].softmax(1) for x in images.split(batch)]
        return torch.cat([f[:, classes].sum(1) for f in found])

    @torch.inference_mode()
    def activation_maps(self, images: Tensor, batch: int = 16) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1] → float32 [N,1,S,S]: 1 where the subject is, 0 where
        it is not, by class activation maps (Zhou et al. 2016, section 2) of its classes, weighted
        as the classifier sees them.
        """
        return torch.cat([self._activation_map(x) for x in images.split(batch)])

    def _activation_map(self, images: Tensor) -> Tensor:
        features = self.network.features(self._enlarged(images))
        linear = cast("nn.Linear", self.network.head["_fc"])
        classes = list(CLASSES[self.subject])
        shares = linear(features.mean((2, 3)))[:, classes].softmax(1)
        weights = shares @ linear.weight[classes] - linear.weight.mean(0)
        active = torch.einsum("nchw,nc->nhw", features, weights)[:, None]
        raised = functional.interpolate(active, images.shape[-2:], mode="bilinear")
        low, high = (raised.flatten(1).quantile(q, 1)[:, None, None, None] for q in _QUANTILES)
        return ((raised - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)

    def _enlarged(self, images: Tensor) -> Tensor:
        side = (self.side, self.side)
        return functional.interpolate(images, side, mode="bicubic", antialias=True).clamp(-1, 1)


def subject_classifier(domain: str, by: str = "lite2") -> SubjectClassifier | None:
    """The one for pictures of ``domain`` ("birds", "flowers"); None for others.

    by: one of NETWORKS.
    """
    subject = next((name for name in CLASSES if domain == f"{name}s"), None)
    if subject is None:
        return None
    variant, side = NETWORKS[by]
    return SubjectClassifier(subject, by, side, EfficientNetLiteClassifier(variant))
