"""Event streams: everything in order, resumable, ending with the job."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from fastapi.testclient import TestClient
from httpx_sse import EventSource, ServerSentEvent

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.errors import StoreError
from jobs.job import JobEvent
from jobs.redis_store import JobStore
from tests.app.conftest import succeed
from tests.app.gateway.test_jobs import submitted
from tests.moves import begun
from tests.services import LocalClient

Later = Callable[..., threading.Timer]


def follow(client: TestClient, job: str, after: str | None = None) -> list[ServerSentEvent]:
    headers = {"Last-Event-ID": after} if after else {}
    response = client.get(f"/jobs/{job}/events", headers=headers)
    assert response.status_code == 200
    return [e for e in EventSource(response).iter_sse() if e.data]  # type: ignore[arg-type]


def test_a_life_from_queue_to_pictures(
    client: TestClient, services: Services, later: Later
) -> None:
    first, job = submitted(client), submitted(client)
    later(0.4, begun, services.store, first)
    later(1.8, succeed, services, job)
    events = follow(client, job)
    result = [(e.event, json.loads(e.data)) for e in events]
    assert result[0] == ("status", {"status": "queued"})
    places = [data["queue_position"] for kind, data in result if kind == "position"]
    assert places == [1, 0]
    assert result[-2] == ("status", {"status": "running"})
    kind, view = result[-1]
    assert kind == "final"
    assert view == client.get(f"/jobs/{job}").json()
    assert view["images"][0]["url"] == f"/jobs/{job}/images/0"


def test_it_says_when_to_come_back(client: TestClient, services: Services) -> None:
    job = submitted(client)
    succeed(services, job)
    response = client.get(f"/jobs/{job}/events")
    assert response.text.startswith(": follow\nretry: 2000\n\n")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"


def test_resumes_after_the_last_event_heard(client: TestClient, services: Services) -> None:
    job = submitted(client)
    token = begun(services.store, job)
    services.store.record_progress(job, token, 1, 4)
    services.store.record_progress(job, token, 2, 4)
    services.store.cancel(job)
    services.store.finish_canceled(job, token)
    events = follow(client, job)
    assert [e.event for e in events] == [
        "status",
        "status",
        "progress",
        "progress",
        "status",
        "final",
    ]
    assert json.loads(events[3].data) == {"done": 2, "total": 4}
    assert json.loads(events[4].data) == {"status": "running", "cancel_requested": True}
    rest = follow(client, job, after=events[2].id)
    assert [e.id for e in rest] == [e.id for e in events[3:]]
    assert [e.id for e in follow(client, job, after="nonsense")] == [e.id for e in events]
    done = client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": events[-1].id})
    assert (done.status_code, done.content) == (204, b"")


def test_unknown_and_erased_jobs(client: TestClient, services: Services) -> None:
    assert client.get(f"/jobs/{'0' * 32}/events").status_code == 404
    job = submitted(client)
    client.delete(f"/jobs/{job}")
    assert client.get(f"/jobs/{job}/events").status_code == 410


def test_a_job_erased_while_followed_ends_the_stream(
    client: TestClient, services: Services, later: Later
) -> None:
    job = submitted(client)
    later(0.5, client.delete, f"/jobs/{job}")
    events = follow(client, job)
    assert json.loads(events[-1].data)["status"] in ("canceled", "expired")
    assert events[-1].event == "final"


@pytest.fixture
def one_stream(services: Services) -> Iterator[tuple[TestClient, Services]]:
    settings = services.settings.model_copy(update={"max_event_streams": 1})
    limited = Services(settings)
    with LocalClient(create_app(settings, limited)) as made:
        yield made, limited


def test_only_so_many_streams(one_stream: tuple[TestClient, Services]) -> None:
    client, services = one_stream
    job = submitted(client)
    succeed(services, job)
    with services.event_streams.open(job):
        response = client.get(f"/jobs/{job}/events")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
    for _ in range(3):  # each makes room for the next
        assert follow(client, job)[-1].event == "final"


class Faltering(JobStore):
    """Can't be reached the first time that events are asked for."""

    asked = 0

    def events_after(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        self.asked += 1
        if self.asked == 1:
            raise StoreError("away")
        return super().events_after(cursors)


def test_a_stream_outlives_a_store_that_is_away(settings: GatewaySettings, later: Later) -> None:
    shaky = Services(settings, Faltering)
    store = shaky.store
    assert isinstance(store, Faltering)
    with LocalClient(create_app(shaky.settings, shaky)) as client:
        job = submitted(client)
        ending = later(0.3, succeed, shaky, job)
        assert [e.event for e in follow(client, job)] == ["status", "status", "final"]
        ending.join()
    assert store.asked > 1


def test_the_end_of_the_server_ends_streams_and_waits(
    client: TestClient, services: Services, later: Later
) -> None:
    job = submitted(client)
    portal = client.portal
    assert portal is not None
    later(0.5, portal.call, services.subscriptions.close)
    started = time.monotonic()
    events = follow(client, job)
    assert [e.event for e in events] == ["status", "position"]
    assert client.get(f"/jobs/{job}", params={"wait": 30}).json()["status"] == "queued"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("ended", [True, False])
def test_a_later_event_of_another_job_begins_anew(
    client: TestClient, services: Services, ended: bool, later: Later
) -> None:
    """The stream of a job that ended before it was empty; that of a later one had no end."""
    job = submitted(client)
    if ended:
        succeed(services, job)
    else:
        later(0.4, succeed, services, job)
    events = follow(client, job, after="9999999999999-0")
    assert (events[0].event, events[-1].event) == ("status", "final")
