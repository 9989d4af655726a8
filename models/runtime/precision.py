"""The numbers that networks compute with: float32, or half as many bits where nobody sees it."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_ROWS = 4


def autocast_disabled(like: Tensor) -> AbstractContextManager[None]:
    """Float32 stays float32 inside: for attention logits, where rounding picks another word."""
    return torch.autocast(like.device.type, enabled=False)


def in_autocast(x: Tensor) -> Tensor:
    """x in the precision that convolutions compute in here: one cast for all that read it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def logits(queries: Tensor, keys: Tensor) -> Tensor:
    """queries [B,N,C] @ keys [B,C,M] in float32, whatever the precision around it."""
    with autocast_disabled(queries):
        return queries.float() @ keys.float()


def batch_invariant_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer`` of the rows of x [B,C], each the same to the last bit whatever is beside it.

    On CPUs a product of one row and one of many add up in different orders. Where half precision
    follows, a difference in the last bit now and then rounds to another number, and a deep network
    makes up to 10/255 of that. So rows go four at a time, the last ones with zeros beside them.
    """
    fours = functional.pad(x, (0, 0, 0, -len(x) % _ROWS)).split(_ROWS)
    return torch.cat([layer(four) for four in fours])[: len(x)]


class KeepInFp32(nn.Module):
    """A part that computes in float32, whatever the precision around it; a linear one on a CPU
    also in the same way for any batch.
    """

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        with autocast_disabled(inputs[0]):
            given = [x.float() for x in inputs]
            if isinstance(self.part, nn.Linear) and given[0].device.type == "cpu":
                return batch_invariant_linear(self.part, *given)
            out: Tensor = self.part(*given)
        return out


def cast_weights(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Give convolutions and linear layers inside ``module`` weights of ``dtype``, in place, so that
    autocast need not cast them in every forward pass.

    Children that a network lists in ``keep_in_fp32`` keep float32, inside and out.
    """
    for name in getattr(module, "keep_in_fp32", ()):
        setattr(module, name, KeepInFp32(module.get_submodule(name)))
    for child in module.children():
        if isinstance(child, _WEIGHTED):
            child.to(dtype)
        elif not isinstance(child, KeepInFp32):
            cast_weights(child, dtype)
    return module


def candidates(device: torch.device) -> tuple[str, ...]:
    """Precisions worth a measurement on this device; float32 is what they are measured against."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        half = "bfloat16" if native else "float16"
        return "float32", half
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "float32", "bfloat16"
    return ("float32",)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """queries [B,N,C], keys [B,C,M] and values [B,D,M] to [B,N,D], softmax over the keys.

    On CUDA in one kernel, which sums logits in float32 and never holds all of them; elsewhere they
    are float32 as well.
    """
    if queries.device.type == "cuda":
        q, k, v = (x[:, None] for x in (queries, keys.transpose(1, 2), values.transpose(1, 2)))
        return functional.scaled_dot_product_attention(q, k, v, scale=1.0)[:, 0]
    attention = torch.softmax(logits(queries, keys), 2).to(values.dtype)
    return attention @ values.transpose(1, 2)
