"""Disks that are full or take no writes: for pictures, and for everything."""

from __future__ import annotations

import contextlib
import io
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

from jobs.job import ErrorCode, Job
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import post, settled, submit
from tests.chaos.processes import at_end, wait_until
from tests.chaos.stack import LEASE, Stack, running

_BAR = "clear failure of that job, service stays up"
_BACK = LEASE + 30.0  # seconds
_WITHOUT_ROOM = 5.0  # seconds


@dataclass
class Disk:
    """A small file system in memory; needs the right to mount one."""

    folder: Path
    megabytes: int

    @contextmanager
    def mounted(self) -> Iterator[Disk]:
        self.folder.mkdir(parents=True)
        self._mount("-t", "tmpfs", "-o", f"size={self.megabytes}m", "none")
        with at_end(self._unmount):
            yield self

    def _unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def fill(self) -> None:
        """Write until no page is left."""
        with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filler").unlink()

    def writable(self, yes: bool) -> None:
        self._mount("-o", "remount,rw" if yes else "remount,ro")

    def _mount(self, *words: str) -> None:
        done = subprocess.run(
            ["mount", *words, str(self.folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PermissionError(f"this fault needs the right to mount: {done.stderr.strip()}")


@dataclass
class Shop:
    """A service whose job records lie on one small disk and whose pictures lie on another."""

    stack: Stack
    state: Disk
    pictures: Disk


@contextmanager
def opened(folder: Path, quick: bool) -> Iterator[Shop]:
    state, pictures = Disk(folder / "state", 24), Disk(folder / "pictures", 1)
    with (
        state.mounted(),
        pictures.mounted(),
        running(
            folder / "service",
            quick,
            data=state.folder,
            MMML_STORAGE_URL=pictures.folder.as_uri(),
            MMML_MIN_FREE_DISK="0",
        ) as stack,
    ):
        stack.blobs = pictures.folder
        yield Shop(stack, state, pictures)


def _check_reason(job: Job | None, reason: str) -> list[str]:
    """What is wrong with a job that should have failed for that reason."""
    error = job.error if job else None
    right = error and error.code is ErrorCode.storage and error.detail.startswith(reason)
    return [] if right else [f"the job's reason is {error}"]


def _upload(url: str) -> httpx.Response:
    file = io.BytesIO()
    Image.effect_noise((90, 50), 60).convert("RGB").save(file, "png")
    return httpx.post(
        f"{url}/manipulate",
        data={"text": "a bird"},
        files={"image": file.getvalue()},
        timeout=30,
    )


def _up(stack: Stack) -> list[str]:
    answer = httpx.get(f"{stack.urls[0]}/readyz", timeout=10)
    return [] if answer.status_code == 200 else [f"/readyz is {answer.status_code}"]


def pictures_fault(
    begin: Callable[[Disk], None], end: Callable[[Disk], None], reason: str
) -> Callable[[Shop], Finding]:
    """A job and an upload fail and say why; afterwards both work again."""

    def trial(shop: Shop) -> Finding:
        stack = shop.stack
        stack.ready()
        struck = time.time()
        begin(shop.pictures)
        try:
            [job] = submit(stack, "a bird")
            found = settled(stack, [job], struck, _BACK, failing=[job])
            broken = _check_reason(stack.store.get(job), reason) + _up(stack)
            upload = _upload(stack.urls[0])
        finally:
            end(shop.pictures)
        if upload.status_code != 503 or reason not in upload.text or not _later(upload):
            broken.append(f"an upload was answered {upload.status_code}: {upload.text[:200]}")
        good = settled(stack, submit(stack, "a bird"), time.time(), _BACK)
        return found.but(*broken, *good.broken, *(["a later job is lost"] if good.lost else []))

    return trial


def _later(answer: httpx.Response) -> bool:
    return "retry-after" in answer.headers


def disk_full(shop: Shop) -> Finding:
    """Not even Redis can write: requests are refused, and what was accepted before is done once
    there is room.
    """
    stack = shop.stack
    stack.ready()
    began = time.time()
    jobs = submit(stack, *["a bird wait"] * 4)
    shop.state.fill()
    shop.pictures.fill()
    broken: list[str] = []
    try:
        with httpx.Client(timeout=30) as http:
            jobs += _until_refused(http, stack.urls[0])
            refused = [post(http, stack.urls[0], text="a bird") for _ in range(5)]
            time.sleep(_WITHOUT_ROOM)  # the jobs that run come to their end meanwhile
            alive = http.get(f"{stack.urls[0]}/healthz").status_code
    finally:
        shop.state.free()
        shop.pictures.free()
    over = time.time()
    broken += [f"answered {a.status} after {a.seconds:.1f} s" for a in refused if not a.polite]
    if alive != 200:
        broken.append(f"/healthz was {alive}")
    found = _ended(stack, jobs, over)
    good = settled(stack, submit_when_room(stack), time.time(), _BACK)
    lost = ["a later job is lost"] if good.lost else []
    spent = f"{over - began:.0f} s without room"
    return found.but(*broken, *good.broken, *lost, notes=[spent])


def _until_refused(http: httpx.Client, url: str) -> list[str]:
    """The jobs that are taken before the last page is full."""
    taken: list[str] = []

    def refused() -> bool:
        answer = post(http, url, text="a bird")
        taken.extend([answer.job] if answer.accepted else [])
        return not answer.accepted

    wait_until(refused, 20, "a refusal")
    return taken


def _ended(stack: Stack, jobs: list[str], over: float) -> Finding:
    """Each ended well, or failed and says that storage was the reason."""
    found = settled(stack, jobs, over, _BACK)
    records = [stack.store.get(job) for job in jobs]
    failed = [job for job in records if job and job.error]
    clear = all(job.error and job.error.code is ErrorCode.storage for job in failed)
    if clear and not found.lost:
        notes = (f"{len(failed)} of {len(jobs)} running jobs failed for storage",)
        return Finding(0, found.duplicated, found.seconds, notes=notes)
    return found


def submit_when_room(stack: Stack) -> list[str]:
    """A job as soon as one is taken again."""
    with httpx.Client(timeout=30) as http:
        taken: list[str] = []

        def try_it() -> bool:
            answer = post(http, stack.urls[0], text="a bird")
            taken.extend([answer.job] if answer.accepted else [])
            return answer.accepted

        wait_until(try_it, 30, "room for a job")
    return taken


FAMILY = Family(
    "storage",
    opened,
    [
        Fault(
            "blob store full",
            _BAR,
            pictures_fault(Disk.fill, Disk.free, "The service's storage is full."),
            _BACK,
            runs=3,
        ),
        Fault(
            "blob store read-only",
            _BAR,
            pictures_fault(
                lambda disk: disk.writable(False),
                lambda disk: disk.writable(True),
                "The service's storage does not take writes.",
            ),
            _BACK,
            runs=3,
        ),
        Fault("disk full", _BAR, disk_full, _BACK, runs=3),
    ],
)
