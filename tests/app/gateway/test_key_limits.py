"""What one key may have: requests, pictures of a day, unfinished jobs, priorities, streams."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from starlette.responses import StreamingResponse

from app.gateway.dependencies import Reader, StreamSlot
from app.gateway.server import create_app
from app.gateway.services import Services
from jobs.job import Priority
from tests.app.gateway.conftest import bearer, key_of, problem, submit
from tests.moves import claimed
from tests.services import LocalClient


def test_too_many_jobs_are_429(http: TestClient, keyed: Services) -> None:
    slow = key_of(keyed, "slow", rate="2/minute")
    first = submit(http, slow)
    assert first.headers["ratelimit-policy"] == '"submit";q=2;w=60'
    assert first.headers["ratelimit"].startswith('"submit";r=1;t=')
    submit(http, slow)
    response = submit(http, slow)
    result = problem(response, 429)
    assert result["violated-policies"] == ["submit"]
    assert "2 per 1 minute" in result["detail"]
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert response.headers["ratelimit"].startswith('"submit";r=0;t=')
    assert http.get("/jobs", headers=bearer(slow)).status_code == 200
    # It is refused before its body is looked at.
    broken = http.post("/synthesize", content=b"{", headers=bearer(slow))
    assert broken.status_code == 429


def test_reading_has_a_rate_of_its_own(http: TestClient, keyed: Services, mine: str) -> None:
    keyed.settings.rate_read = "2/minute"
    answers = [http.get("/jobs", headers=bearer(mine)) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"read";q=2;w=60'
    assert http.get("/healthz").status_code == 200
    assert submit(http, mine).status_code == 202


def test_pictures_of_a_day(http: TestClient, keyed: Services) -> None:
    daily = key_of(keyed, "daily", pictures_per_day=5)
    assert submit(http, daily, count=3).status_code == 202
    result = problem(submit(http, daily, count=3), 429)
    assert "2 are left" in result["detail"]
    assert result["violated-policies"] == ["pictures"]
    problem(submit(http, daily, count=99), 422)  # costs nothing
    assert submit(http, daily, count=2).status_code == 202


def test_unfinished_jobs_of_a_key(http: TestClient, keyed: Services, mine: str) -> None:
    few = key_of(keyed, "few", max_active=1)
    job = submit(http, few).json()["id"]
    response = submit(http, few)
    problem(response, 429)
    assert response.headers["retry-after"]
    assert submit(http, mine).status_code == 202
    http.post(f"/jobs/{job}/cancel", headers=bearer(few))
    assert submit(http, few).status_code == 202


def test_a_priority_above_the_keys_is_refused(http: TestClient, keyed: Services) -> None:
    plain, urgent = key_of(keyed, "plain"), key_of(keyed, "urgent", priority=Priority.high)
    refused = submit(http, plain, priority="high")
    assert refused.status_code == 403
    assert "priority normal at most" in refused.json()["detail"]
    taken = submit(http, urgent, priority="high")
    assert (taken.status_code, taken.json()["priority"]) == (202, "high")
    assert submit(http, plain, priority="low").status_code == 202


def test_a_keys_cap_is_the_stores_to_keep(http: TestClient, keyed: Services) -> None:
    key = key_of(keyed, "capped", max_running=2)
    for _ in range(5):
        assert submit(http, key).status_code == 202
    assert len(claimed(keyed.store)) == 2


def test_event_streams_are_bounded_and_given_back(keyed: Services) -> None:
    keyed.stream_slots.limit = 2
    one, other = key_of(keyed, "one"), key_of(keyed, "other")
    app = create_app(keyed.settings, keyed)

    @app.get("/stream", dependencies=[StreamSlot])
    async def stream(_caller: Reader) -> StreamingResponse:
        async def words() -> Any:
            yield str(keyed.stream_slots.in_use)  # while the answer is being sent

        return StreamingResponse(words())

    with LocalClient(app) as http:
        for _ in range(5):
            assert http.get("/stream", headers=bearer(one)).text == "1"
        assert keyed.stream_slots.in_use == 0
        name = keyed.authenticator.keys.all()[0].id
        with keyed.stream_slots.acquire(name), keyed.stream_slots.acquire(name):
            refused = http.get("/stream", headers=bearer(one))
            assert "2 event streams" in problem(refused, 429)["detail"]
            assert http.get("/stream", headers=bearer(other)).status_code == 200
        assert http.get("/stream", headers=bearer(one)).status_code == 200
