"""Randomness of one slice of one step: named draws for the whole batch, of which a slice is kept.

So a step's noise depends neither on how many processes or slices share the batch, nor on the order
of the draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor


class Noise:
    """Draws of step ``step`` for samples ``start`` … ``start + count`` of a batch of ``total``."""

    def __init__(
        self, seed: int, step: int, total: int, start: int = 0, count: int | None = None
    ) -> None:
        self._key = f"{seed}/{step}"
        self._total, self._slice = total, slice(start, start + (total if count is None else count))
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> Noise:
        """Draw on ``device`` by its own counters: a CPU's numbers are others than a GPU's."""
        self.device = device
        return self

    def normal(self, name: str, *shape: int) -> Tensor:
        """N(0,1), float32 [count,*shape]."""
        return self._draw(torch.randn, name, shape)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """U(0,1), float32 [count,*shape]."""
        return self._draw(torch.rand, name, shape)

    def _draw(self, draw: Callable[..., Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        source = self.generator(name)
        drawn = draw(self._total, *shape, generator=source, device=self.device)
        return drawn[self._slice]

    def generator(self, name: str) -> torch.Generator:
        """The source behind the draws called ``name``."""
        digest = hashlib.blake2b(f"{self._key}/{name}".encode(), digest_size=7).digest()
        return torch.Generator(self.device).manual_seed(int.from_bytes(digest))
