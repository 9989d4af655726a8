"""Traces that are off, and traces that can't be had; those of a real service: tests/real."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jobs.traces import record_span, span, trace_id, traceparent
from tests.chaos.processes import ROOT

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def run(lines: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/client", **settings}
    command = [sys.executable, "-c", lines]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


CONFIGURE = """
import sys
from jobs.settings import SharedSettings, read_settings
from jobs.traces import configure_tracing, record_span, span, traceparent
configure_tracing(read_settings(SharedSettings), "worker")
"""


def test_off_there_is_no_trace_and_nothing_is_imported() -> None:
    used = f'record_span("queued", "{PARENT}", 1.0, 2.0)\nwith span("load", "{PARENT}"): pass\n'
    done = run(CONFIGURE + used + "print([traceparent()], 'opentelemetry.exporter' in sys.modules)")
    assert done.stdout.strip() == "[''] False", done.stderr


def test_without_the_extra_the_process_ends_with_a_sentence() -> None:
    missing = "import sys; sys.modules['opentelemetry.sdk'] = None\n"
    done = run(missing + CONFIGURE, MMML_TRACES="true")
    assert done.returncode == 1
    assert "pip install 'mmml-service[otel]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_without_a_trace_makes_no_spans() -> None:
    on = 'print([traceparent()])\nwith span("load", ""): print([traceparent()])'
    done = run(CONFIGURE + on, MMML_TRACES="true")
    assert done.stdout.split() == ["['']", "['']"], done.stderr


def test_spans_are_children_of_the_one_that_is_named() -> None:
    inside = f'with span("load", "{PARENT}"): print(traceparent())'
    unreachable = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = run(CONFIGURE + inside, MMML_TRACES="true", **unreachable)
    assert trace_id(done.stdout.strip()) == trace_id(PARENT) != "", done.stderr
    assert done.stdout.strip() != PARENT


@pytest.mark.parametrize(("parent", "trace"), [("", ""), (PARENT, PARENT[3:35])])
def test_a_trace_is_named_by_its_id(parent: str, trace: str) -> None:
    assert trace_id(parent) == trace


def test_here_traces_are_off() -> None:
    with span("load", PARENT):
        record_span("queued", PARENT, 1.0, 2.0)
        assert traceparent() == ""
