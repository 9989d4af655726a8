"""How well held-out pictures come back from a quarter of their side: by a bundle's detail stage,
by bicubic enlargement, and by any other way that is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.data.aviary.drawing import bird, render
from models.data.opening import open_pictures
from models.data.pictures import WholePhotos
from models.detail.network import enlarge
from models.evaluation.metrics import edges, psnr
from models.evaluation.perceptual import FeatureDistance
from models.evaluation.pictures import Pictures, stack
from models.runtime.precision import PRECISIONS, cast_weights
from models.tables import markdown_table
from models.training.run import grid

Enlarging = Callable[[Tensor], Tensor]  # [B,3,S,S] to [B,3,4S,4S], both in [-1,1]

_RUNS = 8  # of which the fastest counts


@dataclass(frozen=True)
class Quality:
    """Means over pictures. psnr in dB; features: distance in the features of EfficientNet-Lite2,
    with which nothing was trained (0 is equal); edges: strength of edges relative to the real
    pictures'; milliseconds of processor time for one small picture, over all threads.
    """

    psnr: float
    features: float
    edges: float
    milliseconds: float


def held_out(where: str | Path, count: int, size: int) -> Pictures:
    """Square pictures of ``size`` pixels of the validation split, spread evenly over it."""
    if str(where) == "aviary":
        return Pictures(lambda k: render(bird("validation", k), size), range(count))
    data = open_pictures(where, size=size, split="validation", limit=count)
    assert isinstance(data, WholePhotos)  # noqa: S101 (aviary is no folder)
    return Pictures(data.photo, range(len(data)))


def downsample(pictures: Tensor, scale: int) -> Tensor:
    """Their means over areas, in 8-bit steps as files have them."""
    small = functional.avg_pool2d(pictures, scale)
    return ((small + 1) * 127.5).round() / 127.5 - 1


def bicubic(scale: int) -> Enlarging:
    return partial(enlarge, scale=scale)


def by_network(network: nn.Module, precision: str) -> Enlarging:
    """As the service runs it on a CPU: one picture at a time, kernels in ``precision``."""
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    dtype = PRECISIONS[precision]
    if precision != "float32":
        cast_weights(network, dtype)

    def way(small: Tensor) -> Tensor:
        given = small.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=precision != "float32", cache_enabled=False):
            made: Tensor = network(given)
        return made

    return way


@torch.inference_mode()
def measure(ways: Mapping[str, Enlarging], real: Pictures, scale: int) -> dict[str, Quality]:
    """Each way's quality on the pictures, of which one at a time is held."""
    distance, found = FeatureDistance(), {}
    for name, way in ways.items():
        singles = (stack(real[k : k + 1]) for k in range(len(real)))
        rows = np.array([_one_quality(way, one, scale, distance) for one in singles])
        decibels, features, sharper = rows.mean(0).tolist()
        milliseconds = _milliseconds(way, downsample(stack(real[:1]), scale))
        found[name] = Quality(decibels, features, sharper, milliseconds)
    return found


def _one_quality(
    way: Enlarging, real: Tensor, scale: int, distance: FeatureDistance
) -> tuple[float, float, float]:
    """``psnr``, ``features`` and ``edges`` of one picture [1,3,H,W]."""
    made = way(downsample(real, scale)).float().clamp(-1, 1)
    a, b = (made + 1) / 2, (real + 1) / 2
    sharper = edges(a)["sharpness"] / edges(b)["sharpness"]
    return float(psnr(a, b)[0]), float(distance(made, real)[0]), float(sharper[0])


def _milliseconds(way: Enlarging, small: Tensor) -> float:
    times = []
    for _ in range(_RUNS):
        started = time.process_time()  # whatever else the machine is doing
        way(small)
        times.append(time.process_time() - started)
    return 1000 * min(times)


def table(found: Mapping[str, Quality]) -> str:
    """As Markdown."""
    head = ("way", "PSNR, dB", "feature distance", "edges, real = 1", "CPU ms")
    rows = [
        (name, f"{q.psnr:.2f}", f"{q.features:.3f}", f"{q.edges:.2f}", f"{q.milliseconds:.1f}")
        for name, q in found.items()
    ]
    return markdown_table(head, rows) + "\n"


def rows_of_pictures(
    ways: Sequence[Enlarging], real: Pictures, scale: int, columns: int
) -> Image.Image:
    """A sheet: a row for each way, the real pictures last."""
    chosen = stack(real[:columns])
    with torch.inference_mode():
        small = downsample(chosen, scale)
        rows = [torch.cat([way(one).float() for one in small.split(1)]) for way in ways]
    return grid(torch.cat([*rows, chosen]), len(chosen))
