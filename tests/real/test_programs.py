"""What programs rely on, with real processes: keys that survive restarts, streams that resume,
messages that arrive, results that vanish.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
import standardwebhooks

from mmml import Client
from tests.app.conftest import png
from tests.app.webhooks.receiver import Receiver, answering
from tests.real.conftest import Service

pytestmark = [pytest.mark.real, pytest.mark.slow]
OWN_RECEIVERS = {
    "MMML_WEBHOOK_ALLOW_HTTP": "1",
    "MMML_WEBHOOK_PORTS": "[]",
    "MMML_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as made:
        yield made


def submit_once(service: Service, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return service.http.post("/synthesize", json={"text": "a red bird"}, headers=headers)


def test_keys_survive_a_restart(service: Service) -> None:
    service.start()
    first = submit_once(service, "one")
    assert first.status_code == 202
    service.stop()
    service.start()
    again = submit_once(service, "one")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert len(service.http.get("/jobs").json()["jobs"]) == 1
    service.ready()
    service.all_succeed([first.json()["id"]], 60)


def test_streams_resume_over_a_restart(service: Service) -> None:
    service.start()
    service.ready()
    service.kill(service.pid_of("-m workers"))
    job = service.submit()
    result: list[str] = []
    with Client(str(service.http.base_url)) as client:

        def follow() -> None:
            result.extend(f"{e.kind} {e.data.get('status', '')}" for e in client.events(job))

        thread = threading.Thread(target=follow)
        thread.start()
        service.wait_until(lambda: service.http.get(f"/jobs/{job}").status_code == 200, 10)
        service.stop()
        service.start()
        thread.join(90)
    assert not thread.is_alive(), service.logs()
    kinds = [line for line in result if not line.startswith("position")]
    assert kinds == ["status queued", "status running", "final succeeded"]


def test_a_webhook_arrives_signed(service: Service, receiver: Receiver) -> None:
    service.start(**OWN_RECEIVERS)
    service.ready()
    job = service.submit(webhook=receiver.url())
    service.all_succeed([job], 60)
    service.wait_until(lambda: receiver.got, 30)
    secret = service.http.get("/webhooks/secret").json()["secret"]
    message = receiver.got[0]
    result = standardwebhooks.Webhook(secret).verify(message.body, message.headers)
    assert result["type"] == "job.succeeded"
    assert result["data"]["id"] == job
    service.wait_until(
        lambda: service.http.get(f"/jobs/{job}").json()["webhook"]["state"] == "delivered", 10
    )


def test_a_reconciler_killed_over_a_delivery_delivers_again(service: Service) -> None:
    async def hang(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    service.start(MMML_WEBHOOK_TIMEOUT="1", **OWN_RECEIVERS)
    service.ready()
    receiver = Receiver([hang, answering(200)])
    with receiver.running():
        job = service.submit(webhook=receiver.url())
        service.wait_until(lambda: receiver.got, 30)
        service.kill(service.pid_of("app.reconciler"))
        service.wait_until(lambda: len(receiver.got) > 1, 60)
    ids = {m.headers["webhook-id"] for m in receiver.got}
    assert ids == {f"msg_{job}"}


def test_results_end_and_leave_nothing(service: Service) -> None:
    service.start(MMML_RESULT_TTL="2")
    service.ready()
    form = {"text": "a blue bird"}
    made = service.http.post("/manipulate?wait=30", data=form, files={"image": png()})
    job = made.json()["id"]
    blobs = service.state_dir / "blobs"
    assert list(blobs.rglob("*.png"))
    service.wait_until(lambda: service.http.get(f"/jobs/{job}").status_code == 410, 30)
    assert [p for p in blobs.rglob("*") if p.is_file() and p.name != "service-id"] == []
    assert service.http.get(f"/jobs/{job}/images/0").status_code == 410
    assert service.http.get(f"/jobs/{'0' * 32}").status_code == 404


def test_cancel_and_delete_while_running(service: Service) -> None:
    service.start()
    service.ready()
    jobs = [service.submit(count=16) for _ in range(40)]
    canceled, deleted = jobs[20:30], jobs[30:]
    for job in canceled:
        assert service.http.post(f"/jobs/{job}/cancel").status_code in (200, 409)
    for job in deleted:
        assert service.http.delete(f"/jobs/{job}").status_code in (202, 204)
    service.all_succeed(jobs[:20], 90)
    for job in canceled:
        assert service.status(job, 20) in ("canceled", "succeeded")
    for job in deleted:
        service.wait_until(lambda job=job: service.http.get(f"/jobs/{job}").status_code == 410, 30)
        assert not (service.state_dir / "blobs" / "jobs" / job).exists()
