"""Pictures as tensors and arrays: the few conversions that every judge needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.evaluation.estimates import Floats

Pixels = NDArray[np.float32]
CHUNK = 64  # pictures held as floats at once, fewer where they are larger than 256 pixels


@dataclass(frozen=True)
class Pictures:
    """Pictures that are made when they are looked at. make: of an index."""

    make: Callable[[int], Image.Image]
    indices: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> list[Image.Image]:
        return [self.make(k) for k in self.indices[part]]


AnyPictures = Sequence[Image.Image] | Pictures


def as_array(picture: Image.Image) -> Pixels:
    """RGB picture → float32 [H,W,3] in [0,1]."""
    return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255)


def as_tensor(picture: Image.Image) -> Tensor:
    """RGB picture → float32 [3,H,W] in [-1,1]."""
    return torch.from_numpy(as_array(picture).transpose(2, 0, 1) * 2 - 1).contiguous()


def stack(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size → float32 [N,3,H,W] in [-1,1]."""
    return torch.stack([as_tensor(p) for p in pictures])


def unit(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size → float32 [N,3,H,W] in [0,1]."""
    return (stack(pictures) + 1) / 2


def resize(images: Tensor, side: int, *, antialias: bool = True) -> Tensor:
    """Pictures [B,3,S,S] in [-1,1] at ``side`` pixels, bilinear."""
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return functional.interpolate(
        images, (side, side), mode="bilinear", align_corners=False, antialias=antialias
    ).clamp(-1, 1)


def chunks(pictures: AnyPictures) -> Iterator[slice]:
    """Slices that cover pictures of one size in order, each of few enough to be held as floats."""
    for first in pictures[:1]:
        step = min(CHUNK, max(1, CHUNK * 256**2 // (first.width * first.height)))
        yield from (slice(k, k + step) for k in range(0, len(pictures), step))


K = TypeVar("K")


def join_chunks(parts: Sequence[Mapping[K, Floats]]) -> dict[K, Floats]:
    """What was found of each chunk, value by value."""
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def map_chunks(pictures: AnyPictures, function: Callable[[Tensor], Tensor]) -> Tensor:
    """``function`` of the pictures [N,3,H,W] in [-1,1], a chunk at a time; the results together."""
    return torch.cat([function(stack(pictures[part])) for part in chunks(pictures)])
