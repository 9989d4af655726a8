"""One job from claim to outcome, in a task thread: read, prepare, hand to the networks, finish,
store.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from PIL import Image

from jobs.animation import MOVING, encode_frames
from jobs.blobs import BlobStore, output_folder, output_key
from jobs.errors import BlobError, BlobMissing, StoreError
from jobs.explanation import ExplanationView
from jobs.images import EXTENSION, ImageLimits, decode_mask, decode_photo, encode
from jobs.job import ErrorCode, Failure, ImageRecord, Job, Timings, image_seed
from jobs.requests import TASKS, TaskRequest
from jobs.store import JobStore, Outcome
from jobs.version import VERSION
from models.item import Item
from workers.alone import SharedOrAlone
from workers.batcher import Batcher, Forwarded
from workers.failures import failure_of
from workers.lease import Lease, Leases
from workers.loader import Loader

if TYPE_CHECKING:  # which asks for torch; a worker of fakes has none
    from models.explanation import Explanation
    from models.pipeline import Pipeline

    _Explained = Explanation | ExplanationView | None

log = logging.getLogger(__name__)
_TELL_EVERY = 0.1  # seconds between two reports of a job's progress


_Waiting = tuple[Item, Any, Future[Forwarded] | Exception]  # an item, prepared, and its output


class _Stopped(Exception):
    """The client canceled the job, or another worker has it."""


@dataclass
class JobRunner:
    """What a task thread needs; all of it is shared by the threads."""

    store: JobStore
    blobs: BlobStore
    pipelines: Loader
    batcher: Batcher
    leases: Leases
    lease_ttl: float = 15.0
    max_attempts: int = 3
    limits: ImageLimits = field(default_factory=ImageLimits)
    draining: bool = False
    _gate: SharedOrAlone = field(default_factory=SharedOrAlone, repr=False)

    def run(self, job_id: str) -> bool:
        """Do the job if it can be claimed. False when it was not: it is final, or somebody holds
        it.

        The steward watches every unfinished job, so nothing is lost when a message is dropped here.
        """
        job = None if self.draining else self.store.get(job_id)
        if job is None or job.status.final:
            return False
        # Registered before it is claimed, so that whoever hands jobs back misses none.
        with self._entry(job), self.leases.hold(job_id, secrets.token_hex(8)) as lease:
            claimed = self._claim(lease)
            if claimed is None:
                return False
            self._settle(claimed, lease)
        return True

    def _claim(self, lease: Lease) -> Job | None:
        if self.draining:  # it was asked to end while this job waited to be alone
            return None
        claimed = self.store.start(lease.job_id, lease.token, self.lease_ttl)
        lease.claimed = True
        return claimed

    def _entry(self, job: Job) -> AbstractContextManager[None]:
        """A job that was claimed before may have ended a worker: from then on it runs alone, and
        is claimed only when
        it does, so that no innocent job is held while it runs."""
        return self._gate.alone() if job.attempts else self._gate.shared()

    def _settle(self, job: Job, lease: Lease) -> None:
        try:
            outcome = self._work(job, lease)
        except _Stopped:
            if lease.canceled:
                self.store.cancel_done(job.id, lease.token)
            self._discard(job, lease)
            return
        except BlobMissing as error:
            outcome = Outcome(error=failure_of(error), warnings=job.warnings)
        except BlobError as error:
            log.warning("job %s: storage fault in attempt %d: %s", job.id, job.attempts, error)
            if job.attempts < self.max_attempts and not error.lasting:
                return  # the lease runs out and the steward sends the job again
            failure = Failure(code=ErrorCode.storage, detail=f"{error.reason} Try again later.")
            outcome = Outcome(error=failure, warnings=job.warnings)
        if not self.store.finish(job.id, lease.token, outcome):
            log.warning("job %s: the lease was lost before the end; its outcome is dropped", job.id)
            self._discard(job, lease)

    def _discard(self, job: Job, lease: Lease) -> None:
        """Erase this run's pictures: no record names them, and the job itself may be erased."""
        try:
            self.blobs.delete_prefix(output_folder(job.id, lease.token))
        except BlobError as error:
            log.warning("job %s: pictures of a lost run are left behind: %s", job.id, error)

    def _work(self, job: Job, lease: Lease) -> Outcome:
        request = TASKS[job.task].model_validate(job.request)
        started = time.time()
        try:
            pipeline = self.pipelines.get(request.bundle or "", job.task, request.method or "")
            with self.batcher.coming():
                images = self._inputs(job)
        except (BlobError, _Stopped):
            raise
        except Exception as error:  # every failure ends in the record, with its sentence
            log.warning("job %s: %s", job.id, error, exc_info=error)
            return Outcome(error=failure_of(error), warnings=job.warnings)
        pictures = _Pictures(self, job, lease, pipeline, request.format)
        records = pictures.make([_frames(request, n, images) for n in range(request.count)])
        return self._outcome(job, pipeline, records, pictures, started)

    def _inputs(self, job: Job) -> dict[str, Image.Image]:
        images = {}
        for spec in TASKS[job.task].images:
            decode = decode_mask if spec.kind == "mask" else decode_photo
            images[spec.name] = decode(
                self.blobs.get(job.inputs[spec.name]), spec.name, self.limits
            )
        return images

    def _outcome(
        self,
        job: Job,
        pipeline: Pipeline[Any],
        records: list[ImageRecord],
        pictures: _Pictures,
        started: float,
    ) -> Outcome:
        failed = [r for r in records if r.error]
        done = time.time()
        timings = Timings(
            queued_ms=_ms(started - job.created_at),
            model_ms=_ms(sum(pictures.seconds.values())),
            total_ms=_ms(done - job.created_at),
        )
        receipt = {
            "bundle": pipeline.bundle.name,
            "bundle_sha256": pipeline.bundle.sha256,
            "version": VERSION,
            "method": pipeline.method,
            "precision": pipeline.precision,
            "device": str(pipeline.device),
            "seeds": [r.seed for r in records],
            "batch_sizes": sorted(set(pictures.batch_sizes)),
        }
        error = failed[0].error if len(failed) == len(records) else None
        notes = [
            f"Picture {r.index} failed: {r.error.detail}" for r in failed if r.error and not error
        ]
        return Outcome(records, timings, receipt, [*job.warnings, *notes], error)


