"""Operators have workers look at their bundles again."""

from __future__ import annotations

import pytest

from tests.chaos.processes import wait_until
from tests.real.fleet import Fleet, fleet

__all__ = ["fleet"]  # a fixture
pytestmark = pytest.mark.real


def test_a_worker_hears_of_it(fleet: Fleet) -> None:
    worker = fleet.worker()
    assert fleet.store.request_reload() == [found["name"] for found in fleet.store.live_workers()]
    wait_until(lambda: "all bundles are looked at again" in worker.log.read_text(), 10, "no reload")
    assert len(fleet.store.live_workers()) == 1
