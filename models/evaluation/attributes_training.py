"""Training of the attribute reader on renders that no generator trains on (split "judge")."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.data.aviary import PARTS, bird, render
from models.data.aviary_set import Aviary
from models.evaluation.attributes import SIDE, AttributeNet, Reader, colour_indices
from models.evaluation.pictures import as_tensor

SPLIT = "judge"


@dataclass(frozen=True)
class ReaderOptions:
    """count: geometries drawn; places_weight: of the hint where each part is."""

    minutes: float = 8.0
    seed: int = 20_011
    batch: int = 48
    count: int = 3000
    rate: float = 4e-3
    places_weight: float = 0.3


def train_reader(options: ReaderOptions, steps: int = 0) -> AttributeNet:
    """A trained network; stops after ``minutes``, or ``steps`` when given."""
    torch.manual_seed(options.seed)
    data = Aviary(SIDE, options.count, split=SPLIT)
    network = AttributeNet().to(memory_format=torch.channels_last)
    rng = np.random.default_rng(options.seed)
    optimiser = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=1e-3)
    started, step = time.monotonic(), 0
    share = 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = options.rate * schedule(share)
        loss = _step(network, optimiser, data, rng, options)
        step += 1
        share = step / steps if steps else (time.monotonic() - started) / (options.minutes * 60)
        if step % 100 == 0:
            sys.stderr.write(f"step {step} loss {loss:.3f}\n")
    return network.eval()


def schedule(share: float) -> float:
    """Warm-up over the first twentieth, then a cosine to zero."""
    return min(share * 20 + 0.02, 1.0) * (0.5 + 0.5 * float(np.cos(np.pi * min(share, 1.0))))


def _step(
    network: AttributeNet,
    optimiser: torch.optim.Optimizer,
    data: Aviary,
    rng: np.random.Generator,
    options: ReaderOptions,
) -> float:
    indices = rng.integers(0, len(data), options.batch)
    birds = [data.sample(int(k), rng) for k in indices]
    images, masks = shifted(
        data.paint(indices, birds), torch.from_numpy(data.part_masks(indices)), rng
    )
    truth = torch.from_numpy(colour_indices(birds))
    seen = disturbed(images, rng).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits, places = network(seen)
    colour = functional.cross_entropy(
        logits.float().flatten(0, 1), truth.flatten(), label_smoothing=0.02
    )
    target = functional.avg_pool2d(masks, 2).flatten(2)
    target = target / target.sum(2, keepdim=True).clamp_min(1e-6)
    where = -(target * places.float().flatten(2)).sum(2).mean()
    loss = colour + options.places_weight * where
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def shifted(images: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Both [B,*,S,S] moved together by up to three pixels; edges repeat."""
    y, x = (int(k) for k in rng.integers(0, 7, 2))
    side = images.shape[-1]
    moved = [functional.pad(t, (3, 3, 3, 3), mode="replicate") for t in (images, masks)]
    cut = [t[..., y : y + side, x : x + side] for t in moved]
    return cut[0], cut[1]


def disturbed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures [B,3,S,S] in [-1,1] as a generator might leave them: blurred, resized, noisy,
    lighter or darker. The batch is cut into four groups that are treated differently.
    """
    groups = [_coarsened(part, rng) for part in images.chunk(4)]
    out = torch.cat(groups)
    size = (len(out), 1, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, size).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(-0.05, 0.05, (len(out), 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.uniform(0, 0.12, size).astype(np.float32))
    grain = torch.from_numpy(rng.standard_normal(out.shape, np.float32))
    return ((out + 1) * gain - 1 + tint + noise * grain).clamp(-1, 1)


def _coarsened(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Through another size and back (24 to 96 pixels), then perhaps blurred."""
    side = images.shape[-1]
    other = int(rng.choice((side, side, 24, 32, 40, 48, 96)))
    if other != side:
        small = functional.interpolate(images, (other, other), mode="bilinear", antialias=True)
        images = functional.interpolate(small, (side, side), mode="bilinear", antialias=True)
    if rng.random() < 0.3:
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        images = functional.avg_pool2d(padded, 3, 1)
    return images


def held_out_accuracy(network: AttributeNet, count: int = 1000) -> tuple[float, dict[str, float]]:
    """Share of parts read right on renders of the split "test": of all parts, and by part."""
    birds = [bird("test", k) for k in range(count)]
    images = torch.stack([as_tensor(render(b, SIDE)) for b in birds])
    read = Reader(network.eval(), "", 0.0).read(images).numpy()
    right = (read == colour_indices(birds)).mean(0)
    return float(right.mean()), {p: float(r) for p, r in zip(PARTS, right, strict=True)}
