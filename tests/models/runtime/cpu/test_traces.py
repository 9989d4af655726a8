"""Traces: the same bits, no Python."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models.runtime.cpu.traces import TraceBudget, TracedModule
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig, fold_generator


class Counted(nn.Module):
    """Counts how often Python runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.runs = nn.Linear(3, 4), 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        out: Tensor = self.layer(x).tanh()
        return out


class Unclear(Counted):
    """What it returns no trace can hold."""

    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        return Whole(x)  # type: ignore[return-value]


class Whole:
    """Not a tensor."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


@torch.inference_mode()
def test_a_shape_is_traced_when_it_comes_again_and_python_runs_it_no_more() -> None:
    network = Counted()
    traced = TracedModule(network, allowance=TraceBudget(2))
    for rows, runs in ((2, 1), (5, 2), (2, 3), (2, 3), (5, 4), (5, 4), (2, 4)):
        x = torch.randn(rows, 3)
        made = traced(x)
        assert network.runs == runs
        assert torch.equal(made, network.layer(x).tanh())


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_generator_draws_the_same_bits(dtype: torch.dtype) -> None:
    config = GeneratorConfig(ngf=8, widths=(4, 4, 2, 1), z=16, sentence=24, attention=16)
    network = fold_generator(Generator(config).eval()).requires_grad_(False)
    autocast = partial(torch.autocast, "cpu", dtype, enabled=dtype != torch.float32)
    traced = TracedModule(network, partial(autocast, cache_enabled=False), TraceBudget(2))
    for rows in (1, 3):
        z, sentence = torch.randn(rows, 16), torch.randn(rows, 24)
        with autocast():
            expected = network(z, sentence)
        assert all(torch.equal(traced(z, sentence), expected) for _ in range(4))


@torch.inference_mode()
def test_a_network_that_cannot_be_traced_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    network = Unclear()
    traced = TracedModule(network, allowance=TraceBudget(1))
    x = torch.ones(1, 3)
    with caplog.at_level(logging.WARNING):
        made = [traced(x) for _ in range(3)]
    assert all(isinstance(one, Whole) for one in made)
    assert "without a trace" in caplog.text


@torch.inference_mode()
def test_without_an_allowance_python_goes_on_running_it() -> None:
    network, allowance = Counted(), TraceBudget(1)
    traced = TracedModule(network, allowance=allowance)
    for rows in (1, 1, 2, 2, 1, 2, 2):
        x = torch.randn(rows, 3)
        assert torch.equal(traced(x), network.layer(x).tanh())
    assert network.runs == 1 + 1 + 4  # two of the first shape, one of them traced; all of the other
