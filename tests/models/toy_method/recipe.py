"""What a step of it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from models.training.batch import Batch, TrainingData
from models.training.noise import Noise
from models.training.objective import Objective, OptimizerStep, Values, adam, stack_rows
from tests.models.toy_method.pipeline import ToyConfig, ToyNetwork


@dataclass(frozen=True)
class Options:
    kernel: int = 3
    rate: float = 1e-2


class ToyObjective(Objective):
    method = "toy"
    averaged = ("network",)

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.network = ToyNetwork(ToyConfig(options.kernel))
        self.modules = {"network": self.network}
        step = OptimizerStep(adam([self.network], options.rate, (0.9, 0.99)), ("network",))
        self.optimizer_steps = {"generator": step}

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> Batch:
        del noise, step
        return batch

    def loss(self, name: str, state: Batch, step: int) -> tuple[Tensor, Values]:
        del name, step
        assert state.known_mask is not None
        found = functional.l1_loss(self.network(state.images, state.known_mask), state.images)
        return found, {"l1": found}

    def preview(self, batch: Batch, noise: Noise, averaged: Mapping[str, nn.Module]) -> Tensor:
        del noise
        return stack_rows(batch.images, averaged["network"](batch.images, batch.known_mask))

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return asdict(self.network.config), dict(averaged)


def build(options: Options, data: TrainingData) -> Objective:
    del data
    return ToyObjective(options)
