"""Metrics for Prometheus, on a port of its own in each process. What happens is counted where it
happens; what is merely so is read when somebody asks, by a collector.
"""

from __future__ import annotations

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.registry import Collector

from jobs.settings import SharedSettings


def serve_metrics(
    settings: SharedSettings, *collectors: Collector, registry: CollectorRegistry = REGISTRY
) -> int:
    """Answer ``GET /metrics`` from a thread; does nothing where no port is set. Returns the port.
    Ends the process with a sentence when it can't be had.
    """
    if not settings.metrics_port:
        return 0
    disable_created_metrics()  # a series more for each counter, which nobody asks for
    for collector in collectors:
        registry.register(collector)
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise SystemExit(
            f"mmml: metrics can't be served on {host}:{port}: {error}. Set MMML_METRICS_PORT to a "
            "free port, or to 0 for none."
        ) from error
    return int(server.server_port)
