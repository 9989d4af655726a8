"""Torch's threads belong to the networks, and what others take from them is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from models.runtime.cpu.threads import reserve_threads, seconds_without_core


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [2, 3])
def test_one_thread_works_with_several_and_all_others_alone(count: int) -> None:
    with ThreadPoolExecutor(1) as networks, ThreadPoolExecutor(2) as others:
        reserve_threads(lambda work: networks.submit(work).result(), count)
        assert torch.get_num_threads() == 1
        assert {others.submit(torch.get_num_threads).result() for _ in range(4)} == {1}
        assert networks.submit(torch.get_num_threads).result() == count


def test_the_networks_sums_stay_theirs_when_others_work() -> None:
    def total() -> float:
        return float(torch.ones(1_000_000).sum())

    with ThreadPoolExecutor(1) as networks, ThreadPoolExecutor(1) as others:
        reserve_threads(lambda work: networks.submit(work).result(), 2)
        assert others.submit(total).result() == networks.submit(total).result() == 1_000_000
        assert networks.submit(torch.get_num_threads).result() == 2


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(),
    reason="this system does not tell who waits for a core",
)
def test_what_other_programs_take_is_seen() -> None:
    """Two that never rest, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    other = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=-1
    )
    try:
        assert other.stdout
        other.stdout.readline()
        started, waited = time.monotonic(), seconds_without_core()
        while time.monotonic() < started + 0.5:
            pass
        assert seconds_without_core() - waited > 0.1
    finally:
        other.kill()
        other.communicate()
        os.sched_setaffinity(0, before)