@dataclass
class _Pictures:
    """The pictures of one job; collects how long the networks took and in what company."""

    runner: JobRunner
    job: Job
    lease: Lease
    pipeline: Pipeline[Any]
    format: str
    seconds: dict[int, float] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    told: float = 0.0

    def make(self, pictures: list[list[Item]]) -> list[ImageRecord]:
        """The records of pictures, each of which is one item or the frames of an animation."""
        with self.runner.batcher.coming():
            waiting = [[self._submit(item) for item in frames] for frames in pictures]
        records: list[ImageRecord] = []
        with self._unless_stopped(waiting):
            for frames in waiting:
                records.append(self._record(frames))
                self._tell(len(records), len(waiting))
        return records

    def _submit(self, item: Item) -> _Waiting:
        try:
            prepared = self.pipeline.prepare(item)
        except Exception as error:
            return item, None, error
        alone = self.job.attempts > 1
        return item, prepared, self.runner.batcher.submit(self.pipeline, prepared, alone)

    def _tell(self, done: int, total: int) -> None:
        """The client is told of progress, but not of the last picture: the end follows at once."""
        now = time.monotonic()
        if done < total and now - self.told >= _TELL_EVERY:
            self.told = now
            with suppress(StoreError):  # only news; the lease tells whether the store is there
                self.runner.store.progress(self.job.id, self.lease.token, done, total)

    @contextmanager
    def _unless_stopped(self, waiting: list[list[_Waiting]]) -> Iterator[None]:
        try:
            yield
        except _Stopped:
            for _, _, future in chain.from_iterable(waiting):
                if isinstance(future, Future):
                    future.cancel()
            raise

    def _record(self, frames: list[_Waiting]) -> ImageRecord:
        item = frames[0][0]
        try:
            made = [self._finished(*frame) for frame in frames]
            return self._stored(item, [image for image, _ in made], made[0][1])
        except (_Stopped, BlobError):
            raise
        except Exception as error:
            log.warning("job %s, picture %d: %s", self.job.id, item.index, error)
            return ImageRecord(
                index=item.index, seed=item.seed, format=self.format, error=failure_of(error)
            )

    def _finished(
        self, _item: Item, prepared: Any, result: Future[Forwarded] | Exception
    ) -> tuple[Image.Image, _Explained]:
        if isinstance(result, Exception):
            raise result
        forwarded = self._wait(result)
        finished = self.pipeline.finished(prepared, forwarded.pixels)
        self.seconds[forwarded.batch] = forwarded.seconds
        self.batch_sizes.append(forwarded.batch_size)
        return finished

    def _wait(self, future: Future[Forwarded]) -> Forwarded:
        """Wait for the networks, looking up now and then whether the job is still wanted."""
        while True:
            if self.lease.canceled or self.lease.lost:
                raise _Stopped
            try:
                return future.result(timeout=1.0)
            except CancelledError as error:
                raise _Stopped from error
            except FutureTimeout:
                if future.done():  # the model itself raised a timeout
                    raise

    def _stored(
        self, item: Item, frames: list[Image.Image], explanation: _Explained
    ) -> ImageRecord:
        data, size = self._encoded(frames)
        blob = self._put(item, EXTENSION[self.format], data)
        told = self._put(item, "json", _told(item.index, explanation)) if explanation else ""
        return ImageRecord(
            index=item.index,
            seed=item.seed,
            width=size[0],
            height=size[1],
            sha256=sha256(data).hexdigest(),
            blob=blob,
            format=self.format,
            frames=len(frames) if self.format in MOVING else 1,
            explanation=told,
        )

    def _encoded(self, frames: list[Image.Image]) -> tuple[bytes, tuple[int, int]]:
        if len(frames) > 1:
            return encode_frames(frames, self.format)
        return encode(frames[0], self.format), frames[0].size

    def _put(self, item: Item, extension: str, data: bytes) -> str:
        key = output_key(self.job.id, self.lease.token, item.index, extension)
        self.runner.blobs.put(key, data)
        return key


def _frames(request: TaskRequest, index: int, images: dict[str, Image.Image]) -> list[Item]:
    """What the networks draw of picture ``index``: all frames of one seed."""
    seed = image_seed(request.seed or 0, index)
    return [
        Item(blend[0][0], seed, index, images, blend, request.explain) for blend in request.shown
    ]


def _told(index: int, explanation: Explanation | ExplanationView) -> bytes:
    if isinstance(explanation, ExplanationView):  # of a stand-in
        return explanation.model_dump_json().encode()
    from workers.explanations import explanation_json  # takes NumPy: not for every worker

    return explanation_json(index, explanation)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
