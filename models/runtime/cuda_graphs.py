"""Networks on a CUDA device as graphs: a forward pass is then one launch instead of hundreds.

Batches are rounded up to a few sizes. Each is captured when it first comes, and replayed after.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SIZES = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = 8  # captions are pad_tokens to a multiple of this
_WARM = 3  # passes before the capture, in which libraries choose their kernels

Network = Callable[..., Tensor]
Capture = Callable[[Network, Sequence[Tensor]], Network]


def rounded_up(rows: int) -> int:
    """The smallest of SIZES that holds so many rows; more than the largest stay as they are."""
    return next((size for size in SIZES if size >= rows), rows)


def pad_batch(inputs: Sequence[Tensor], size: int) -> list[Tensor]:
    """Inputs [B,…] of ``size`` rows, the last one repeated."""
    missing = size - len(inputs[0])
    if not missing:
        return list(inputs)
    return [torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) for x in inputs]


def pad_tokens(words: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
    """words [B,C,L] and pad [B,L] (True = no word) with L a multiple of 8, so that captions of
    different lengths share a graph.
    """
    missing = -words.shape[2] % _COLUMNS
    return functional.pad(words, (0, missing)), functional.pad(pad, (0, missing), value=True)


# All that hold graphs; they share memory, so they are forgotten together.
_RUNNERS: weakref.WeakSet[CudaGraphRunner] = weakref.WeakSet()
_pool: Any = None


class CudaGraphRunner:
    """A network that is captured once per shape of its inputs; capture turns network and inputs
    into a callable for inputs of the same shapes. Rows must not depend on each other.
    """

    def __init__(self, network: Network, capture: Capture) -> None:
        self._network, self._capture = network, capture
        self._captured: dict[tuple[object, ...], Network] = {}
        _RUNNERS.add(self)

    def __call__(self, *inputs: Tensor) -> Tensor:
        rows = len(inputs[0])
        full = pad_batch(inputs, rounded_up(rows))
        shapes = tuple((tuple(x.shape), x.dtype) for x in full)
        if shapes not in self._captured:
            self._captured[shapes] = self._capture(self._network, full)
        return self._captured[shapes](*full)[:rows]

    def forget(self) -> None:
        """Give the graphs' memory back."""
        self._captured.clear()


def forget_all() -> None:
    """Give the memory of every graph back, before a smaller batch is tried."""
    global _pool
    for runner in _RUNNERS:
        runner.forget()
    _pool = None


def token_widths(most: int) -> list[int]:
    """The widths that captions of up to ``most`` words are padded to."""
    return list(range(_COLUMNS, most + _COLUMNS, _COLUMNS))


def cuda_graph(network: Network, inputs: Sequence[Tensor]) -> Network:
    """A CUDA graph of one pass, on the current stream, which must not be the default one.

    All graphs share one pool: one thread replays them, and what a replay made is copied before the
    next one writes over it. What other threads do with CUDA meanwhile does not disturb a capture.
    """
    global _pool
    _pool = _pool or torch.cuda.graph_pool_handle()
    fixed = [x.clone() for x in inputs]
    for _ in range(_WARM):
        network(*fixed)
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream(fixed[0].device)
    with torch.cuda.graph(graph, _pool, stream, capture_error_mode="thread_local"):
        out = network(*fixed)

    def replay(*fresh: Tensor) -> Tensor:
        for place, x in zip(fixed, fresh, strict=True):
            place.copy_(x)
        graph.replay()
        return out.clone()  # the next replay writes into the same memory

    return replay
