"""The official Inception-v3 of FID, when the user gives its weights file.

The network of 2015-12-05 differs from torchvision's in its pooling: averages leave the padding out,
and the last block takes a maximum. Its classifier has 1008 outputs.
"""

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


def _mean(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(parts.InceptionA):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch1x1(x), five, three, self.branch_pool(_mean(x))]


class _BlockC(parts.InceptionC):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = x
        for k in range(1, 6):
            twice = self.get_submodule(f"branch7x7dbl_{k}")(twice)
        return [self.branch1x1(x), seven, twice, self.branch_pool(_mean(x))]


class _BlockE(parts.InceptionE):  # type: ignore[misc]
    last = False

    def _forward(self, x: Tensor) -> list[Tensor]:
        three = self.branch3x3_1(x)
        three = torch.cat([self.branch3x3_2a(three), self.branch3x3_2b(three)], 1)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        twice = torch.cat([self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)], 1)
        pooled = functional.max_pool2d(x, 3, stride=1, padding=1) if self.last else _mean(x)
        return [self.branch1x1(x), three, twice, self.branch_pool(pooled)]


def fid_network() -> nn.Module:
    """Inception-v3 of FID with random weights; keys are those of the public PyTorch conversion."""
    network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        setattr(network, f"Mixed_{name}", _BlockA(channels, pool_features=pooled))
    for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(network, f"Mixed_{name}", _BlockC(768, channels_7x7=width))
    network.Mixed_7b, network.Mixed_7c = _BlockE(1280), _BlockE(2048)
    network.Mixed_7c.last = True
    return network


class InceptionFeatures:
    """See :class:`models.evaluation.features.FeatureNetwork`."""

    side = _SIDE

    def __init__(self, network: nn.Module, name: str, sha256: str) -> None:
        self.network, self.name, self.sha256 = network.eval().requires_grad_(False), name, sha256
        self._pooled: list[Tensor] = []
        cast("nn.Module", network.avgpool).register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del module, inputs
        self._pooled.append(output.flatten(1))

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 16) -> Features:
        """Pictures float32 [N,3,S,S] in [-1,1] → pooled [N,2048] and logits. They are resized
        without antialiasing, as pytorch-fid does it.
        """
        self._pooled.clear()
        looked_at = (resize(x, _SIDE, antialias=False) for x in images.split(batch))
        logits = [self.network(pictures) for pictures in looked_at]
        return Features(torch.cat(self._pooled), torch.cat(logits))


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
