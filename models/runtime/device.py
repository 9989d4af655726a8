"""Where tensors live, and how they get there and back."""

from __future__ import annotations

import torch
from torch import Tensor


def best_device(name: str) -> str:
    """``auto`` is the first GPU where there is one, else the CPU; other names as they are."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def leave_default_stream(device: torch.device) -> None:
    """Give this thread a stream of its own, once: the default one can't be captured and waits for
    all others.
    """
    if torch.cuda.current_stream(device) == torch.cuda.default_stream(device):
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.default_stream(device))
        torch.cuda.set_stream(stream)


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; to CUDA from pinned memory, without waiting for it."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def to_host(x: Tensor) -> Tensor:
    """A tensor of any device on the CPU, through pinned memory; waits for this stream alone."""
    if x.device.type != "cuda":
        return x.cpu()
    host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    host.copy_(x, non_blocking=True)
    torch.cuda.current_stream(x.device).synchronize()
    return host
