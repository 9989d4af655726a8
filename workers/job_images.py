"""The pictures of one job: prepared, handed to the networks, finished, stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from PIL import Image

from jobs.ai_mark import ai_mark
from jobs.blobs import BlobStore, output_key
from jobs.errors import BlobError, StoreError
from jobs.explanation import ExplanationView
from jobs.images import EXTENSION, MOVING, encode_frames
from jobs.job import ImageRecord, Job, Timings
from jobs.redis_store import JobStore
from jobs.requests import TASKS
from jobs.settings import VERSION
from jobs.store import JobOutcome
from jobs.traces import record_span, span
from models.item import Item
from workers.batcher import Batcher, ForwardResult
from workers.failures import to_failure
from workers.leases import Lease

if TYPE_CHECKING:  # which asks for torch; a worker of fakes has none
    from models.explanation import Explanation
    from models.pipeline import Pipeline

    _AnyExplanation = Explanation | ExplanationView | None

log = logging.getLogger(__name__)
_REPORT_INTERVAL = 0.1  # seconds between two reports of a job's progress

_PendingFrame = tuple[
    Item, Any, Future[ForwardResult] | Exception
]  # an item, prepared, and its output


class JobStopped(Exception):
    """The client canceled the job, or another worker has it."""


@dataclass
class JobImages:
    """Collects how long the networks took, and in what company. ``check`` raises for a picture that
    is not to be stored.
    """

    job: Job
    lease: Lease
    pipeline: Pipeline[Any]
    batcher: Batcher
    blobs: BlobStore
    store: JobStore
    format: str
    check: Callable[[Image.Image], None]
    _seconds: dict[int, float] = field(default_factory=dict)
    _batch_sizes: list[int] = field(default_factory=list)
    _pending: list[list[_PendingFrame]] = field(default_factory=list)
    _reported_at: float = 0.0
    _stored: int = 0  # bytes

    def prepare(self, pictures: list[list[Item]]) -> None:
        """Prepare them and put them in line; each is one item or the frames of an animation."""
        self._pending = [[self._submit(item) for item in frames] for frames in pictures]

    def _submit(self, item: Item) -> _PendingFrame:
        try:
            prepared = self.pipeline.prepare(item)
        except Exception as error:
            return item, None, error
        alone = self.job.attempts > 1
        future = self.batcher.submit(
            self.pipeline, prepared, alone, item.candidates, self.job.owner
        )
        return item, prepared, future

    def is_ready(self) -> bool:
        """Whether the networks are done with all of them."""
        made = (result for _, _, result in chain.from_iterable(self._pending))
        return all(not isinstance(result, Future) or result.done() for result in made)

    def collect(self) -> list[ImageRecord]:
        """Store each picture as it comes. Raises BlobError, and JobStopped; then no further one is
        drawn.
        """
        records: list[ImageRecord] = []
        with self._cancel_on_error():
            for frames in self._pending:
                records.append(self._record(frames))
                self._report_progress(len(records), len(self._pending))
        return records

    def _report_progress(self, done: int, total: int) -> None:
        """The client is notified of progress, but not of the last picture: the end follows at
        once.
        """
        now = time.monotonic()
        if done < total and now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            with suppress(StoreError):  # only news; the lease tells whether the store is there
                self.store.record_progress(self.job.id, self.lease.token, done, total)

    @contextmanager
    def _cancel_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # whatever it is, nobody waits for the other pictures any more
            for _, _, future in chain.from_iterable(self._pending):
                if isinstance(future, Future):
                    future.cancel()
            raise

    def _record(self, frames: list[_PendingFrame]) -> ImageRecord:
        item = frames[0][0]
        try:
            made = [self._finish_frame(*frame) for frame in frames]
            with span("store", self.job.traceparent):
                record = self._store(item, [image for image, _, _ in made], made[0][1])
            return record.model_copy(update={"candidate": made[0][2]})
        except (JobStopped, BlobError):
            raise
        except Exception as error:
            log.warning("job %s, picture %d: %s", self.job.id, item.index, error)
            return ImageRecord(
                index=item.index, seed=item.seed, format=self.format, error=to_failure(error)
            )

    def _finish_frame(
        self, _item: Item, prepared: Any, result: Future[ForwardResult] | Exception
    ) -> tuple[Image.Image, _AnyExplanation, int]:
        """The picture, its explanation, and which of its candidates it is."""
        if isinstance(result, Exception):
            raise result
        forwarded = self._wait(result)
        image, explanation = self.pipeline.finish_output(prepared, forwarded.pixels)
        self._note_batch(forwarded)
        self.check(image)
        return image, explanation, self.pipeline.candidate(prepared, forwarded.pixels)

    def _note_batch(self, made: ForwardResult) -> None:
        if made.batch not in self._seconds:
            start = made.ended - made.seconds
            pictures = made.batch_size
            record_span("model", self.job.traceparent, start, made.ended, pictures=pictures)
        self._seconds[made.batch] = made.seconds
        self._batch_sizes.append(made.batch_size)

    def _wait(self, future: Future[ForwardResult]) -> ForwardResult:
        """Wait for the networks, looking up now and then whether the job is still wanted."""
        while True:
            if self.lease.canceled or self.lease.lost:
                raise JobStopped
            try:
                return future.result(timeout=1.0)
            except CancelledError as error:
                raise JobStopped from error
            except FutureTimeout:
                if future.done():  # the model itself raised a timeout
                    raise

    def _store(
        self, item: Item, frames: list[Image.Image], explanation: _AnyExplanation
    ) -> ImageRecord:
        data, size = encode_frames(frames, self.format, ai_mark(self.job.task))
        blob = self._put(item, EXTENSION[self.format], data)
        explanation_key = (
            self._put(item, "json", _explanation_bytes(item.index, explanation))
            if explanation
            else ""
        )
        return ImageRecord(
            index=item.index,
            seed=item.seed,
            width=size[0],
            height=size[1],
            sha256=sha256(data).hexdigest(),
            blob=blob,
            format=self.format,
            frames=len(frames) if self.format in MOVING else 1,
            explanation=explanation_key,
        )

    def _put(self, item: Item, extension: str, data: bytes) -> str:
        key = output_key(self.job.id, self.lease.token, item.index, extension)
        self.blobs.put(key, data)
        self._stored += len(data)
        return key

    def outcome(self, records: list[ImageRecord], started: float) -> JobOutcome:
        """Of the whole job, whose run began at ``started`` of the monotonic clock. How long it
        waited before says the store, by whose clock it was created and begun.
        """
        failed = [r for r in records if r.error]
        queued = (self.job.started_at or self.job.created_at) - self.job.created_at
        timings = Timings(
            queued_ms=_ms(queued),
            model_ms=_ms(sum(self._seconds.values())),
            total_ms=_ms(queued + time.monotonic() - started),
        )
        receipt = {
            "bundle": self.pipeline.bundle.name,
            "bundle_sha256": self.pipeline.bundle.sha256,
            "version": VERSION,
            "method": self.pipeline.method,
            "precision": self.pipeline.precision,
            "device": str(self.pipeline.device),
            "seeds": [r.seed for r in records],
            "batch_sizes": sorted(set(self._batch_sizes)),
            **self._serving_options(records),
            **self._provenance(),
        }
        error = failed[0].error if len(failed) == len(records) else None
        notes = [
            f"Image {r.index + 1} of {len(records)} failed: {r.error.detail}"
            for r in failed
            if r.error and not error
        ]
        warnings = [*self.job.warnings, *notes]
        return JobOutcome(records, timings, receipt, warnings, error, self._stored)

    def _serving_options(self, records: list[ImageRecord]) -> dict[str, Any]:
        """The serving options, and which of its candidates each picture is, if it had several."""
        names = TASKS[self.job.task].serving
        found = {name: self.job.request[name] for name in names if name in self.job.request}
        if "candidates" in found:
            found["chosen"] = [record.candidate for record in records]
        return found

    def _provenance(self) -> dict[str, Any]:
        """What the pipeline has to say of how the first picture was made, whose like are all."""
        frames = chain.from_iterable(self._pending)
        prepared = next((p for _, p, _ in frames if p is not None), None)
        return {} if prepared is None else self.pipeline.provenance(prepared)


def _explanation_bytes(index: int, explanation: Explanation | ExplanationView) -> bytes:
    if isinstance(explanation, ExplanationView):  # of a fake pipeline
        return explanation.model_dump_json().encode()
    from workers.explanation_json import explanation_json  # takes NumPy: not for every worker

    return explanation_json(index, explanation)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
