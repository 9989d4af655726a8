"""A state folder that an earlier service has written is served: nothing accepted is lost."""

from __future__ import annotations

import json
import sys
import tarfile
from typing import Any

import pytest

from tests.real.conftest import Service
from tests.real.upgrade.write_state import FACTS, LONG, ONCE, STATE

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture
def facts(service: Service) -> dict[str, Any]:
    """What was left in the folder of the service that is about to start."""
    service.state_dir.mkdir()
    with tarfile.open(STATE) as archive:
        archive.extractall(service.state_dir, filter="data")
    found: dict[str, Any] = json.loads(FACTS.read_text())
    return found


def test_an_earlier_state_is_served(service: Service, facts: dict[str, Any]) -> None:
    service.start(fake=True, MMML_RESULT_TTL=LONG)
    http = service.http
    assert http.get("/jobs").status_code == 401
    http.headers["Authorization"] = f"Bearer {facts['key']}"
    service.ready()

    unfinished = [*facts["queued"], facts["running"]]
    for job in unfinished:
        made = http.get(f"/jobs/{job}", params={"wait": 60}).json()
        assert made["status"] == "succeeded", made["error"]
    died_once = http.get(f"/jobs/{facts['running']}").json()
    assert died_once["attempts"] == 2

    for job, tag in facts["done"].items():
        assert http.get(f"/jobs/{job}/images/0").headers["etag"] == tag
    assert http.get(f"/jobs/{facts['failed']}").json()["error"]["code"] == "bad_input"
    assert http.get(f"/jobs/{facts['canceled']}").json()["status"] == "canceled"
    assert http.get(f"/jobs/{facts['gone']}").status_code == 410

    again = http.post("/synthesize", json=ONCE, headers={"Idempotency-Key": "earlier-1"})
    assert (again.status_code, again.json()["id"]) == (200, facts["once"])
    other = http.post("/synthesize", json={"text": "x"}, headers={"Idempotency-Key": "earlier-1"})
    assert other.status_code == 422

    listed = http.get("/jobs", params={"limit": 100}).json()["jobs"]
    assert {job["id"] for job in listed} >= {*unfinished, *facts["done"]}
    del http.headers["Authorization"]
    http.cookies.set("mmml_session", facts["cookie"])
    assert http.get("/session").json()["name"] == "earlier"


def test_the_jobs_of_an_earlier_state_are_no_burden_for_ever(
    service: Service, facts: dict[str, Any]
) -> None:
    """Those that are over make room for new ones of their owner: none is counted twice."""
    service.start(fake=True, MMML_RESULT_TTL=LONG)
    service.http.headers["Authorization"] = f"Bearer {facts['key']}"
    for job in [*facts["queued"], facts["running"]]:
        assert service.status(job, wait=60) == "succeeded"
    jobs = [service.submit() for _ in range(100)]  # as many as the key may have at a time
    service.all_succeed(jobs, 60)
