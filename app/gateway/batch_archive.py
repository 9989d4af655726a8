"""All images of a batch as a ZIP file that leaves storage as its reader takes it.

Entries are named by the order in which jobs were accepted, and by nothing that a client wrote.
They are stored as they are, since images don't get smaller. ``manifest.json`` comes last, as it
says what was found.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from zipfile import ZipFile, ZipInfo

from starlette.concurrency import run_in_threadpool

from app.gateway.services import Services
from app.gateway.views import job_view
from jobs.errors import BlobMissing
from jobs.job import Job, Status

MANIFEST = "manifest.json"
_LEFT_OUT = {"webhook", "links", "batch", "cancel_requested"}  # of a job, in the manifest


class _Outbox:
    """A file that holds what was written until it is taken."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes, /) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    close = flush

    def take(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data


async def stream_archive(
    services: Services, members: Iterable[Sequence[str]]
) -> AsyncIterator[bytes]:
    """The file in parts. On a fault of the storage the connection breaks before the file's end."""
    outbox, manifest = _Outbox(), list[str]()
    with ZipFile(outbox, "w") as archive:
        for job_ids in members:
            jobs = await run_in_threadpool(services.store.get_all, job_ids)
            for job_id, job in zip(job_ids, jobs, strict=True):
                entry = dict[str, Any]()
                if isinstance(job, Job) and job.status is not Status.expired:
                    added = _add_job(services, archive, job, len(manifest) + 1, entry)
                    async with aclosing(added):  # an entry that is written ends before the file
                        async for _ in added:
                            yield outbox.take()
                entry = entry or {"id": job_id, "status": Status.expired}
                manifest.append(json.dumps(entry, ensure_ascii=False))
        archive.writestr(_info(MANIFEST, 0), "[" + ",\n".join(manifest) + "]\n")
    yield outbox.take()


async def _add_job(
    services: Services, archive: ZipFile, job: Job, number: int, entry: dict[str, Any]
) -> AsyncGenerator[None]:
    """Its images, part by part; ``entry`` is filled then, unless the job is erased meanwhile."""
    view = job_view(job, None, root=services.settings.root_path)
    found = view.model_dump(mode="json", exclude=_LEFT_OUT)
    for record, image in zip(job.images, found["images"], strict=True):
        if record.error:
            continue
        image["file"] = f"{number:04d}-{record.index}.{record.format}"
        try:
            _, parts = await services.open_blob(record.blob)
        except BlobMissing:
            again = await services.get_job(job.id)
            if again and not again.erasing and again.status is not Status.expired:
                raise
            return
        async with aclosing(parts):
            with archive.open(_info(image["file"], job.finished_at), "w") as file:
                async for part in parts:
                    file.write(part)
                    yield
    entry.update(found)


def _info(name: str, at: float | None) -> ZipInfo:
    """``at``: seconds since 1970. The same batch gives the same file."""
    info = ZipInfo(name, datetime.fromtimestamp(max(at or 0, 315532800), UTC).timetuple()[:6])
    info.external_attr = 0o644 << 16
    return info
