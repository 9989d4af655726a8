"""What several processes need to act as one: gathered batches, statistics and gradients.

Gradients are defined as those of one process with the whole batch. Everything works on any backend,
gloo on CPUs included; with a single process every function returns its argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.nn import functional as differentiable


def world() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world() > 1 else 0


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of ``x`` over all processes; gradients flow back to every one of them."""
    return differentiable.all_reduce(x) if world() > 1 else x


def share_of_count(count: Tensor) -> Tensor:
    """What a sum over counted values is divided by where their number differs from process to
    process, so that each weighs the same: their mean number, of one counted value at least.
    """
    return sum_over_processes(count).clamp(min=1) / world()


def gather(x: Tensor) -> Tensor:
    """Rows [B,…] of all processes in the order of their ranks, [world·B,…], with gradients."""
    if world() == 1:
        return x
    rows = len(x)
    # Sums of zero-padded rows: the one collective whose gradient every backend knows.
    before, after = rank() * rows, (world() - 1 - rank()) * rows
    blank = x.new_zeros((1, *x.shape[1:]))
    parts = [blank.expand(before, *x.shape[1:]), x, blank.expand(after, *x.shape[1:])]
    return sum_over_processes(torch.cat(parts))


def gather_captions(words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Word features [B,D,T] and lengths [B] of all processes, padded to one width."""
    if world() == 1:
        return words, lengths
    width = torch.tensor([words.shape[2]], device=words.device)
    dist.all_reduce(width, op=dist.ReduceOp.MAX)
    padded = nn.functional.pad(words, (0, int(width) - words.shape[2]))
    return gather(padded), gather(lengths)


@torch.no_grad()
def average_gradients(weights: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the processes, in one exchange."""
    if world() == 1:
        return
    found = [p for p in weights if p.requires_grad]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in found]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= world()
    for p, part in zip(found, flat.split([p.numel() for p in found]), strict=True):
        p.grad = part.view_as(p).clone()


class _SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose statistics are those of the batches of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        dims = [0, *range(2, x.dim())]
        shape = (1, -1, *(1 for _ in dims[1:]))
        count = x.numel() // x.shape[1] * world()
        mean = sum_over_processes(x.sum(dims)) / count
        centred = x - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(dims)) / count
        self._follow(mean.detach(), variance.detach() * (count / max(1, count - 1)))
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101 (comes with the statistics)
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def gather_statistics(module: nn.Module) -> None:
    """Make every trained batch norm inside ``module``, in place, gather its statistics."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _to_sync_batch_norm(child))
        else:
            gather_statistics(child)


def _to_sync_batch_norm(norm: Any) -> _SyncBatchNorm:
    made = _SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine)
    if norm.affine:
        made.weight, made.bias = norm.weight, norm.bias
    made.running_mean, made.running_var = norm.running_mean, norm.running_var
    made.num_batches_tracked = norm.num_batches_tracked
    return made.train(norm.training)
