"""``mmml serve`` with real processes: it works, survives what kills its parts, and leaves nothing
behind.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jobs.images import decode_photo
from tests.app.conftest import mask_png, png
from tests.real.conftest import Service

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def resident_mb(pid: int) -> float:
    line = next(
        x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def test_three_endpoints_the_client_and_a_clean_end(service: Service, tmp_path: Path) -> None:
    service.start()
    service.ready()
    http = service.http
    made = http.post("/synthesize?wait=30", json={"text": "a red bird", "seed": 7, "count": 4})
    assert made.json()["status"] == "succeeded", made.text
    pictures = [http.get(i["url"]).content for i in made.json()["images"]]
    assert len(set(pictures)) == 4
    edited = http.post(
        "/manipulate?wait=30", data={"text": "a blue bird"}, files={"image": png(90, 50)}
    )
    assert edited.json()["images"][0]["width"] == 90, edited.text
    filled = http.post(
        "/inpaint?wait=30",
        data={"text": "a blue bird", "count": "4"},
        files={"image": png(40, 30), "mask": mask_png()},
    )
    assert filled.json()["status"] == "succeeded", filled.text
    fills = [http.get(i["url"]).content for i in filled.json()["images"]]
    assert len(set(fills)) == 4
    result = np.asarray(decode_photo(fills[0]))
    assert (result[20:, 20:] == (200, 30, 40)).all()

    target = tmp_path / "bird.png"
    command = [
        sys.executable,
        "-m",
        "mmml",
        "--url",
        str(http.base_url),
        "synthesize",
        "a zorgly bird",
    ]
    done = subprocess.run(
        [*command, "-o", str(target), "--seed", "7"], capture_output=True, text=True, check=True
    )
    assert "Unknown words were left out: zorgly" in done.stderr
    assert decode_photo(target.read_bytes()).size == (32, 32)
    refused = subprocess.run([*command[:-1], "qwertz"], capture_output=True, text=True, check=False)
    assert refused.returncode == 4
    assert "knows no word" in refused.stderr

    assert resident_mb(service.process.pid) < 150  # type: ignore[union-attr]
    assert service.stop() < 20
    assert service.pids() == {}


def test_a_killed_worker_loses_nothing(service: Service) -> None:
    service.start()
    service.ready()
    worker = service.pid_of("-m workers")
    jobs = [service.submit(count=16) for _ in range(20)]
    service.wait_until(lambda: service.http.get("/jobs?status=running").json()["jobs"], 10)
    service.kill(worker)
    assert any(service.status(job) != "succeeded" for job in jobs)
    service.all_succeed(jobs, 60)


def test_a_lost_wake_up_costs_a_moment(service: Service) -> None:
    service.start()
    service.ready()
    service.kill(service.pid_of("-m workers"))  # it takes seconds to come back, and then looks
    jobs = [service.submit() for _ in range(3)]
    time.sleep(0.2)
    service.lose_wakeups()  # unless the dead worker's connection has swallowed it
    service.all_succeed(jobs, 60)


def test_a_killed_service_leaves_no_process_and_loses_no_job(service: Service) -> None:
    service.start()
    service.ready()
    service.kill(service.pid_of("-m workers"))
    jobs = [service.submit() for _ in range(10)]
    assert len(service.pids()) >= 4
    assert service.process
    service.kill(service.process.pid)
    service.process.wait(5)
    service.wait_until(lambda: not service.pids(), 5)
    service.start()
    service.all_succeed(jobs, 60)


def test_a_killed_broker_keeps_fifty_jobs(service: Service) -> None:
    service.start()
    service.ready()
    service.kill(service.pid_of("-m workers"))
    jobs = [service.submit() for _ in range(50)]
    service.kill(service.pid_of("valkey.sock"))
    time.sleep(1)
    service.all_succeed(jobs, 60)
