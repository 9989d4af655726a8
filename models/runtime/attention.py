"""Unscaled attention of the cells of a picture over cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.runtime.precision import logits


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
