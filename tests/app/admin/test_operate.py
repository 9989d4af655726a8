"""``mmml admin``."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from jobs.job import Status
from jobs.redis_store import JobStore
from jobs.store import MOST_ACTIONS
from mmml.cli import cli
from tests.moves import begun, queued


@pytest.fixture
def operated(
    store: JobStore, valkey: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> JobStore:
    """The store that the commands see."""
    monkeypatch.setenv("MMML_REDIS_URL", valkey)
    monkeypatch.setenv("MMML_REDIS_PREFIX", prefix)
    return store


def admin(*words: str) -> Result:
    return CliRunner().invoke(cli, ["admin", *words])


def read(*words: str) -> Any:
    done = CliRunner().invoke(cli, ["--json", "admin", *words])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_workers_are_drained_and_resumed(operated: JobStore) -> None:
    assert "No worker is alive" in admin("workers").stderr
    assert admin("drain", "gpu1").exit_code == 1
    info = {"device": "cuda", "loaded": [["cub", "synthesize", "m"]], "running": 2}
    assert operated.heartbeat("gpu1", info, 10) is False
    assert admin("workers").stdout == "gpu1  cuda  working  2 running  cub\n"
    assert "claims no more jobs" in admin("drain", "gpu1").stdout
    assert operated.heartbeat("gpu1", {**info, "drained": True}, 10) is True
    assert "drained" in admin("workers").stdout
    assert read("resume", "gpu1") == {"worker": "gpu1", "drained": False}
    assert operated.heartbeat("gpu1", info, 10) is False


def test_workers_tell_what_their_bundles_take(operated: JobStore) -> None:
    loaded = [["cub", "synthesize", "m"], ["cub", "inpaint", "m"], ["flowers", "synthesize", "m"]]
    sizes = {"weight_bytes": [20_000_000, 10_600_000, 9_000_000], "pinned": ["cub"]}
    operated.heartbeat("gpu1", {"device": "cuda", "loaded": loaded, **sizes}, 10)
    held = "cub (31 MB, pinned), flowers (9 MB)"
    assert admin("workers").stdout == f"gpu1  cuda  working  0 running  {held}\n"


def test_a_worker_that_comes_back_under_its_name_is_not_drained(operated: JobStore) -> None:
    operated.heartbeat("gpu1", {}, 10)
    operated.set_drained("gpu1", True)
    operated.remove_worker("gpu1")
    assert operated.heartbeat("gpu1", {}, 10) is False


def test_the_queue_is_shown(operated: JobStore) -> None:
    queued(operated)
    assert "normal: 1 waiting, the oldest for 0 s" in admin("queue").stdout
    assert read("queue")["all_waiting"]["jobs"] == 1


def test_jobs_are_listed_without_captions(operated: JobStore) -> None:
    mine, other = queued(operated, owner="k1"), queued(operated, owner="k2")
    assert [job["id"] for job in read("jobs")] == [other.id, mine.id]
    assert [job["id"] for job in read("jobs", "--owner", "k1", "--status", "queued")] == [mine.id]
    assert "bird" not in admin("jobs").output + admin("--help").output
    assert mine.id in admin("jobs").stdout


def test_a_job_is_taken_from_its_worker(operated: JobStore) -> None:
    job = queued(operated)
    assert admin("requeue", job.id).exit_code == 1
    token = begun(operated, job.id)
    assert read("requeue", job.id) == {"job": job.id}
    found = operated.get(job.id)
    assert found is not None
    assert (found.status, found.attempts) == (Status.queued, 0)
    assert operated.record_progress(job.id, token, 1, 2) is False
    assert "never was" in admin("requeue", "nonsense").stderr


def test_waiting_jobs_are_purged(operated: JobStore) -> None:
    first = queued(operated, owner="k1")
    begun(operated, first.id)
    for owner, task in (("k1", "synthesize"), ("k1", "inpaint"), ("k2", "synthesize")):
        queued(operated, owner=owner, task=task)
    assert admin("purge").exit_code == 1  # not confirmed
    assert len(operated.waiting()) == 3
    assert read("purge", "--yes", "--owner", "k1", "--task", "inpaint") == {"canceled": 1}
    assert read("purge", "--yes") == {"canceled": 2}
    found = operated.get(first.id)
    assert found is not None
    assert found.status is Status.running


def test_usage_by_owner(operated: JobStore, redis_client: redis.Redis) -> None:
    for _ in range(2):
        queued(operated)
    assert read("usage") == [{"owner": "", "jobs": 2, "unfinished": 2}]
    assert read("usage", "--hours", "0.0000001")[0]["jobs"] == 0
    assert "(no key)" in admin("usage").stdout


def test_workers_are_told_to_look_at_their_bundles(operated: JobStore) -> None:
    assert "No worker is alive" in admin("reload").stderr
    operated.heartbeat("gpu1", {}, 10)
    assert admin("reload").stdout == "gpu1 looks at its bundles within two seconds.\n"
    assert [operated.take_reload("gpu1") for _ in range(2)] == [True, False]


def test_what_operators_did_is_listed(operated: JobStore) -> None:
    assert read("audit") == []
    operated.heartbeat("gpu1", {}, 10)
    job = queued(operated)
    admin("drain", "nobody")  # in vain, so not listed
    for words in (["drain", "gpu1"], ["resume", "gpu1"], ["reload"], ["purge", "--yes"]):
        assert admin(*words).exit_code == 0
    begun(operated, queued(operated).id)
    assert admin("requeue", operated.list_jobs(Status.running, 1, None)[0][0].id).exit_code == 0
    found = read("audit")
    assert [one["action"] for one in found] == ["requeue", "purge", "reload", "resume", "drain"]
    assert [one["target"] for one in found[1:3]] == ["1 jobs of all owners, all tasks", "gpu1"]
    assert all("@" in one["by"] for one in found)
    assert abs(found[0]["time"] - job.created_at) < 60
    assert len(admin("audit", "--limit", "2").stdout.splitlines()) == 2


def test_the_list_of_what_operators_did_is_bounded(operated: JobStore) -> None:
    for k in range(MOST_ACTIONS + 300):
        operated.record_action("k1", "drain", f"w{k}")
    kept = operated.actions(2 * MOST_ACTIONS)
    assert MOST_ACTIONS <= len(kept) <= MOST_ACTIONS + 200
    assert kept[0].target == f"w{MOST_ACTIONS + 299}"
