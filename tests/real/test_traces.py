"""One trace from the request through the worker to the webhook, as a collector receives it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.real.fleet import Fleet, ends, fleet

__all__ = ["fleet"]

Eventually = Callable[[Callable[[], bool], float], None]


class Collector(ThreadingHTTPServer):
    """Takes spans, and webhooks. ``spans``: (process, name, trace, parent, seconds)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, str, str, str, float]] = []
        self.text = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, data: bytes) -> None:
        self.text += data
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            found = {a.key: a.value.string_value for a in resource.resource.attributes}
            for span in (s for scope in resource.scope_spans for s in scope.spans):
                ids = span.trace_id.hex(), span.parent_span_id.hex()
                took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
                self.spans.append((found["service.name"], span.name, *ids, took))

    def names(self) -> set[tuple[str, str]]:
        return {(process, name) for process, name, *_ in self.spans}


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            zipped = self.headers.get("Content-Encoding") == "gzip"
            self.server.take(gzip.decompress(data) if zipped else data)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.real
def test_one_trace_follows_a_job(
    fleet: Fleet, collector: Collector, eventually: Eventually
) -> None:
    settings = {
        "MMML_TRACES": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "MMML_LOG_FORMAT": "json",
        "MMML_WEBHOOK_ALLOW_HTTP": "true",
        "MMML_WEBHOOK_PORTS": "[]",
        "MMML_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
    }
    fleet.start("app.reconciler", **settings)
    fleet.start("workers.fake", **settings)
    _, url = fleet.gateway(**settings)
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    body = {"text": "a red bird fail:slow=0.3", "webhook": f"{collector.url}/hook"}
    answer = httpx.post(
        f"{url}/synthesize", json=body, headers={"traceparent": f"00-{trace}-{span}-01"}
    )
    assert answer.status_code == 202, answer.text
    assert ends(url, [answer.json()["id"]]) == ["succeeded"]

    request = ("mmml-gateway", "POST /synthesize")
    wanted = {request, ("mmml-reconciler", "webhook")}
    wanted |= {("mmml-worker", name) for name in ("queued", "load", "model", "store")}
    eventually(lambda: collector.names() >= wanted, 20)
    assert collector.names() == wanted  # that somebody looked at the job is no part of it
    assert {found[2] for found in collector.spans} == {trace}
    parents = {found[:2]: found[3] for found in collector.spans}
    assert parents.pop(request) == span
    assert len(set(parents.values())) == 1  # all others are children of the request
    assert span not in parents.values()
    (model,) = (took for _, name, _, _, took in collector.spans if name == "model")
    assert 0.3 <= model < 2
    assert b"red bird" not in collector.text

    log = (fleet.folder / "workers.fake-1.log").read_text().splitlines()
    lines = [json.loads(line) for line in log if line.startswith("{")]
    assert [line["trace"] for line in lines if "ended" in line["message"]] == [trace]


@pytest.mark.real
def test_a_collector_that_is_away_holds_nothing_up(fleet: Fleet) -> None:
    settings = {"MMML_TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    worker = fleet.start("workers.fake", **settings)
    gateway, url = fleet.gateway(**settings)
    answer = httpx.post(f"{url}/synthesize", json={"text": "a red bird"}, params={"wait": 30})
    assert answer.json()["status"] == "succeeded"
    for process in (gateway, worker):
        process.terminate(15)
