"""Bytes of broker memory that one job takes in each of its states, measured on a private broker:
``python benchmarks/redis_memory.py``. :mod:`jobs.load` and :mod:`jobs.redis_load` hold the results.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from app.embedded import broker_command, wait_for_socket
from jobs.job import ImageRecord, Job, Timings, new_id
from jobs.redis_store import RedisJobStore, connect
from jobs.store import NewJob, Outcome, Wanted

COUNT = 2000
_TEXT = "this bird has a red crown, a yellow belly and blue wings with a grey bill"


def _job(index: int) -> Job:
    request = {"text": _TEXT, "seed": index, "count": 1, "bundle": "aviary", "format": "png"}
    now = time.time()
    job_id = new_id()
    inputs = {"image": f"jobs/{job_id}/in-image.png"}
    return Job(
        id=job_id, task="manipulate", owner="0123456789ab", created_at=now, deadline=now + 3600,
        request=request, inputs=inputs,
    )  # fmt: skip


def _outcome(job_id: str, pictures: int) -> Outcome:
    images = [
        ImageRecord(
            index=n, seed=n, width=256, height=256, sha256="a" * 64,
            blob=f"jobs/{job_id}/0123456789abcdef-{n}.png",
        )
        for n in range(pictures)
    ]  # fmt: skip
    receipt = {
        "bundle": "aviary", "bundle_sha256": "b" * 64, "version": "0.1.0", "method": "manigan",
        "precision": "float32", "device": "cuda:0", "seeds": list(range(pictures)),
        "batch_sizes": [8],
    }  # fmt: skip
    return Outcome(images, Timings(queued_ms=12.345, model_ms=6.789, total_ms=34.567), receipt)


def measure(store: RedisJobStore, pictures: int) -> dict[str, float]:
    """Bytes per job: waiting, finished, expired; and what the store itself says of one."""
    start = store.load().used_bytes
    jobs = [_job(n) for n in range(COUNT)]
    for job in jobs:
        store.create(NewJob(job))
    queued = store.load().used_bytes
    held = [(c.job.id, c.token) for c in store.claim(new_id(), Wanted(COUNT, 10**6), 600).jobs]
    store.begin_all(held)
    for job_id, token in held:
        store.finish_all([(job_id, token, _outcome(job_id, pictures))])
    finished = store.load().used_bytes
    weighed = RedisJobStore(store._client, store._prefix).load().bytes_per_job
    for job in jobs:
        store.expire(job.id)
    expired = store.load().used_bytes
    return {
        "queued": (queued - start) / COUNT,
        "finished": (finished - start) / COUNT,
        "weighed": weighed,
        "tombstone": (expired - start) / COUNT,
    }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:
        socket = Path(name) / "v.sock"
        broker = subprocess.Popen(broker_command(Path(name), socket))  # noqa: S603
        try:
            wait_for_socket(socket)
            client = connect(f"unix://{socket}?db=0")
            for pictures in (1, 16):
                sizes = measure(RedisJobStore(client, f"m{pictures}:"), pictures)
                shown = ", ".join(f"{k} {v:,.0f}" for k, v in sizes.items())
                print(f"{pictures:2d} pictures: {shown} bytes per job")  # noqa: T201
            client.close()
        finally:
            broker.terminate()
            broker.wait(10)


if __name__ == "__main__":
    main()
