"""All images of a batch as a ZIP file that leaves storage as its reader takes it.

Entries are named by the order in which jobs were accepted, and by nothing that a client wrote.
They are stored as they are, since images don't get smaller. ``manifest.json`` comes last, as it
says what was found.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from app.gateway.services import Services
from app.gateway.views import job_view
from jobs.batch_store import chunks
from jobs.errors import BlobMissing
from jobs.job import ImageRecord, Job, Status

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


async def stream_archive(services: Services, job_ids: Sequence[str]) -> AsyncIterator[bytes]:
    """The file in parts. The connection breaks, without an end of the file, on a fault of the
    storage.
    """
    outbox, manifest, number = _Outbox(), list[bytes](), 0
    with zipfile.ZipFile(outbox, "w") as archive:
        for part_ids in chunks(job_ids):
            found = await run_in_threadpool(services.store.get_all, part_ids)
            for job_id, job in zip(part_ids, found, strict=True):
                number += 1
                entry: dict[str, Any] = {"id": job_id, "status": Status.expired}
                if isinstance(job, Job) and job.status is not Status.expired:
                    entry = _entry(services, job, number)
                    async for data in _add_images(services, archive, outbox, job, entry):
                        yield data
                manifest.append(json.dumps(entry, ensure_ascii=False).encode())
        archive.writestr(_info(MANIFEST), b"[" + b",\n".join(manifest) + b"]\n")
    yield outbox.take()


def _entry(services: Services, job: Job, number: int) -> dict[str, Any]:
    """What the manifest says of a job."""
    view = job_view(job, None, root=services.settings.root_path)
    entry = view.model_dump(mode="json", exclude=_LEFT_OUT)
    for image, record in zip(entry["images"], job.images, strict=True):
        image["file"] = None if record.error else f"{number:04d}-{record.index}.{record.format}"
    return entry


async def _add_images(
    services: Services, archive: zipfile.ZipFile, outbox: _Outbox, job: Job, entry: dict[str, Any]
) -> AsyncIterator[bytes]:
    """``entry`` says no more of a job that is erased meanwhile than that it is."""
    for image, record in zip(entry["images"], job.images, strict=True):
        if record.error:
            continue
        try:
            async for data in _add_image(services, archive, outbox, job, record, image["file"]):
                yield data
        except BlobMissing:
            again = await services.get_job(job.id)
            if again and not again.erasing and again.status is not Status.expired:
                raise
            entry.clear()
            entry.update(id=job.id, status=Status.expired)
            return


async def _add_image(
    services: Services,
    archive: zipfile.ZipFile,
    outbox: _Outbox,
    job: Job,
    record: ImageRecord,
    name: str,
) -> AsyncIterator[bytes]:
    size, parts = await services.open_blob(record.blob)
    info = _info(name, job.finished_at)
    info.file_size = size
    with archive.open(info, "w") as file:
        async for part in parts:
            file.write(part)
            yield outbox.take()


def _info(name: str, at: float | None = None) -> zipfile.ZipInfo:
    """``at``: seconds since 1970; of the same batch comes the same file."""
    moment = datetime.fromtimestamp(at, UTC).timetuple()[:6] if at else (1980, 1, 1, 0, 0, 0)
    info = zipfile.ZipInfo(name, moment)
    info.external_attr = 0o644 << 16
    return info
