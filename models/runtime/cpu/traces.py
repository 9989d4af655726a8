"""Networks on a CPU as traces: what a forward pass does to tensors, recorded once per shape and
replayed by torch's interpreter, to the same bits.

Run from Python, a pass takes and gives back the interpreter's lock some hundred times, and each
time has to wait for the threads that read and store other jobs meanwhile. A trace gives it back
once.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor

log = logging.getLogger(__name__)
Network = Callable[..., Tensor]
Shapes = tuple[tuple[object, ...], ...]


class TraceBudget:
    """How many traces may be made. Torch keeps each to the end of the process: not its weights, but
    6 to 22 MB of what it wrote down.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self) -> bool:
        """Whether there was one left."""
        self._left -= 1
        return self._left >= 0


# Synthesis in batches of up to eight takes twelve traces where a pipeline is measured first, eight
# where its tuning is remembered. Edits and fills, traced for one picture alone, take a third.
OF_PROCESS = TraceBudget(64)


class TracedModule:
    """``network`` under ``autocast``, traced for each shape of its inputs that comes for the second
    time, while there is an allowance. It must never look at values, and know few shapes: a trace
    costs some passes. Call it from one thread, outside of any autocast, and not where gradients are
    wanted.
    """

    def __init__(
        self,
        network: Network,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        allowance: TraceBudget = OF_PROCESS,
    ) -> None:
        self._network, self._autocast, self._allowance = network, autocast, allowance
        self._seen: set[Shapes] = set()
        self._traces: dict[Shapes, Network] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        shapes = tuple((*x.shape, x.dtype, *x.stride()) for x in inputs)
        if shapes not in self._traces:
            if shapes not in self._seen:
                self._seen.add(shapes)
                return self._untraced(*inputs)
            self._traces[shapes] = self._trace(inputs)
        # A trace holds the casts; as it is, without the passes that look for others' gain.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return self._traces[shapes](*inputs)

    def _untraced(self, *inputs: Tensor) -> Tensor:
        with self._autocast():
            return self._network(*inputs)

    def _trace(self, inputs: tuple[Tensor, ...]) -> Network:
        if not self._allowance.take():
            return self._untraced
        try:
            with self._autocast(), warnings.catch_warnings():
                # Of shapes that are taken for constants, which they are here, and of torch.export,
                # whose programs Python runs step by step.
                warnings.simplefilter("ignore")
                trace: Any = torch.jit.trace(self._network, inputs, check_trace=False)
        except Exception as error:  # torch's own, of any kind: slower is better than not at all
            log.warning("a network runs without a trace: %s", error)
            return self._untraced
        return cast("Network", trace)
