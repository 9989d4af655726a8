"""What callers with different keys see of each other: nothing. Administrators see all."""

from __future__ import annotations

import asyncio

import standardwebhooks
from fastapi.testclient import TestClient

from app.gateway.api_keys import ADMIN, revoke
from app.gateway.services import Services
from app.reconciler.__main__ import webhook_dispatcher
from tests.app.conftest import succeed
from tests.app.gateway.conftest import bearer, key_of, problem, submit
from tests.app.webhooks.receiver import HERE, Receiver


def test_another_keys_job_is_as_good_as_none(http: TestClient, keyed: Services, mine: str) -> None:
    theirs = key_of(keyed, "theirs")
    job = submit(http, theirs).json()["id"]
    succeed(keyed, job)
    unknown = "0" * 32
    for method, path in [
        ("GET", "/jobs/{}"),
        ("GET", "/jobs/{}?wait=5"),
        ("GET", "/jobs/{}/events"),
        ("GET", "/jobs/{}/images/0"),
        ("GET", "/jobs/{}/images/99"),
        ("POST", "/jobs/{}/cancel"),
        ("DELETE", "/jobs/{}"),
    ]:
        answers = [
            http.request(method, path.format(name), headers=bearer(mine)) for name in (job, unknown)
        ]
        assert [a.status_code for a in answers] == [404, 404], path
        assert answers[0].json()["detail"] == answers[1].json()["detail"]
    photo = {"text": "a bird", "image": f"/jobs/{job}/images/0"}
    there = http.post("/manipulate", json=photo, headers=bearer(mine))
    none = http.post(
        "/manipulate",
        json={**photo, "image": f"/jobs/{unknown}/images/0"},
        headers=bearer(mine),
    )
    assert problem(there, 422)["detail"].replace(job, unknown) == problem(none, 422)["detail"]
    assert http.get("/jobs", headers=bearer(mine)).json()["jobs"] == []
    assert [j["id"] for j in http.get("/jobs", headers=bearer(theirs)).json()["jobs"]] == [job]
    assert "event: final" in http.get(f"/jobs/{job}/events", headers=bearer(theirs)).text


def test_an_erased_job_is_gone_for_its_owner_only(
    http: TestClient, keyed: Services, mine: str
) -> None:
    other = key_of(keyed, "other")
    job = submit(http, mine).json()["id"]
    assert http.delete(f"/jobs/{job}", headers=bearer(mine)).status_code == 204
    for path in (f"/jobs/{job}", f"/jobs/{job}/events"):
        problem(http.get(path, headers=bearer(mine)), 410)
        problem(http.get(path, headers=bearer(other)), 404)


def test_an_administrator_sees_every_job(http: TestClient, keyed: Services, mine: str) -> None:
    boss = key_of(keyed, "boss", {ADMIN})
    job = submit(http, mine).json()["id"]
    assert [j["id"] for j in http.get("/jobs", headers=bearer(boss)).json()["jobs"]] == [job]
    assert http.post(f"/jobs/{job}/cancel", headers=bearer(boss)).json()["status"] == "canceled"
    problem(submit(http, boss), 403)


def test_a_key_takes_over_anothers_jobs(http: TestClient, keyed: Services, mine: str) -> None:
    job = submit(http, mine).json()["id"]
    old = keyed.authenticator.keys.all()[0]
    new = key_of(keyed, "new", owner=old.owner)
    revoke(keyed.authenticator.keys, old.id)
    assert http.get(f"/jobs/{job}", headers=bearer(new)).status_code == 200
    problem(http.get(f"/jobs/{job}", headers=bearer(mine)), 401)


def test_idempotency_keys_are_the_owners(http: TestClient, keyed: Services, mine: str) -> None:
    keys = mine, key_of(keyed, "other")
    answers = [
        http.post(
            "/synthesize", json={"text": "a bird"}, headers=bearer(key) | {"Idempotency-Key": "one"}
        )
        for key in (*keys, *keys)
    ]
    ids = [answer.json()["id"] for answer in answers]
    assert ids[0] != ids[1]
    assert ids[:2] == ids[2:]


def test_pages_are_the_owners(http: TestClient, keyed: Services, mine: str) -> None:
    other = key_of(keyed, "other")
    ids = [submit(http, key).json()["id"] for key in (mine, other, mine, other, mine)]
    page = http.get("/jobs?limit=2&task=synthesize", headers=bearer(mine)).json()
    rest = http.get(page["next"], headers=bearer(mine)).json()
    assert [j["id"] for j in page["jobs"] + rest["jobs"]] == ids[::-2]


def test_messages_are_signed_for_their_owner(http: TestClient, keyed: Services, mine: str) -> None:
    """Nobody who knows the secret of one key can sign messages to another."""
    own = {
        "webhook_allow_http": True,
        "webhook_ports": (),
        "webhook_networks": HERE.networks,
    }
    keyed.settings = keyed.settings.model_copy(update=own)
    keys = mine, key_of(keyed, "other")
    secrets = [http.get("/webhooks/secret", headers=bearer(key)).json()["secret"] for key in keys]
    assert secrets[0] != secrets[1]
    with Receiver().running() as receiver:
        for key in keys:
            job = submit(http, key, webhook=receiver.url()).json()["id"]
            succeed(keyed, job)
            asyncio.run(_deliver(keyed))
    for secret, message in zip(secrets, receiver.got, strict=True):
        standardwebhooks.Webhook(secret).verify(message.body, message.headers)


async def _deliver(services: Services) -> None:
    made = webhook_dispatcher(services.settings, services.store)
    await made.run_once()
    await made.drain(20)
