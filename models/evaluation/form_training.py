"""Training of the form judge on renders that no generator trains on (split "judge")."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.data.aviary.dataset import Aviary
from models.data.aviary.drawing import bird, label_map, render
from models.evaluation.anatomy import Anatomy, Labels
from models.evaluation.collages import Drawing, break_bird
from models.evaluation.evaluator_training import TrainingLength, degrade, fit
from models.evaluation.form import SIDE, FormEvaluator, PartNet
from models.evaluation.pictures import as_tensor

SPLIT = "judge"
# Cross-entropy of each label: backdrop is everywhere, bill and legs are a few pixels.
_WEIGHTS = (0.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.5, 1.2, 2.0, 0.8)


@dataclass(frozen=True)
class FormOptions:
    """count: geometries drawn; collages: share of the pictures that are broken birds."""

    minutes: float = 8.0
    seed: int = 30_011
    batch: int = 32
    count: int = 3000
    rate: float = 4e-3
    collages: float = 0.6


def train_form_evaluator(
    options: FormOptions, steps: int = 0, begin: PartNet | None = None
) -> PartNet:
    """A network trained for ``minutes``, or ``steps`` when given, on from ``begin``, if any."""
    torch.manual_seed(options.seed)
    data = Aviary(SIDE, options.count, split=SPLIT)
    labels = np.stack([label_map(bird(SPLIT, k), SIDE) for k in range(options.count)])
    network = begin.requires_grad_(True).train() if begin else PartNet()
    network = network.to(memory_format=torch.channels_last)
    rng = np.random.default_rng(options.seed)
    length = TrainingLength(options.minutes, steps)
    optimiser = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=1e-3)
    fit(optimiser, lambda: _loss(network, *_batch(data, labels, rng, options)), length)
    return network.eval()


def _loss(network: PartNet, images: Tensor, labels: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images.contiguous(memory_format=torch.channels_last))
    return functional.cross_entropy(logits.float(), labels, torch.tensor(_WEIGHTS))


def _batch(
    data: Aviary, labels: Labels, rng: np.random.Generator, options: FormOptions
) -> tuple[Tensor, Tensor]:
    """Disturbed pictures float32 [B,3,64,64] in [-1,1], many of them of broken birds, and what they
    show, int64 [B,64,64].
    """
    indices = rng.integers(0, len(data), options.batch)
    painted = data.paint(indices, [data.sample(int(k), rng) for k in indices])
    pixels = ((painted + 1) / 2).permute(0, 2, 3, 1).numpy()
    drawn = [Drawing(p, labels[k]) for p, k in zip(pixels, indices, strict=True)]
    others = [*drawn[1:], drawn[0]]
    drawings = [
        break_bird(d, o, rng) if rng.random() < options.collages else d
        for d, o in zip(drawn, others, strict=True)
    ]
    images = torch.from_numpy(np.stack([d.pixels for d in drawings])).permute(0, 3, 1, 2) * 2 - 1
    truth = torch.from_numpy(np.stack([d.labels for d in drawings]).astype(np.int64))
    return degrade(images.float(), rng), truth


def held_out_form(network: PartNet, count: int = 1000) -> tuple[float, Anatomy]:
    """Share of pixels right on renders of "test", and the anatomy of those of "judge"."""
    label_maps = np.stack([label_map(bird(SPLIT, k), SIDE) for k in range(2 * count)])
    anatomy = Anatomy.of(label_maps)
    birds = [bird("test", k) for k in range(count)]
    read = FormEvaluator(network.eval(), anatomy, "", 0.0).read(
        torch.stack([as_tensor(render(b, SIDE)) for b in birds])
    )
    truth: NDArray[np.uint8] = np.stack([label_map(b, SIDE) for b in birds])
    return float((read.numpy() == truth).mean()), anatomy
