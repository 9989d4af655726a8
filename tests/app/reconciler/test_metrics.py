"""What the reconciler tells of the store and of its own work."""

from __future__ import annotations

import time

from prometheus_client import REGISTRY, CollectorRegistry

from app.local.broker import BROKER_MEMORY
from app.reconciler.metrics import StoreCollector, count_delivery
from app.reconciler.reconcile import Reconciler
from app.webhooks.sender import DeliveryResult
from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.moves import begun, queued


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_store_is_read_when_it_is_asked_for(store: JobStore) -> None:
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, 60))
    queued(store)
    assert registry.get_sample_value("mmml_store_up") == 1
    assert registry.get_sample_value("mmml_jobs_waiting", {"priority": "normal"}) == 1
    assert registry.get_sample_value("mmml_jobs_waiting", {"priority": "all"}) == 1
    assert registry.get_sample_value("mmml_workers") == 0
    assert registry.get_sample_value("mmml_redis_limit_bytes") == BROKER_MEMORY


def test_a_store_that_does_not_answer_is_told() -> None:
    registry = CollectorRegistry()
    registry.register(StoreCollector(JobStore(connect("redis://127.0.0.1:1/0")), 60))
    assert registry.get_sample_value("mmml_store_up") == 0
    assert registry.get_sample_value("mmml_workers") is None


def test_what_is_recovered_and_given_up_is_counted(store: JobStore) -> None:
    recovered = value("mmml_jobs_recovered_total")
    expired = value("mmml_jobs_given_up_total", reason="expired")
    queued(store, start_within=0.001)
    time.sleep(0.02)
    Reconciler(store).run_once()
    begun(store, queued(store).id, 0.02)
    time.sleep(0.05)
    Reconciler(store).run_once()
    assert value("mmml_jobs_recovered_total") == recovered + 1
    assert value("mmml_jobs_given_up_total", reason="expired") == expired + 1


def test_deliveries_are_counted_by_result() -> None:
    answers = {
        "delivered": DeliveryResult(),
        "failed": DeliveryResult("no answer"),
        "refused": DeliveryResult("410", permanent=True),
    }
    for result, answer in answers.items():
        before = value("mmml_webhook_attempts_total", result=result)
        count_delivery(answer)
        assert value("mmml_webhook_attempts_total", result=result) == before + 1
