"""``python -m benchmarks.service.expire``: how fast reconcilers erase results that are over, on a
local folder and on storage that takes a while for each job, and how late jobs of dead workers are
found meanwhile. Prints a table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import redis

from app.local.broker import broker_command, wait_for_socket
from app.reconciler.__main__ import ExpiryLoop, ReconcilerLoop
from app.reconciler.expire import ParallelEraser, ResultExpirer
from app.reconciler.reconcile import Reconciler
from jobs.blobs import BlobStore, input_key, output_key
from jobs.connections import connect
from jobs.job import Job, new_id
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, JobOutcome, NewJob

_BULK = 200  # jobs of one call
_ALL = ClaimRequest(jobs=_BULK, pictures=_BULK)


class RemoteBlobs(BlobStore):
    """Takes so many seconds for each job that it erases, as object storage does."""

    is_local = False
    seconds = 0.15

    def delete_prefix(self, prefix: str) -> None:
        time.sleep(self.seconds)
        super().delete_prefix(prefix)


def fill(store: JobStore, blobs: BlobStore, count: int) -> None:
    """Finished jobs, each with an upload and a picture."""
    for _ in range(0, count, _BULK):
        jobs = [Job(id=new_id(), task="synthesize", request={"text": "a"}) for _ in range(_BULK)]
        store.create_all([NewJob(job) for job in jobs])
        held = [(c.job.id, c.token) for c in store.claim(new_id(), _ALL, 60).jobs]
        store.begin_all(held)
        store.finish_all([(*lease, JobOutcome()) for lease in held])
        for job in jobs:
            blobs.put(input_key(job.id, "image"), b"x")
            blobs.put(output_key(job.id, "t", 0, "png"), b"x")


def reconcile(address: str, folder: Path, remote: bool, stop: Event) -> None:
    """What a reconciler does but webhooks, until ``stop``; everything is over at once."""
    store, ended = JobStore(connect(address)), threading.Event()
    made = BlobStore.from_url(folder.as_uri())
    blobs = RemoteBlobs(made._store, made._folder) if remote else made
    sweep = ExpiryLoop([ResultExpirer(store, ParallelEraser(blobs), -1)])
    thread = threading.Thread(target=sweep.run, args=(ended,))
    thread.start()
    recovery = threading.Thread(target=ReconcilerLoop(Reconciler(store)).run, args=(ended,))
    recovery.start()
    stop.wait()
    ended.set()
    recovery.join()
    thread.join()


def lateness(store: JobStore) -> float:
    """Seconds after the end of its lease in which a dead worker's job is found."""
    store.create_all([NewJob(Job(id=new_id(), task="synthesize", request={}))])
    store.claim(new_id(), _ALL, 0.01)
    started = time.monotonic()
    while not store.has_claimable(["default"]):
        time.sleep(0.01)
    found = time.monotonic() - started
    held = [(c.job.id, c.token) for c in store.claim(new_id(), _ALL, 60).jobs]
    store.begin_all(held)
    store.finish_all([(*lease, JobOutcome()) for lease in held])
    return found


def measure(
    address: str, folder: Path, remote: bool, count: int, processes: int
) -> tuple[float, float]:
    """Jobs erased per second, and the worst lateness of recovery in seconds."""
    client = connect(address)
    client.flushall()
    store, stop = JobStore(client), multiprocessing.get_context("spawn").Event()
    fill(store, BlobStore.from_url(folder.as_uri()), count)
    runs = [_start(address, folder, remote, stop) for _ in range(processes)]
    late: list[float] = []
    while _left(client) == count:  # until they have started
        time.sleep(0.005)
    before, started = _left(client), time.monotonic()
    erased = threading.Event()
    probe = threading.Thread(target=_probe, args=(store, late, erased))
    probe.start()
    while _left(client) > _BULK:
        time.sleep(0.02)
    rate = (before - _left(client)) / (time.monotonic() - started)
    erased.set()
    probe.join()  # before the reconcilers end, which find what it waits for
    stop.set()
    for run in runs:
        run.join()
    return rate, max(late)


def _start(address: str, folder: Path, remote: bool, stop: Event) -> BaseProcess:
    run: BaseProcess = multiprocessing.get_context("spawn").Process(
        target=reconcile, args=(address, folder, remote, stop)
    )
    run.start()
    return run


def _probe(store: JobStore, late: list[float], erased: threading.Event) -> None:
    while not late or not erased.is_set():
        late.append(lateness(store))


def _left(client: redis.Redis) -> int:
    return int(client.zcard("mmml:final"))


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service.expire", description=__doc__
    )
    parser.add_argument("--jobs", type=int, default=5000, help="on a local folder; else a fifth")
    given = parser.parse_args(words)
    sys.stdout.write("| storage | reconcilers | jobs/s | recovery late by |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:
        folder = Path(name)
        with subprocess.Popen(broker_command(folder, folder / "v.sock")) as broker:
            wait_for_socket(folder / "v.sock")
            for remote, processes in ((False, 1), (False, 2), (True, 1), (True, 2)):
                count = given.jobs // _BULK // (5 if remote else 1) * _BULK
                address = f"unix://{folder}/v.sock?db=0"
                rate, late = measure(address, folder / "blobs", remote, count, processes)
                kind = f"{RemoteBlobs.seconds} s an erase" if remote else "local folder"
                sys.stdout.write(f"| {kind} | {processes} | {rate:,.0f} | {late:.1f} s |\n")
                sys.stdout.flush()
            broker.terminate()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
