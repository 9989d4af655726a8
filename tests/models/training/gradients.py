"""One step of a part on CPU processes of their own; writes the gradients that its optimisers saw.

``python -m tests.models.training.gradients CASE OUT DEVICES CACHE``
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.data.aviary.dataset import Aviary
from models.training.config import LoopOptions
from models.training.loop import Loop, build_fabric
from models.training.objective import Objective
from models.training.parts import PARTS
from models.training.run import Run

SMALL_SYNTHESIS = {"ngf": 8, "ndf": 8, "z": 8, "discriminator_size": 32, "interpolate": True}
# case -> (part, options)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "damsm": (
        "damsm",
        {
            "input_size": 32,
            "hidden": 16,
            "features": 32,
            "words": 8,
            "dropout": 0.0,
            "hard": True,
            "attributes": 1.0,
        },
    ),
    # Blocks that start as shortcuts (zero_start) make nearly the same picture for every sample, and
    # batch norms blow the seventh digit up; so they start as usual here.
    "synthesis-own": (
        "synthesis",
        {**SMALL_SYNTHESIS, "discriminator": "own", "reconstruction_weight": 1.0},
    ),
    "synthesis-projected": ("synthesis", SMALL_SYNTHESIS),
    "manipulation": ("manipulation", {"ngf": 4, "combine": 4}),
    "inpainting": (
        "inpainting",
        {
            **{"width": 4, "z": 4, "refine": 1, "edges": 1.0, "labels": 1.0},
            **{"latent": "conditional", "free": 0.4, "seeking": 1.0},
        },
    ),
}


class Recorder(torch.optim.SGD):
    """Keeps the gradients of its one step and changes nothing."""

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        weights = [p for group in optimiser.param_groups for p in group["params"]]
        super().__init__(weights, lr=0.0)
        self.seen: list[torch.Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        weights = [p for group in self.param_groups for p in group["params"]]
        self.seen = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in weights]


class Encoders:
    """A pair whose sentences differ as trained ones do. Fresh ones hardly differ, and then a change
    of the seventh digit moves a single process's own gradients by a thousandth.
    """

    def __init__(self, data: Aviary) -> None:
        self.vocabulary = data.vocabulary
        self.text = TextEncoder(TextEncoderConfig(len(data.vocabulary), 8, 32))
        self.image = CompactImageEncoder(CompactEncoderConfig(32, hidden=16, features=32))
        for weight in self.text.parameters():
            nn.init.normal_(weight, std=0.5)
        for module in (self.text, self.image):
            module.eval().requires_grad_(False)


def sharpened(objective: Objective) -> None:
    """Fresh attention layers start at a gain of zero, which would hide them."""
    for module in objective.modules.values():
        for name, value in module.named_parameters():
            if name.endswith(("gamma", "alpha")):
                nn.init.constant_(value, 0.5)


def main(case: str, out: Path, devices: int, cache: Path) -> None:
    torch.set_num_threads(1)
    options = LoopOptions(
        batch=8,
        steps=1,
        size=32,
        devices=devices,
        precision="32-true",
        settle_batches=0,
    )
    fabric = build_fabric(options, "cpu")
    fabric.launch()
    torch.manual_seed(0)
    data = Aviary(32, 24, cache=cache, captions=2)
    part, chosen = CASES[case]
    objective = PARTS[part](chosen, data, Encoders(data))  # type: ignore[arg-type]
    sharpened(objective)
    recorders = {
        name: Recorder(phase.optimiser) for name, phase in objective.optimizer_steps.items()
    }
    objective.optimizer_steps = {
        name: replace(phase, optimiser=recorders[name], clip=0.0)
        for name, phase in objective.optimizer_steps.items()
    }
    Loop(objective, data, part, options, Run(out.with_suffix(".run")), fabric).train()
    if fabric.is_global_zero:
        torch.save({name: recorder.seen for name, recorder in recorders.items()}, out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
