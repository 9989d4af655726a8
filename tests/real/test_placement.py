"""Workers that serve different bundles."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import httpx
import pytest

from tests.real.fleet import Fleet, ends, fleet, submit

__all__ = ["fleet"]

Eventually = Callable[[Callable[[], bool], float], None]


def makers(fleet: Fleet, jobs: list[str]) -> set[str]:
    """Which workers made them, by their logs."""
    logs = {path.name: path.read_text() for path in fleet.folder.glob("workers.fake-*.log")}
    return {name for job in jobs for name, text in logs.items() if f"job {job} ended" in text}


@pytest.mark.real
def test_each_worker_gets_the_jobs_of_its_bundles(fleet: Fleet, eventually: Eventually) -> None:
    weights = fleet.folder / "weights"
    for name in ("birds", "flowers"):
        shutil.copytree(weights / "null", weights / name)
        path = weights / name / "bundle.json"
        path.write_text(path.read_text().replace('"null"', f'"{name}"'))
    _, url = fleet.gateway()
    waited = [submit(url, bundle="birds") for _ in range(5)]  # before anybody serves it
    fleet.start("app.reconciler")
    for number, name in enumerate(("birds", "flowers")):
        setting = {"MMML_SERVE_BUNDLES": f'["{name}"]', "MMML_WORKER_NAME": name}
        fleet.start("workers.fake", **setting)
        eventually(lambda: len(fleet.store.live_workers()) > number, 60)  # noqa: B023
    jobs = {name: [submit(url, bundle=name) for _ in range(20)] for name in ("birds", "flowers")}
    assert set(ends(url, [*waited, *jobs["birds"], *jobs["flowers"]])) == {"succeeded"}
    assert makers(fleet, [*waited, *jobs["birds"]]) == {"workers.fake-2.log"}
    assert makers(fleet, jobs["flowers"]) == {"workers.fake-3.log"}
    assert "handed back" not in fleet.logs()
    assert all(job.hand_backs == 0 for job in fleet.store.list_jobs(None, 100, None)[0])

    groups = {worker["name"]: worker["groups"] for worker in fleet.store.live_workers()}
    assert groups == {"birds": ["bundle/birds"], "flowers": ["bundle/flowers"]}
    job = submit(url, bundle="null")  # which nobody serves, until a worker of all comes
    fleet.worker()
    assert ends(url, [job]) == ["succeeded"]
    offers = httpx.get(f"{url}/readyz").json()["tasks"]["synthesize"]
    assert {name: offer["workers"] for name, offer in offers.items()} == {
        **{"birds": 2, "flowers": 2},
        "null": 1,
    }
