"""A CUDA device without a GPU: torch's fake tensors know device, dtype, shape and strides of every
result, and compute nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

DEVICE = torch.device("cuda", 0)
_MOVED: dict[int, tuple[Tensor, Tensor]] = {}  # weights by their id, and their fakes
_KERNELS = (nn.Conv2d, nn.ConvTranspose2d)


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Inside, torch believes in one CUDA device, and modules that are moved there become fakes;
    what works with them has to enter the mode.
    """
    with ExitStack() as stack:
        # First of all: where it sees no CUDA it puts guards in place that need no driver.
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        with mode:
            pass
        stack.callback(_MOVED.clear)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.backends.cudnn, "is_acceptable", lambda _tensor: False)
        patch.setattr(nn.Module, "_apply", _moving(mode))
        generator = torch.Generator
        patch.setattr(torch, "Generator", lambda *_: generator())  # CUDA's needs a driver
        patch.setattr(torch.cuda, "manual_seed_all", lambda _seed: None)
        patch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
        yield mode


def _moving(mode: FakeTensorMode) -> Any:
    """``Module._apply`` that makes fakes, whose data can't be exchanged in place."""

    def moved(module: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
        for child in module.children() if recurse else ():
            moved(child, function)
        with mode:
            for name, weight in module._parameters.items():
                if weight is not None:
                    made = nn.Parameter(function(weight.detach()), weight.requires_grad)
                    module._parameters[name] = made
                    _MOVED[id(weight)] = weight, made
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else function(buffer.detach())
        return module

    return moved


def follow(optimiser: torch.optim.Optimizer) -> None:
    """Let an optimiser train the fakes of the weights that it was made for."""
    for group in optimiser.param_groups:
        group["params"] = [_latest(weight) for weight in group["params"]]


def _latest(weight: Tensor) -> Tensor:
    while id(weight) in _MOVED:
        weight = _MOVED[id(weight)][1]
    return weight


def fake(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of the fake device, pictures and features channels last."""
    made = torch.empty(*shape, dtype=dtype, device=DEVICE)
    return made.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else made


@dataclass
class Seen:
    """Names of the layers that were run, by what was wrong with them."""

    convolutions: list[str] = field(default_factory=list)
    float32_inputs: list[str] = field(default_factory=list)
    norms_in_float32: list[str] = field(default_factory=list)
    norms_in_rows: list[str] = field(default_factory=list)

    def watch(self, network: nn.Module, name: str) -> None:
        for path, module in network.named_modules():
            if isinstance(module, (*_KERNELS, nn.GroupNorm)):
                module.register_forward_hook(self._hook(f"{name}.{path}"))

    def _hook(self, name: str) -> Any:
        def look(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            x = given[0]
            if isinstance(module, _KERNELS):
                self.convolutions.append(name)
                if x.dtype == torch.float32:
                    self.float32_inputs.append(name)
            else:
                if made.dtype == torch.float32 != x.dtype:
                    self.norms_in_float32.append(name)
                before, after = (
                    t.is_contiguous(memory_format=torch.channels_last) for t in (x, made)
                )
                if before and not after:
                    self.norms_in_rows.append(name)

        return look
