"""Networks on a CUDA device as graphs: a forward pass is then one launch instead of hundreds.

Batches are rounded up to a few sizes. Each is captured when it first comes, and replayed after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

SIZES = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = 8  # captions are widened to a multiple of this
_WARM = 3  # passes before the capture, in which libraries choose their kernels

Network = Callable[..., Tensor]
Capture = Callable[[Network, Sequence[Tensor]], Network]


def rounded_up(rows: int) -> int:
    """The smallest of SIZES that holds so many rows; more than the largest stay as they are."""
    return next((size for size in SIZES if size >= rows), rows)


def filled_up(inputs: Sequence[Tensor], size: int) -> list[Tensor]:
    """Inputs [B,…] of ``size`` rows, the last one repeated."""
    missing = size - len(inputs[0])
    if not missing:
        return list(inputs)
    return [torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) for x in inputs]


def widened(words: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
    """words [B,C,L] and pad [B,L] (True = no word) with L a multiple of 8, so that captions of
    different lengths share a graph.
    """
    missing = -words.shape[2] % _COLUMNS
    return functional.pad(words, (0, missing)), functional.pad(pad, (0, missing), value=True)


class Replayed:
    """A network that is captured once per shape of its inputs; capture turns network and inputs
    into a callable for inputs of the same shapes. Rows must not depend on each other.
    """

    def __init__(self, network: Network, capture: Capture) -> None:
        self._network, self._capture = network, capture
        self._captured: dict[tuple[object, ...], Network] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        rows = len(inputs[0])
        full = filled_up(inputs, rounded_up(rows))
        shapes = tuple((tuple(x.shape), x.dtype) for x in full)
        if shapes not in self._captured:
            self._captured[shapes] = self._capture(self._network, full)
        return self._captured[shapes](*full)[:rows]

    def forget(self) -> None:
        """Give the graphs' memory back."""
        self._captured.clear()


def cuda_graph(network: Network, inputs: Sequence[Tensor]) -> Network:
    """A CUDA graph of one pass, on the current stream, which must not be the default one."""
    fixed = [x.clone() for x in inputs]
    for _ in range(_WARM):
        network(*fixed)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(fixed[0].device)):
        out = network(*fixed)

    def replay(*fresh: Tensor) -> Tensor:
        for place, x in zip(fixed, fresh, strict=True):
            place.copy_(x)
        graph.replay()
        return out.clone()  # the next replay writes into the same memory

    return replay


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
