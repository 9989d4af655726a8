"""Batches rounded up to sizes that are captured once; the capture itself needs CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.runtime.cuda_graphs import (
    SIZES,
    CudaGraphRunner,
    Network,
    forget_all,
    pad_batch,
    pad_tokens,
    round_up_batch,
    token_widths,
)
from models.runtime.device import to_host


class Captures:
    """Stands in for CUDA graphs: remembers the shapes, calls the network."""

    def __init__(self) -> None:
        self.shapes: list[list[tuple[int, ...]]] = []

    def __call__(self, network: Network, inputs: Sequence[Tensor]) -> Network:
        self.shapes.append([tuple(x.shape) for x in inputs])
        return network


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 4), (4, 4), (33, 64), (64, 64), (65, 65)])
def test_rows_are_rounded_up_to_few_sizes(rows: int, size: int) -> None:
    assert round_up_batch(rows) == size


def test_filling_up_repeats_the_last_row() -> None:
    a, b = pad_batch([torch.arange(3), torch.arange(6).view(3, 2)], 5)
    assert a.tolist() == [0, 1, 2, 2, 2]
    assert b.tolist() == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]


def test_captions_are_widened_by_columns_without_words() -> None:
    words, pad = pad_tokens(torch.ones(2, 4, 11), torch.zeros(2, 11, dtype=torch.bool))
    assert (words.shape, pad.shape) == ((2, 4, 16), (2, 16))
    assert not words[..., 11:].any()
    assert pad[:, 11:].all()
    assert pad_tokens(words, pad)[0].shape == words.shape


def test_each_size_is_captured_once_and_rows_come_back_as_they_were() -> None:
    captures = Captures()
    replayed = CudaGraphRunner(lambda x, y: x * 2 + y, captures)
    for rows in (*range(1, 20), 5, 1):
        x, y = torch.randn(rows, 3), torch.randn(rows, 3)
        assert torch.equal(replayed(x, y), x * 2 + y)
    assert [shapes[0][0] for shapes in captures.shapes] == [s for s in SIZES if s <= 32]


def test_forgotten_graphs_are_captured_again() -> None:
    captures = Captures()
    replayed = CudaGraphRunner(lambda x: x, captures)
    replayed(torch.ones(2))
    replayed.forget()
    replayed(torch.ones(2))
    assert len(captures.shapes) == 2


def test_the_cpu_needs_no_copy() -> None:
    x = torch.ones(2)
    assert to_host(x).data_ptr() == x.data_ptr()


def test_all_graphs_are_forgotten_together() -> None:
    captures = Captures()
    runners = [CudaGraphRunner(lambda x: x, captures) for _ in range(2)]
    for runner in runners:
        runner(torch.ones(2))
    forget_all()
    for runner in runners:
        runner(torch.ones(2))
    assert len(captures.shapes) == 4


def test_widths_cover_the_longest_caption() -> None:
    assert token_widths(18) == [8, 16, 24]
    assert token_widths(8) == [8]
