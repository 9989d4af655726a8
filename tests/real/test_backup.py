"""docs/operations.md: a copy of a running service, Redis first, serves what the service had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.real.conftest import Service

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_copy_of_the_state_is_a_service(service: Service, tmp_path: Path) -> None:
    service.start(fake=True, MMML_MAX_BATCH="1")
    service.ready()
    done = [service.submit(seed=seed) for seed in range(5)]
    service.all_succeed(done, 60)
    tags = [service.http.get(f"/jobs/{job}/images/0").headers["etag"] for job in done]
    waiting = [service.submit("a bird fail:slow=1") for _ in range(8)]

    copied = service.state_dir.parent / "copy"
    for part in ("valkey", "blobs"):  # the records first
        shutil.copytree(service.state_dir / part, copied / part)
    service.stop()

    restored = Service(copied, service.weights)
    try:
        restored.start(fake=True)
        restored.ready()
        again = [restored.http.get(f"/jobs/{job}/images/0").headers["etag"] for job in done]
        assert again == tags
        restored.all_succeed(waiting, 90)
    finally:
        restored.stop()
        restored.http.close()
