"""Alerts and the dashboard ask for nothing that no process tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

import app.gateway.server  # noqa: F401 (all metrics of the gateway are registered)
import workers.metrics  # noqa: F401
from app.reconciler.metrics import StoreCollector
from jobs.redis_store import JobStore
from tests.deploy.conftest import ROOT, compose_file
from tests.workers.test_metrics import collector

PROMETHEUS = ROOT / "deploy/prometheus"
_NAME = re.compile(r"\b(?:mmml|process|up)\w*\b(?!-)")
_GPU = {"mmml_gpu_used_bytes", "mmml_gpu_total_bytes"}  # known where there is one
_OF_PROMETHEUS = {"up"}


@pytest.fixture
def exported(store: JobStore) -> set[str]:
    """Names of everything that the three processes tell."""
    own = CollectorRegistry()
    own.register(StoreCollector(store, 60))
    own.register(collector())
    families = [*REGISTRY.collect(), *own.collect()]
    assert b"mmml_" in generate_latest(own)
    named = {_exported_name(family.name, family.type) for family in families}
    for family in families:
        if family.type in ("histogram", "summary"):
            named |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return named | _GPU | _OF_PROMETHEUS


def _exported_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def names(expression: str) -> set[str]:
    """Metrics in an expression; what is quoted or in braces is no metric."""
    return set(_NAME.findall(re.sub(r"\{[^}]*\}", "", expression)))


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def queries() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_alert_asks_for_metrics_that_there_are(exported: set[str]) -> None:
    assert len(alerts()) == 8
    for alert in alerts():
        asked = names(alert["expr"])
        assert asked, alert["alert"]
        assert asked <= exported, alert["alert"]


def test_every_query_of_the_dashboard_asks_for_metrics_that_there_are(exported: set[str]) -> None:
    for query in queries():
        asked = names(query)
        assert asked, query
        assert asked <= exported, query


def test_keda_asks_for_metrics_that_there_are(exported: set[str]) -> None:
    values = yaml.safe_load((ROOT / "deploy/helm/mmml/values.yaml").read_text())
    asked = names(values["keda"]["query"])
    assert asked == {"mmml_jobs_waiting", "mmml_jobs_leased"}
    assert asked <= exported


def test_every_metric_of_ours_is_shown_or_alerts(exported: set[str]) -> None:
    shown = {name for text in [*queries(), *(a["expr"] for a in alerts())] for name in names(text)}
    roots = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    ours = {n for n in exported if n.startswith("mmml_")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} <= roots


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert [a["alert"] for a in alerts()] == re.findall(r"^\| `(Mmml\w+)` \|", page, re.M)


def test_prometheus_looks_where_the_processes_answer() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    asked = {name for job in jobs for name in job["dns_sd_configs"][0]["names"]}
    services = compose_file("docker-compose.yml")["services"]
    telling = {n for n, s in services.items() if "MMML_METRICS_PORT" in s["environment"]}
    assert asked == telling
    assert all(job["job_name"].startswith("mmml-") for job in jobs)


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    done = subprocess.run(
        [program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_reads_the_files() -> None:
    assert "8 rules found" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_and_is_silent_otherwise() -> None:
    """The series that provoke each are in the file."""
    tried = (PROMETHEUS / "alerts_test.yml").read_text()
    for alert in alerts():
        assert tried.count(f"alertname: {alert['alert']}") >= 2, alert["alert"]
    promtool("test", "rules", "alerts_test.yml")


_QUEUE_OF_TWO_RECONCILERS = """
rule_files: []
tests:
  - input_series:
      - {series: 'mmml_jobs_waiting{priority="high",instance="a"}', values: "30"}
      - {series: 'mmml_jobs_waiting{priority="high",instance="b"}', values: "30"}
      - {series: 'mmml_jobs_waiting{priority="normal",instance="a"}', values: "5"}
      - {series: 'mmml_jobs_waiting{priority="all",instance="a"}', values: "99"}
      - {series: 'mmml_jobs_leased{instance="a"}', values: "20"}
      - {series: 'mmml_jobs_leased{instance="b"}', values: "20"}
    promql_expr_test:
      - {expr: 'QUERY', eval_time: 0s, exp_samples: [{labels: "{}", value: 55}]}
"""


def test_keda_counts_each_job_once_and_none_that_no_worker_may_have(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "deploy/helm/mmml/values.yaml").read_text())
    tried = tmp_path / "queue.yml"
    tried.write_text(_QUEUE_OF_TWO_RECONCILERS.replace("QUERY", values["keda"]["query"]))
    promtool("test", "rules", str(tried))
