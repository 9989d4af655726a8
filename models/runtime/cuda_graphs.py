"""Networks on a CUDA device as graphs: a forward pass is then one launch instead of hundreds.

Batches are rounded up to a few sizes. Each is captured when it first comes, and replayed after.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SIZES = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = 8  # captions are pad_tokens to a multiple of this
_WARM = 3  # passes before the capture, in which libraries choose their kernels

Network = Callable[..., Tensor]
Capture = Callable[[Network, Sequence[Tensor]], Network]


def round_up_batch(rows: int) -> int:
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


class _SharedPool:
    """The memory of all graphs of the process. They write over each other's results, so one at a
    time is captured or replayed, whichever thread does it, and what it made is copied in its turn.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runners: weakref.WeakSet[CudaGraphRunner] = weakref.WeakSet()
        self._last: torch.cuda.Event | None = None
        self._handle: Any = None

    def add(self, runner: CudaGraphRunner) -> None:
        with self._lock:
            self._runners.add(runner)

    @contextmanager
    def turn(self, stream: torch.cuda.Stream) -> Iterator[Any]:
        """The pool's handle, while no other thread uses its graphs and what they did is done."""
        with self._lock:
            if self._last is not None:
                stream.wait_event(self._last)
            self._handle = self._handle or torch.cuda.graph_pool_handle()
            yield self._handle
            self._last = stream.record_event()

    def forget(self) -> None:
        with self._lock:
            for runner in self._runners:
                runner.forget()
            self._handle = None


_POOL = _SharedPool()


class CudaGraphRunner:
    """A network that is captured once per shape of its inputs; capture turns network and inputs
    into a callable for inputs of the same shapes. Rows must not depend on each other.
    """

    def __init__(self, network: Network, capture: Capture) -> None:
        self._network, self._capture = network, capture
        self._captured: dict[tuple[object, ...], Network] = {}
        _POOL.add(self)

    def __call__(self, *inputs: Tensor) -> Tensor:
        rows = len(inputs[0])
        full = pad_batch(inputs, round_up_batch(rows))
        shapes = tuple((tuple(x.shape), x.dtype) for x in full)
        if shapes not in self._captured:
            self._captured[shapes] = self._capture(self._network, full)
        return self._captured[shapes](*full)[:rows]

    def forget(self) -> None:
        """Give the graphs' memory back."""
        self._captured.clear()


def forget_all() -> None:
    """Give the memory of every graph back, before a smaller batch is tried."""
    _POOL.forget()


def token_widths(most: int) -> list[int]:
    """The widths that captions of up to ``most`` words are padded to."""
    return list(range(_COLUMNS, most + _COLUMNS, _COLUMNS))


def cuda_graph(network: Network, inputs: Sequence[Tensor]) -> Network:
    """A CUDA graph of one pass, on the current stream, which must not be the default one. What
    other threads do with CUDA meanwhile does not disturb the capture.
    """
    fixed = [x.clone() for x in inputs]
    device = fixed[0].device
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream(device)
    with _POOL.turn(stream) as pool:
        for _ in range(_WARM):
            network(*fixed)
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            out = network(*fixed)

    def replay(*fresh: Tensor) -> Tensor:
        with _POOL.turn(torch.cuda.current_stream(device)):
            for place, x in zip(fixed, fresh, strict=True):
                place.copy_(x)
            graph.replay()
            return out.clone()

    return replay
