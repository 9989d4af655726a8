"""Training of the attribute reader on renders that no generator trains on (split "judge")."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.data.aviary.dataset import Aviary
from models.data.aviary.drawing import PARTS, bird, render
from models.evaluation.attributes import SIDE, AttributeNet, AttributeReader, colour_indices
from models.evaluation.evaluator_training import TrainingLength, degrade, fit
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
    fit(
        optimiser,
        lambda: _loss(network, data, rng, options),
        TrainingLength(options.minutes, steps),
    )
    return network.eval()


def _loss(
    network: AttributeNet, data: Aviary, rng: np.random.Generator, options: ReaderOptions
) -> Tensor:
    indices = rng.integers(0, len(data), options.batch)
    birds = [data.sample(int(k), rng) for k in indices]
    images, masks = shift(
        data.paint(indices, birds), torch.from_numpy(data.part_masks(indices)), rng
    )
    truth = torch.from_numpy(colour_indices(birds))
    seen = degrade(images, rng).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits, places = network(seen)
    colour = functional.cross_entropy(
        logits.float().flatten(0, 1), truth.flatten(), label_smoothing=0.02
    )
    target = functional.avg_pool2d(masks, 2).flatten(2)
    target = target / target.sum(2, keepdim=True).clamp_min(1e-6)
    where = -(target * places.float().flatten(2)).sum(2).mean()
    return colour + options.places_weight * where


def shift(images: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Both [B,*,S,S] moved together by up to three pixels; edges repeat."""
    y, x = (int(k) for k in rng.integers(0, 7, 2))
    side = images.shape[-1]
    moved = [functional.pad(t, (3, 3, 3, 3), mode="replicate") for t in (images, masks)]
    cut = [t[..., y : y + side, x : x + side] for t in moved]
    return cut[0], cut[1]


def held_out_accuracy(network: AttributeNet, count: int = 1000) -> tuple[float, dict[str, float]]:
    """Share of parts read right on renders of the split "test": of all parts, and by part."""
    birds = [bird("test", k) for k in range(count)]
    images = torch.stack([as_tensor(render(b, SIDE)) for b in birds])
    read = AttributeReader(network.eval(), "", 0.0).read(images).numpy()
    right = (read == colour_indices(birds)).mean(0)
    return float(right.mean()), {p: float(r) for p, r in zip(PARTS, right, strict=True)}
