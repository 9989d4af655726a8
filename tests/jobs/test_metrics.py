"""Metrics over HTTP."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from jobs.metrics import serve_metrics
from jobs.settings import SharedSettings
from tests.ports import free_port


def test_nothing_is_served_unless_a_port_is_set() -> None:
    assert serve_metrics(SharedSettings()) == 0


def test_metrics_are_answered_on_their_port() -> None:
    registry = CollectorRegistry()
    Counter("tries", "of this test", registry=registry).inc(3)
    port = serve_metrics(SharedSettings(metrics_port=free_port()), registry=registry)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"tries_total 3.0" in answer.read()
    with pytest.raises(SystemExit, match=f"on 127.0.0.1:{port}.*MMML_METRICS_PORT"):
        serve_metrics(SharedSettings(metrics_port=port))
