"""Where tensors live, and how they get there and back."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

import torch
from torch import Tensor

from models.errors import ModelsError


def best_device(name: str) -> str:
    """``auto`` is the first GPU where there is one, else the CPU; other names as they are."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def leave_default_stream(device: torch.device) -> None:
    """Give this thread a stream of its own, once: the default one can't be captured."""
    if torch.cuda.current_stream(device) == torch.cuda.default_stream(device):
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.default_stream(device))
        torch.cuda.set_stream(stream)


def prepare(device: torch.device) -> None:
    """Set torch up for networks on this device; on CUDA, products of float32 in TF32 and kernels
    that are chosen by measurement. Raises ModelsError when a CUDA device can't be used.
    """
    if device.type == "cuda":
        check_driver()
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = True


# Major version of the CUDA that torch was built for -> the oldest driver that runs it, on Linux.
_DRIVERS = {"12": 525, "13": 580}


def check_driver() -> None:
    """Raises ModelsError, in one sentence, when torch finds no CUDA device that it can use."""
    if torch.cuda.is_available():
        return
    built = torch.version.cuda
    if built is None:
        raise ModelsError(
            "This torch was built without CUDA; install one with it, or set MMML_DEVICE=cpu."
        )
    least = _DRIVERS.get(built.partition(".")[0])
    driver = f"driver {least} or newer" if least else "a newer driver"
    raise ModelsError(
        f"No usable CUDA device: this torch was built for CUDA {built}, which needs NVIDIA's "
        f"{driver} (nvidia-smi shows yours); for an older one build with the TORCH_INDEX of CUDA "
        "12.6, or set MMML_DEVICE=cpu."
    )


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; to CUDA from pinned memory, without waiting for it."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def finish_transfers(device: torch.device) -> None:
    """Wait until what this thread has sent is on the device: the stream of another thread that uses
    it would not.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def to_host(x: Tensor) -> Tensor:
    """A tensor of any device on the CPU, through pinned memory; waits for this stream alone."""
    if x.device.type != "cuda":
        return x.cpu()
    host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    host.copy_(x, non_blocking=True)
    torch.cuda.current_stream(x.device).synchronize()
    return host


@functools.cache
def hardware(device: torch.device) -> str:
    """What a device is, in words that are the same on every machine like this one."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()} x{os.cpu_count()}"


def processor() -> str:
    """The model's name; Linux keeps it in a file of its own."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
