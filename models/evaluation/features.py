"""Feature networks for KID, FID, IS and diversity; every number carries its network's name.

EfficientNet-Lite2 with ImageNet weights is what the package offers; nothing trains on it. The
official Inception weights are used when the user gives their file (see :mod:`.inception`).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.damsm.efficientnet import EfficientNetLiteClassifier, imagenet_path
from models.data.aviary.dataset import cache_folder
from models.evaluation.pictures import AnyPictures, chunks, resize, stack
from models.evaluation.progress import track
from models.files import write_whole


@dataclass(frozen=True)
class Features:
    """What a feature network says of N pictures: pooled float32 [N,D], logits float32 [N,K]."""

    pooled: Tensor
    logits: Tensor


class FeatureNetwork(Protocol):
    """name: in metric names; sha256: of the weights file; side: pixels at which it looks."""

    name: str
    sha256: str
    side: int

    def features(self, images: Tensor) -> Features:
        """Pictures float32 [N,3,S,S] in [-1,1], any S."""
        ...


def features_of(network: FeatureNetwork, pictures: AnyPictures) -> Features:
    """Features of pictures of one size, a chunk at a time."""
    parts = track(list(chunks(pictures)), f"features of {network.name}", len(pictures))
    found = [network.features(stack(pictures[part])) for part in parts]
    return Features(torch.cat([f.pooled for f in found]), torch.cat([f.logits for f in found]))


def cached_features(network: FeatureNetwork, pictures: AnyPictures, what: str) -> Features:
    """The same, kept in the user's cache folder for the next time.

    what: says which pictures they are, in which size and order.
    """
    name = hashlib.sha256(
        f"{what} {network.name} {network.sha256} {network.side}".encode()
    ).hexdigest()
    path = cache_folder() / "features" / f"{name[:32]}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):  # none yet, or a damaged one
        stored = safetensors.torch.load_file(path)
        return Features(stored["pooled"], stored["logits"])
    found = features_of(network, pictures)
    with suppress(OSError, SafetensorError):  # a full disk costs the next time, not this one
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {"pooled": found.pooled, "logits": found.logits}
        write_whole(path, safetensors.torch.save(stored))
    return found


class Lite2Features:
    """See :class:`FeatureNetwork`. Pictures are looked at with 128 pixels (native: 260), which is
    enough for small ones and four times faster.
    """

    name = "efficientnet-lite2"

    def __init__(self, side: int = 128) -> None:
        path = Path(imagenet_path(2))
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.side = side
        self.network = EfficientNetLiteClassifier(2)

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 32) -> Features:
        """See :meth:`FeatureNetwork.features`."""
        found = [self.network(resize(x, self.side)) for x in images.split(batch)]
        pooled, logits = zip(*found, strict=True)
        return Features(torch.cat(pooled), torch.cat(logits))
