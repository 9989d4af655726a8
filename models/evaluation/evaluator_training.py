"""The loop that trains judging networks, apart from what they judge."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class TrainingLength:
    """When training ends: after so many steps, or where these are 0 after so many minutes."""

    minutes: float
    steps: int = 0

    def share(self, step: int, started: float) -> float:
        """How much of it is over."""
        return step / self.steps if self.steps else (time.monotonic() - started) / self.minutes / 60


def fit(
    optimiser: torch.optim.Optimizer,
    loss_of_step: Callable[[], Tensor],
    length: TrainingLength,
    clipped: Sequence[nn.Parameter] = (),
    clip: float = 0.0,
) -> int:
    """Take steps at the optimiser's rate, which rises over the first twentieth and falls along a
    cosine; ``clip``: largest norm of the gradient of ``clipped``. Returns the number of steps.
    """
    rate = optimiser.param_groups[0]["lr"]
    started, step, share = time.monotonic(), 0, 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * _schedule(share)
        loss = loss_of_step()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if clipped:
            nn.utils.clip_grad_norm_(clipped, clip)
        optimiser.step()
        step += 1
        share = length.share(step, started)
        if step % 100 == 0:
            sys.stderr.write(f"step {step} loss {float(loss.detach()):.3f}\n")
    return step


def _schedule(share: float) -> float:
    return min(share * 20 + 0.02, 1.0) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)))


def degrade(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures [B,3,S,S] in [-1,1] as a generator might leave them: blurred, resized, noisy,
    lighter or darker. The batch is cut into four groups that are treated differently.
    """
    groups = [_resample(part, rng) for part in images.chunk(4)]
    out = torch.cat(groups)
    size = (len(out), 1, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, size).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(-0.05, 0.05, (len(out), 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.uniform(0, 0.12, size).astype(np.float32))
    grain = torch.from_numpy(rng.standard_normal(out.shape, np.float32))
    return ((out + 1) * gain - 1 + tint + noise * grain).clamp(-1, 1)


def _resample(images: Tensor, rng: np.random.Generator) -> Tensor:
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
