"""Looking at jobs and their pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import redis
from fastapi.testclient import TestClient

from app.gateway.server import create_app
from app.gateway.services import Services
from app.reconciler.expire import JobEraser
from jobs.errors import BlobMissing
from jobs.job import ErrorCode, Failure, ImageRecord, Job, Status
from jobs.store import JobOutcome
from tests.app.conftest import png, succeed
from tests.moves import begun, claimed, finished
from tests.services import LocalClient


def submitted(client: TestClient) -> str:
    return str(client.post("/synthesize", json={"text": "a bird"}).json()["id"])


@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense", "%2e%2e", "%00", "é"])
def test_unknown_jobs_are_404(client: TestClient, job_id: str) -> None:
    for address in (f"/jobs/{job_id}", f"/jobs/{job_id}/images/0"):
        response = client.get(address)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"


def test_polling(client: TestClient, services: Services) -> None:
    job = submitted(client)
    first = client.get(f"/jobs/{job}")
    assert first.headers["retry-after"] == "1"
    same = client.get(f"/jobs/{job}", headers={"if-none-match": first.headers["etag"]})
    assert same.status_code == 304
    succeed(services, job)
    done = client.get(f"/jobs/{job}", headers={"if-none-match": first.headers["etag"]})
    assert done.status_code == 200
    assert "retry-after" not in done.headers
    view = done.json()
    assert view["images"][0]["url"] == f"/jobs/{job}/images/0"
    assert view["timings"]["model_ms"] == 1.0
    assert "blob" not in view["images"][0]


def test_long_poll_wakes_up(client: TestClient, work: Callable[..., None]) -> None:
    job = submitted(client)
    work()
    started = time.monotonic()
    response = client.get(f"/jobs/{job}", params={"wait": 20})
    assert response.json()["status"] == "succeeded"
    assert time.monotonic() - started < 3


def test_a_record_of_another_version_is_no_fault_of_the_others(
    client: TestClient, services: Services, redis_client: redis.Redis
) -> None:
    strange, usual = submitted(client), submitted(client)
    redis_client.hset(f"{services.settings.redis_prefix}job:{strange}", "status", "paused")
    listed = client.get("/jobs")
    assert listed.status_code == 200
    assert strange not in listed.text
    assert listed.json()["jobs"][0]["id"] == usual
    alone = client.get(f"/jobs/{strange}")
    assert alone.status_code == 503
    assert "another version" in alone.json()["detail"]


def test_expired_jobs_are_410(client: TestClient, services: Services) -> None:
    job = submitted(client)
    succeed(services, job)
    services.store.expire(job)
    assert client.get(f"/jobs/{job}").status_code == 410
    assert client.get(f"/jobs/{job}/images/0").status_code == 410


def test_pictures_are_served_for_caching(client: TestClient, services: Services) -> None:
    job = submitted(client)
    assert client.get(f"/jobs/{job}/images/0").status_code == 409
    succeed(services, job, 2)
    response = client.get(f"/jobs/{job}/images/1")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in response.headers["cache-control"]
    tag = response.headers["etag"]
    assert client.get(f"/jobs/{job}/images/1", headers={"if-none-match": tag}).status_code == 304
    assert client.get(f"/jobs/{job}/images/2").status_code == 404
    assert client.get(f"/jobs/{job}/images/x").status_code == 404


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/jpeg", "image/jpeg"),
        ("image/webp", "image/webp"),
        ("image/*", "image/png"),
        ("*/*", "image/png"),
        ("text/html,image/avif,image/webp,*/*;q=0.8", "image/png"),
    ],
)
def test_formats_are_negotiated(
    client: TestClient, services: Services, accept: str, kind: str
) -> None:
    job = submitted(client)
    succeed(services, job)
    response = client.get(f"/jobs/{job}/images/0", headers={"accept": accept})
    assert response.headers["content-type"] == kind


def test_a_failed_picture_says_why(client: TestClient, services: Services) -> None:
    job = submitted(client)
    error = Failure(code=ErrorCode.model_error, detail="It broke.")
    finished(services.store, job, JobOutcome([ImageRecord(index=0, seed=1, error=error)]))
    response = client.get(f"/jobs/{job}/images/0")
    assert response.status_code == 404
    assert "It broke." in response.json()["detail"]
    assert client.get(f"/jobs/{job}").json()["images"][0]["url"] is None


def test_cancel(client: TestClient, services: Services) -> None:
    job = submitted(client)
    assert client.post(f"/jobs/{job}/cancel").json()["status"] == "canceled"
    again = client.post(f"/jobs/{job}/cancel")
    assert again.status_code == 409
    assert "been canceled" in again.json()["detail"]
    running = submitted(client)
    begun(services.store, running)
    assert client.post(f"/jobs/{running}/cancel").json()["cancel_requested"] is True
    assert client.post(f"/jobs/{'0' * 32}/cancel").status_code == 404


def test_delete_erases_inputs_and_outputs(client: TestClient, services: Services) -> None:
    response = client.post("/manipulate", data={"text": "a bird"}, files={"image": png()})
    job = response.json()["id"]
    succeed(services, job)
    assert client.get(f"/jobs/{job}/images/0").status_code == 200
    assert client.delete(f"/jobs/{job}").status_code == 204
    for address in (f"/jobs/{job}", f"/jobs/{job}/images/0"):
        assert client.get(address).status_code == 410
    assert client.delete(f"/jobs/{job}").status_code == 410
    assert client.post(f"/jobs/{job}/cancel").status_code == 410
    for key in (f"jobs/{job}/in-image.png", f"jobs/{job}/out/t-0.png"):
        with pytest.raises(BlobMissing):
            services.blobs.get(key)
    tomb = services.store.get(job)
    assert tomb is not None
    assert tomb == Job(
        id=job, task="manipulate", created_at=tomb.created_at, status=Status.expired, request={}
    )


def test_delete_of_a_waiting_job(client: TestClient, services: Services) -> None:
    job = submitted(client)
    assert client.delete(f"/jobs/{job}").status_code == 204
    assert claimed(services.store) == []
    assert client.get(f"/jobs/{job}").status_code == 410


def test_delete_of_a_running_job_stops_it_first(client: TestClient, services: Services) -> None:
    job = submitted(client)
    token = begun(services.store, job)
    assert client.delete(f"/jobs/{job}").status_code == 202
    assert client.get(f"/jobs/{job}").json()["cancel_requested"] is True
    services.store.finish_canceled(job, token)
    assert JobEraser(services.store, services.blobs).expire_results(3600) == 1
    assert client.get(f"/jobs/{job}").status_code == 410


def test_an_erased_photo_is_no_input(client: TestClient, services: Services) -> None:
    job = submitted(client)
    succeed(services, job)
    client.delete(f"/jobs/{job}")
    response = client.post("/manipulate", json={"text": "a bird", "image": f"/jobs/{job}/images/0"})
    assert response.status_code == 422


def test_listing_in_pages(client: TestClient) -> None:
    ids = [submitted(client) for _ in range(5)]
    page = client.get("/jobs", params={"limit": 3})
    assert [j["id"] for j in page.json()["jobs"]] == ids[:1:-1]
    following = page.json()["next"]
    assert page.headers["link"] == f'<{following}>; rel="next"'
    submitted(client)  # a newer job does not shift the pages
    rest = client.get(following).json()
    assert [j["id"] for j in rest["jobs"]] == ids[1::-1]
    assert rest["next"] is None


def test_listing_of_one_status_and_task(client: TestClient) -> None:
    ids = [submitted(client) for _ in range(4)]
    photo = client.post("/manipulate", data={"text": "a bird"}, files={"image": png()}).json()["id"]
    for job in (ids[0], ids[2], photo):
        client.post(f"/jobs/{job}/cancel")
    only = {"status": "canceled", "task": "synthesize", "limit": 1}
    page = client.get("/jobs", params=only).json()
    assert [j["id"] for j in page["jobs"]] == [ids[2]]
    assert [j["id"] for j in client.get(page["next"]).json()["jobs"]] == [ids[0]]
    assert [j["id"] for j in client.get("/jobs?task=manipulate").json()["jobs"]] == [photo]


@pytest.mark.parametrize(
    "query",
    [
        "cursor=",
        "cursor=x",
        "cursor=1.5-zz",
        "cursor=inf-" + "0" * 32,
        "task=paint",
        "status=odd",
        "limit=0",
    ],
)
def test_odd_listings_are_refused(client: TestClient, query: str) -> None:
    response = client.get(f"/jobs?{query}")
    assert response.status_code == 422
    assert response.json()["detail"].endswith(".")


def test_models(client: TestClient) -> None:
    view = client.get("/models").json()
    assert view["defaults"] == {"synthesize": "paper", "manipulate": "paper", "inpaint": "paper"}
    assert view["bundles"][0]["tasks"]["inpaint"]["methods"] == ["fake", "telea"]
    words = client.get("/models/paper/vocabulary").json()["tasks"]["synthesize"]
    assert "crown" in words
    assert "<end>" not in words
    assert client.get("/models/none/vocabulary").status_code == 404


def test_a_bundles_picture(client: TestClient, weights: Path) -> None:
    assert client.get("/models/paper/picture").status_code == 404
    (weights / "paper/picture.webp").write_bytes(b"image")
    response = client.get("/models/paper/picture")
    assert (response.headers["content-type"], response.content) == ("image/webp", b"image")
    assert client.get("/models/none/picture").status_code == 404


def test_health(client: TestClient, services: Services) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    waiting = client.get("/readyz")
    assert waiting.status_code == 503
    assert "No worker" in waiting.json()["detail"]
    services.store.heartbeat("w", {"device": "cpu"}, 10)  # as an earlier version says it
    ready = client.get("/readyz").json()
    assert ready["workers"] == [{"name": "w", "device": "cpu"}]
    assert ready["tasks"]["synthesize"]["paper"]["workers"] == 0


def test_readiness_by_task(client: TestClient, services: Services) -> None:
    mine = services.catalogue.current().bundles["paper"].sha256
    for name, sha256, tasks in (
        ("a", mine, ["synthesize"]),
        ("b", "old", ["synthesize", "inpaint"]),
    ):
        offer = {"sha256": sha256, "tasks": tasks}
        services.store.heartbeat(name, {"device": "cpu", "bundles": {"paper": offer}}, 10)
    tasks = client.get("/readyz").json()["tasks"]
    assert tasks["synthesize"]["paper"] == {"sha256": mine, "workers": 2, "of_another_version": 1}
    assert tasks["inpaint"]["paper"] == {"sha256": mine, "workers": 1, "of_another_version": 1}
    assert tasks["manipulate"]["paper"]["workers"] == 0


def test_a_waiting_job_says_when_it_is_likely_to_start(
    client: TestClient, services: Services
) -> None:
    first, second, third = (submitted(client) for _ in range(3))
    assert client.get(f"/jobs/{third}").json()["estimated_start"] is None
    finished(services.store, first)
    beside = Services(services.settings)  # for the first keeps its measurement for two seconds
    with LocalClient(create_app(services.settings, beside)) as client:
        waiting = client.get(f"/jobs/{third}").json()
        earlier = client.get(f"/jobs/{second}").json()["estimated_start"]
    assert waiting["queue_position"] == 1
    start = datetime.fromisoformat(waiting["estimated_start"])
    assert start > datetime.fromisoformat(waiting["created_at"])
    assert datetime.fromisoformat(earlier) < start
