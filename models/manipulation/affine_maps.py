"""W(v) and b(v) of an affine combination (ManiGAN section 3.2): where features made from the text
are weighed by the photo, and what the photo adds by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from models.manipulation.blocks import AffineCombination

Maps = dict[str, Tensor]  # "W" and "b", each [B,H,W]


@contextmanager
def affine_maps(combination: nn.Module | None) -> Iterator[Maps]:
    """What ``combination`` computes inside of the block: mean absolute values over the channels.
    Empty for None and for combinations that are not affine.
    """
    found: Maps = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _given: object, made: Tensor) -> None:
            found[name] = made.float().abs().mean(1)

        return hook

    with ExitStack() as stack:
        if isinstance(combination, AffineCombination):
            for name, layer in (("W", combination.conv_weight), ("b", combination.conv_bias)):
                stack.callback(layer.register_forward_hook(keep(name)).remove)
        yield found
