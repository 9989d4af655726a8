"""Building blocks of ManiGAN: affine combination, attention over words, gated upsampling.

Instance norms have neither parameters nor running statistics. GLU halves the channels: the first
half is the value.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.text_encoder import word_mask
from models.layers import Nearest, conv3, to_features
from models.runtime.cpu.folding import FusedPointwise, fold_doubling
from models.runtime.norms import GroupNorm, InstanceNorm
from models.runtime.precision import logits

M = TypeVar("M", bound=nn.Module)


def conv1(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 1, bias=False)


class Glu(nn.Module):
    """Gated linear unit over channels."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.glu(x, 1)


def norm(kind: str, channels: int) -> nn.Module:
    """ "instance" as published, or "layer": one mean and deviation per picture. Neither has
    weights. "batch" is AttnGAN's, which has them.

    Instance norm forgets the level of every channel, so large plain areas lose their colour; with
    little training the layer norm keeps them.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return GroupNorm(1, channels, affine=False) if kind == "layer" else InstanceNorm(channels)


def up_block(a: int, b: int, size: int | None = None, kind: str = "instance") -> nn.Sequential:
    """Nearest upsampling, 3×3 convolution, norm, GLU."""
    return nn.Sequential(Nearest(size), conv3(a, 2 * b), norm(kind, 2 * b), Glu())


def fold_blocks(module: M, device: str = "cpu") -> M:
    """Merge every upsampling by two inside ``module`` with the convolution after it, and the
    convolutions of affine combinations where that is less work, in place. For serving: the same
    function up to rounding, in less time. The latter is for CPUs: strips along the border are
    launches that cost a GPU more than products do.
    """
    for child in module.modules():
        if isinstance(child, nn.Sequential):
            for k, (first, second) in enumerate(pairwise(list(child))):
                doubles = isinstance(first, Nearest) and first.size is None
                if doubles and isinstance(second, nn.Conv2d):
                    child[k], child[k + 1] = nn.Identity(), fold_doubling(second)
        elif isinstance(child, AffineCombination) and device == "cpu":
            child.fold()
    return module


class ResBlock(nn.Module):
    """Two convolutions beside the identity; no activation after the sum."""

    def __init__(self, channels: int, kind: str = "instance") -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv3(channels, 2 * channels),
            norm(kind, 2 * channels),
            Glu(),
            conv3(channels, channels),
            norm(kind, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class AffineCombination(nn.Module):
    """ACM (paper equation 1): h · W(v) + b(v), with v the photo's features. Returns the sum."""

    def __init__(self, channels: int, photo: int, hidden: int = 128) -> None:
        super().__init__()
        self.conv: nn.Module = conv3(photo, hidden)
        self.conv_weight: nn.Module = conv3(hidden, channels)
        self.conv_bias: nn.Module = conv3(hidden, channels)

    def fold(self) -> None:
        """Chain the convolutions where that is less work: v is never made then."""
        if isinstance(self.conv, nn.Identity):
            return
        plain = self.conv, self.conv_weight, self.conv_bias
        shared, weight, bias = cast("tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]", plain)
        if FusedPointwise.saves(shared, weight, bias):
            self.conv_weight, self.conv_bias = (
                FusedPointwise(shared, weight),
                FusedPointwise(shared, bias),
            )
            self.conv = nn.Identity()

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        v = self.conv(photo)
        return self.conv_bias(v).addcmul_(x, self.conv_weight(v))


class ConcatCombination(nn.Module):
    """The paper's ablation of the ACM (section 4.3): features and photo features side by side, one
    3×3 convolution back to the features' channels.
    """

    def __init__(self, channels: int, photo: int) -> None:
        super().__init__()
        self.conv = conv3(channels + photo, channels)

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        return self.conv(torch.cat([x, photo], 1))


class NoCombination(nn.Module):
    """Features as they are: the photo is not looked at."""

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        return x


def combination(kind: str, channels: int, photo: int, hidden: int) -> nn.Module:
    """How photo features meet features [B,channels,H,W]: "affine", "concat" or "none"."""
    if kind == "affine":
        return AffineCombination(channels, photo, hidden)
    return ConcatCombination(channels, photo) if kind == "concat" else NoCombination()


class ToPixels(nn.Module):
    """Features to RGB in [-1,1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.img = nn.Sequential(conv3(channels, 3), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.img(x)


class SpatialAttention(nn.Module):
    """Each position attends over the words (AttnGAN section 3.1); logits in float32.

    published_masks: see :func:`models.damsm.text_encoder.word_mask`.
    """

    def __init__(self, channels: int, text: int) -> None:
        super().__init__()
        self.published_masks = False
        self.conv_context = conv1(text, channels)

    def padding(self, pad: Tensor) -> Tensor | None:
        """What the channel attention beside this one masks: nothing in the published training."""
        return None if self.published_masks else pad

    def forward(self, h: Tensor, words: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
        """h [B,C,H,W], words [B,text,L], pad bool [B,L] → (context like h, attention [B,L,H,W])."""
        height, width = h.shape[2:]
        values = self.conv_context(words[..., None])[..., 0]
        scores = logits(h.flatten(2).transpose(1, 2), values)
        mask = word_mask(pad, height * width, self.published_masks)
        attention = scores.masked_fill(mask, float("-inf")).softmax(2)
        context = attention.to(values.dtype) @ values.transpose(1, 2)
        return to_features(context, height, width), to_features(attention, height, width)


def channel_attention(
    context: Tensor, words: Tensor, pad: Tensor | None, project: nn.Module
) -> Tensor:
    """Each channel of ``context`` [B,C,H,W] attends over the words, projected to positions
    [B,H·W,L].

    Padding is masked, so that a caption's picture does not depend on its batch; without ``pad``
    padded words, whose values are zero, dilute the rest.
    """
    values = project(words[..., None])[..., 0]
    scores = logits(context.flatten(2), values)
    if pad is not None:
        scores = scores.masked_fill(pad[:, None], float("-inf"))
    attention = scores.softmax(2).to(values.dtype)
    return to_features(values @ attention.transpose(1, 2), *context.shape[2:])


class Conditioning(nn.Module):
    """Conditioning augmentation (StackGAN): c = mu + exp(logvar / 2) · noise."""

    def __init__(self, text: int, condition: int) -> None:
        super().__init__()
        self.fc = nn.Linear(text, 4 * condition)

    def forward(self, sentence: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (c, mu, logvar), each [B,condition]."""
        mu, logvar = functional.glu(self.fc(sentence), 1).chunk(2, 1)
        return mu + torch.exp(0.5 * logvar) * noise, mu, logvar


Maps = dict[str, Tensor]  # "W" and "b", each [B,H,W]


@contextmanager
def affine_maps(combination: nn.Module | None) -> Iterator[Maps]:
    """What ``combination`` computes inside of the block: mean absolute values over the channels.
    Empty for None and for combinations that are not affine.
    """
    found: Maps = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _given: object, made: Tensor) -> None:
            found[name] = made.float().abs().mean(1)

        return hook

    with ExitStack() as stack:
        if isinstance(combination, AffineCombination):
            for name, layer in (("W", combination.conv_weight), ("b", combination.conv_bias)):
                stack.callback(layer.register_forward_hook(keep(name)).remove)
        yield found
