"""The OpenAPI document is the truth: two dozen requests to each operation, of which half break its
rules. ``make chaos`` sends thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.app.conftest import succeed
from tests.app.gateway.schema_cases import Cases, makes_jobs, worked
from tests.conftest import write_paper_bundle
from tests.moves import queued
from tests.services import connected, listening

pytestmark = pytest.mark.slow
CASES = 24
KEY = generate_key()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Services:
    weights: Path = tmp_path_factory.mktemp("weights")
    write_paper_bundle(weights / "paper")
    settings = GatewaySettings(
        weights_dir=weights,
        require_keys=True,
        rate_submit="1000000/second",
        rate_read="1000000/second",
        rate_wrong_keys="1000000/second",
        rate_login="1000000/second",
        max_queue=10**6,
        max_active=10**6,
        max_wait=0.01,
    )
    made = connected(settings, valkey)
    made.authenticator.keys.add(new_api_key(KEY, "mine", default_scopes()))
    made.store.heartbeat("worker", {"device": "cpu"}, 3600)
    return made


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with listening(services) as port:
        yield f"http://127.0.0.1:{port}"


def a_job(services: Services, finished: bool) -> str:
    owner = services.authenticator.keys.all()[0].owner
    job = queued(services.store, owner=owner, request={"text": "a bird", "count": 1})
    if finished:
        succeed(services, job.id)
    return job.id


def test_answers_follow_the_document(services: Services, url: str) -> None:
    waiting, done = a_job(services, finished=False), a_job(services, finished=True)
    jobs = {
        "GET /jobs/{job_id}": [waiting, done],
        "GET /jobs/{job_id}/events": [done],
        "GET /jobs/{job_id}/images/{index}": [waiting, done],
        "GET /jobs/{job_id}/images/{index}/explanation": [waiting, done],
        "POST /jobs/{job_id}/cancel": [a_job(services, finished=False), done],
    }
    real = {label: [{"job_id": job} for job in ids] for label, ids in jobs.items()}
    owner = services.authenticator.keys.all()[0].owner
    batch = services.store.batches.create(owner, "", 9, 9, 3600)
    services.store.batches.close(batch)
    for label in ("GET /batches/{batch_id}", "GET /batches/{batch_id}/images.zip"):
        real[label] = [{"batch_id": batch}]
    real["GET /batches/{job_id}/events"] = [{"job_id": batch}]
    real["GET /models/{bundle}/vocabulary"] = [{"bundle": "paper"}]
    cases = Cases(url, KEY, real)
    findings: dict[str, str] = {}
    for operation in cases.operations():
        work = worked(url, KEY, partial(succeed, services))
        with work if makes_jobs(operation) else nullcontext():
            tally = cases.run(operation, CASES)
        assert tally.cases >= CASES, operation.label
        findings |= tally.findings
    assert not findings, "\n".join(f"{what}\n  {how}" for what, how in findings.items())
