"""Redis past its memory: submissions are refused, and what makes room goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from app.gateway.api_keys import generate_key
from jobs.connections import connect
from tests.app.conftest import png
from tests.real.fleet import Fleet
from tests.real.test_redis import broker

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with broker(folder) as url:
        yield url


def fill(url: str) -> redis.Redis:
    """From now on Redis refuses whatever takes memory."""
    client = connect(url)
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.ResponseError, match="maxmemory"):
        client.set("more", "x")
    return client


def submit(http: httpx.Client, text: str, **photo: bytes) -> str:
    if photo:
        made = http.post("/manipulate", data={"text": text}, files=photo)
    else:
        made = http.post("/synthesize", json={"text": text})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


@pytest.mark.parametrize("keyed", [False, True])
def test_reading_and_erasing_go_on_without_memory(server: str, tmp_path: Path, keyed: bool) -> None:
    key = generate_key()
    fleet = Fleet(server, "mmml:", tmp_path)
    try:
        _, url = fleet.gateway(**({"MMML_FIRST_KEY": key} if keyed else {}))
        fleet.worker()
        fleet.start("app.reconciler")
        bearer = {"Authorization": f"Bearer {key}"} if keyed else {}
        with httpx.Client(base_url=url, headers=bearer, timeout=60) as http:
            done = [submit(http, "a red bird") for _ in range(2)]
            for job in done:
                assert http.get(f"/jobs/{job}?wait=30").json()["status"] == "succeeded"
            done.append(submit(http, "a red bird fail:slow=3"))  # ends without memory
            done.append(submit(http, "a red bird"))  # begins without
            # Of another task, as the jobs of one batch end together.
            waiting = submit(http, "a red bird fail:slow=12", image=png(64, 64))
            client = fill(server)
            refused = http.post("/synthesize", json={"text": "a red bird"})
            assert refused.status_code == 503, refused.text
            assert "The memory for job records is full" in refused.json()["detail"]
            for job in done:
                assert http.get(f"/jobs/{job}?wait=30").json()["status"] == "succeeded"
                assert http.get(f"/jobs/{job}/images/0").headers["content-type"] == "image/png"
            assert {job["id"] for job in http.get("/jobs").json()["jobs"]} == {*done, waiting}
            canceled = http.post(f"/jobs/{waiting}/cancel")
            assert canceled.status_code in (200, 202), canceled.text
            assert http.get(f"/jobs/{waiting}?wait=30").json()["status"] == "canceled"
            for job in done:
                assert http.delete(f"/jobs/{job}").status_code == 204
                assert http.get(f"/jobs/{job}").status_code in (404, 410)
            client.config_set("maxmemory", 0)
            client.close()
            again = http.post("/synthesize?wait=30", json={"text": "a red bird"})
            assert again.json()["status"] == "succeeded"
    finally:
        fleet.end()
