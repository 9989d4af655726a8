"""What further training needs besides the weights that ship: discriminators and other modules that
learned beside them, and Adam's moments. One file a task, ``BUNDLE/training/TASK.safetensors``; the
service never opens it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.bundle import Bundle
from models.damsm.efficientnet import EfficientNetLite0
from models.errors import BundleError
from models.files import write_whole
from models.training.objective import Objective

FOLDER = "training"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_MOMENTS_LIMIT = 32 << 20  # bytes; larger ones stay in the run's snapshot alone


def state_path(bundle: Path, task: str) -> Path:
    """Where a task's training state lies in a bundle's folder, if it has one."""
    return bundle / FOLDER / f"{task}.safetensors"


def save_training_state(bundle: Bundle, task: str, objective: Objective) -> Path:
    """Write the state beside the task's weights, which it names: modules that don't ship as
    float32, without pretrained trunks; moments as bfloat16.
    """
    shipped = bundle.task(task).files
    tensors = {
        f"module.{name}.{key}": value
        for name, module in objective.modules.items()
        if name not in shipped
        for key, value in module.state_dict().items()
        if not key.startswith(_pretrained(module))
    }
    moments = dict(_moments(objective))
    size = sum(value.numel() * value.element_size() for value in moments.values())
    if size <= _MOMENTS_LIMIT:
        tensors |= moments
    path = state_path(bundle.folder, task)
    path.parent.mkdir(exist_ok=True)
    metadata = {"weights": _digests(bundle, task)}
    found = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_whole(path, safetensors.torch.save(found, metadata))
    return path


@dataclass(frozen=True)
class TrainingState:
    """The tensors of an opened file, by their names in it."""

    tensors: dict[str, Tensor]

    @classmethod
    def open(cls, folder: Path, task: str) -> TrainingState:
        """Of the bundle in ``folder``; empty, with a line on stderr, where it has none or the
        weights have been replaced since. Raises BundleError for a damaged file.
        """
        path = state_path(folder, task)
        if not path.exists():
            sys.stderr.write(f"{folder} has no training state: what doesn't ship starts fresh\n")
            return cls({})
        try:
            with safetensors.safe_open(path, "pt") as file:
                digests = (file.metadata() or {}).get("weights")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{path} is not a safetensors file: {error}") from error
        if digests != _digests(Bundle.open(folder), task):
            sys.stderr.write(f"{path} belongs to other weights: what doesn't ship starts fresh\n")
            return cls({})
        return cls(tensors)

    def load_modules(self, objective: Objective) -> None:
        """Load the modules that are there and fit; others stay fresh, with a line on stderr."""
        names = {key.split(".")[1] for key in self.tensors if key.startswith("module.")}
        for name in sorted(names & objective.modules.keys()):
            module, prefix = objective.modules[name], f"module.{name}."
            state = {
                key.removeprefix(prefix): value
                for key, value in self.tensors.items()
                if key.startswith(prefix)
            }
            own = module.state_dict()
            wanted = {key for key in own if not key.startswith(_pretrained(module))}
            if wanted != state.keys() or any(own[k].shape != v.shape for k, v in state.items()):
                sys.stderr.write(f"{name} has other sizes than the one before and starts fresh\n")
                continue
            module.load_state_dict(state, strict=False)

    def load_moments(self, objective: Objective) -> None:
        """Give every optimiser its moments where all of them fit. Weights have to lie on their
        device and in their memory format already.
        """
        for phase, optimiser, named in _weights(objective):
            found = {name: self._moments_of(phase, name, weight) for name, weight in named.items()}
            if all(found.values()):
                for name, weight in named.items():
                    optimiser.state[weight] = found[name]

    def _moments_of(self, phase: str, name: str, weight: Tensor) -> dict[str, Tensor]:
        """One weight's moments, laid out as the weight is; empty where they don't fit."""
        found = {kind: self.tensors.get(_key(phase, name, kind)) for kind in _MOMENTS}
        state = {}
        for kind, value in found.items():
            if value is None or (kind != "step" and value.shape != weight.shape):
                return {}
            # Fused kernels read the step where the weight is.
            like = weight.detach() if kind != "step" else torch.zeros((), device=weight.device)
            state[kind] = torch.empty_like(like).copy_(value)
        return state


def _moments(objective: Objective) -> Iterator[tuple[str, Tensor]]:
    for phase, optimiser, named in _weights(objective):
        for name, weight in named.items():
            for kind in _MOMENTS:
                value = optimiser.state.get(weight, {}).get(kind)
                if value is not None:
                    kept = torch.float32 if kind == "step" else torch.bfloat16
                    yield _key(phase, name, kind), torch.as_tensor(value).to(kept)


def _weights(
    objective: Objective,
) -> Iterator[tuple[str, torch.optim.Optimizer, dict[str, nn.Parameter]]]:
    """(phase, its optimiser, what it trains by module and name)."""
    names = {
        id(weight): f"{name}.{key}"
        for name, module in objective.modules.items()
        for key, weight in module.named_parameters()
    }
    for phase, step in objective.optimizer_steps.items():
        weights = [w for group in step.optimiser.param_groups for w in group["params"]]
        yield phase, step.optimiser, {names[id(weight)]: weight for weight in weights}


def _key(phase: str, name: str, kind: str) -> str:
    return f"moments.{phase}.{name}.{kind}"


def _pretrained(module: nn.Module) -> tuple[str, ...]:
    """Prefixes of the parts that come with an installed package and never change."""
    return tuple(
        f"{name}."
        for name, part in module.named_modules()
        if isinstance(part, EfficientNetLite0)
        and not any(p.requires_grad for p in part.parameters())
    )


def _digests(bundle: Bundle, task: str) -> str:
    """The sha256 of the task's weights by role, as one text."""
    files = bundle.task(task).files
    return json.dumps({role: files[role]["sha256"] for role in sorted(files)})
