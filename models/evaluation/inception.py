"""The official Inception-v3 of FID, when the user gives its weights file.

The network of 2015-12-05 differs from torchvision's in its pooling: averages leave the padding out,
and the last block takes a maximum. Its classifier has 1008 outputs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import Inception3
from torchvision.models import inception as parts

from models.checkpoints.files import need, read
from models.errors import BundleError, ModelsError
from models.evaluation.features import Features
from models.evaluation.pictures import resize

_SIDE = 299


class InceptionFileError(ModelsError):
    """The file does not hold Inception-v3 weights; the text says what it holds."""


class _LastBlock(parts.InceptionE):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        *others, _ = super()._forward(x)
        return [*others, self.branch_pool(functional.max_pool2d(x, 3, stride=1, padding=1))]


def _without_padding(_module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """torchvision's averages over 3×3 cells, of the cells alone that lie inside."""
    inside = functional.avg_pool2d(torch.ones_like(inputs[0][:1, :1]), 3, stride=1, padding=1)
    return inputs[0] / inside


def fid_network() -> nn.Module:
    """Inception-v3 of FID with random weights; keys are those of the public PyTorch conversion."""
    network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    for block in network.children():
        if isinstance(block, parts.InceptionA | parts.InceptionC | parts.InceptionE):
            block.branch_pool.register_forward_pre_hook(_without_padding)
    network.Mixed_7c = _LastBlock(2048)
    return network


class InceptionFeatures:
    """See :class:`models.evaluation.features.FeatureNetwork`."""

    side = _SIDE

    def __init__(self, network: nn.Module, name: str, sha256: str) -> None:
        self.network, self.name, self.sha256 = network.eval().requires_grad_(False), name, sha256
        self._classifier = cast("nn.Module", network.fc)
        network.fc = nn.Identity()

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 16) -> Features:
        """Pictures float32 [N,3,S,S] in [-1,1] → pooled [N,2048] and logits. They are resized
        without antialiasing, as pytorch-fid does it.
        """
        looked_at = (resize(x, _SIDE, antialias=False) for x in images.split(batch))
        pooled = [self.network(pictures) for pictures in looked_at]
        return Features(torch.cat(pooled), torch.cat([self._classifier(x) for x in pooled]))


def load_inception(path: Path) -> InceptionFeatures:
    """The network that the file's classifier says: 1008 outputs is the one of FID, 1000 is
    torchvision's (named apart). Raises InceptionFileError when the file is something else.
    """
    try:
        state = read(path)
        outputs = len(need(state, "fc.weight", str(path)))
    except BundleError as error:
        raise InceptionFileError(f"These are no Inception-v3 weights: {error}") from error
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if outputs == 1008:
        network, name = fid_network(), "inception-v3-fid"
    else:
        network = Inception3(num_classes=outputs, aux_logits=False, init_weights=False)
        name = "inception-v3-torchvision"
    try:
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith("AuxLogits")})
    except RuntimeError as error:
        raise InceptionFileError(f"{path} does not fit Inception-v3: {error}") from error
    return InceptionFeatures(network, name, sha256)
