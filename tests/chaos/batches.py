"""Pictures that make a batch fail."""

from __future__ import annotations

import time

from jobs.job import ErrorCode
from tests.chaos.faults import Fault, Finding
from tests.chaos.ledger import settled, submit
from tests.chaos.processes import wait_until
from tests.chaos.stack import Stack

_SOON = 30.0  # seconds
_TOGETHER = 8


def _together(stack: Stack, texts: list[str]) -> tuple[list[str], list[str]]:
    """The jobs, which wait behind another one and so share a batch; and that other one."""
    stack.ready()
    stack.strikes.forget()
    plug = submit(stack, "wait")
    wait_until(lambda: stack.strikes.notes("batches"), 30, "the first batch")
    return submit(stack, *texts), plug


def poison(stack: Stack) -> Finding:
    """One of eight makes the forward pass fail."""
    jobs, plug = _together(stack, ["a bird"] * 5 + ["a bird crash"] + ["a bird"] * 2)
    culprit = jobs[5]
    found = settled(stack, jobs + plug, time.time(), _SOON, failing=[culprit])
    job, batches = stack.store.get(culprit), stack.strikes.notes("batches")
    broken = []
    if not job or not job.error or job.error.code is not ErrorCode.model_error:
        broken.append(f"the culprit's reason is {job and job.error}")
    if _TOGETHER not in batches:
        broken.append(f"no batch of eight was run, but {batches}")
    return found.but(*broken, notes=[f"batches {batches}"])


def out_of_memory(stack: Stack) -> Finding:
    """Eight do not fit, four do."""
    jobs, plug = _together(stack, ["a bird memory"] * _TOGETHER)
    found = settled(stack, jobs + plug, time.time(), _SOON)
    batches = stack.strikes.notes("batches")
    halved = batches[1:] == [_TOGETHER, _TOGETHER // 2, _TOGETHER // 2]
    return found.but(
        *([] if halved else [f"the batch was not halved: {batches}"]), notes=[f"batches {batches}"]
    )


FAULTS = [
    Fault(
        "poison input in a batch of 8",
        "7 succeed, 1 fails with its reason",
        poison,
        _SOON,
        runs=5,
    ),
    Fault(
        "out of memory at batch 8",
        "the batch halves and all succeed",
        out_of_memory,
        _SOON,
        runs=5,
    ),
]
