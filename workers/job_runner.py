"""Jobs from their claim to their outcome, in a thread: begin, read, prepare, hand to the networks,
finish, store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import ValidationError

from jobs.blobs import BlobStore, input_key, output_prefix
from jobs.errors import BlobError, BlobMissing, JobsError, NewerRecord, StoreError
from jobs.images import ImageLimits, decode_photo
from jobs.job import ErrorCode, Failure, Job, Status, image_seed
from jobs.logs import log_ids
from jobs.masks import decode_mask
from jobs.records import read_request
from jobs.redis_store import JobStore
from jobs.requests import TASKS, TaskRequest
from jobs.store import LEFT_TO_NEWER, Attempt, JobOutcome
from jobs.traces import record_span, span, trace_id
from models.errors import BundleError
from models.item import Item
from workers import metrics
from workers.batcher import Batcher
from workers.failures import to_failure
from workers.job_images import JobImages, JobStopped
from workers.leases import Lease, Leases
from workers.loader import PipelineLoader
from workers.policy import PolicyHook

if TYPE_CHECKING:
    from models.pipeline import Pipeline

log = logging.getLogger(__name__)
HeldJob = tuple[Job, Lease]
_MOST_HAND_BACKS = 20  # of a job for want of its bundle, where another worker has that
_HAND_BACKS_FOR_NOBODY = 3  # where none says so
_LONGEST_DELAY = 10.0  # seconds until a job that was handed back is given to anybody
_LEFT_WHILE_LOADING = 1.0  # seconds until one is that found too many waiting for their networks


@dataclass
class JobRunner:
    """What a thread needs that does jobs; all of it is shared by the threads. ``retry_after``:
    seconds before a job is tried again that a fault of the storage kept from its end;
    ``hand_back_delay``: before one is that this worker has no bundle for, twice as long each time.
    """

    store: JobStore
    blobs: BlobStore
    pipelines: PipelineLoader
    batcher: Batcher
    leases: Leases
    max_attempts: int = 3
    retry_after: float = 15.0
    hand_back_delay: float = 1.0
    limits: ImageLimits = field(default_factory=ImageLimits)
    policy: PolicyHook = field(default_factory=PolicyHook)

    def run(self, held: Sequence[HeldJob]) -> None:
        """Do claimed jobs. They share the thread and the round trips to the store, not their fate:
        each fails, is canceled and ends by itself.
        """
        group = _JobGroup(self, held)
        try:
            group.run()
        except JobsError as error:
            ids = ", ".join(job.id for job, _ in held)
            log.warning("jobs %s left to the reconciler: %s", ids, error)
        finally:
            group.release()

    def load_inputs(self, job: Job) -> dict[str, Image.Image]:
        images = {}
        for spec in TASKS[job.task].images:
            decode = decode_mask if spec.kind == "mask" else decode_photo
            # Erased, if the record does not name it any more: the store says so.
            key = job.inputs.get(spec.name) or input_key(job.id, spec.name)
            images[spec.name] = decode(self.blobs.get(key), spec.name, self.limits)
        return images

    def discard_outputs(self, job: Job, lease: Lease) -> None:
        """Erase this run's pictures: no record names them, and the job itself may be erased."""
        try:
            self.blobs.delete_prefix(output_prefix(job.id, lease.token))
        except BlobError as error:
            log.warning("job %s: pictures of a lost run are left behind: %s", job.id, error)


class _JobGroup:
    """Jobs that one thread does, from their begin to their ends."""

    def __init__(self, runner: JobRunner, held: Sequence[HeldJob]) -> None:
        self._runner, self._store, self._held = runner, runner.store, held
        self._unqueued = sum(job.pictures for job, _ in held)

    def run(self) -> None:
        """Begin all of them, then end each as it comes; ends that come together are stored
        together, and make room for the next.
        """
        readable = list(self._readable())
        if not (all(run.is_loaded() for run in readable) or self._postpone()):
            self._leave(readable)
            return
        runs = list(self._begin(readable))
        begun = {run.lease.token for run in runs}
        self._runner.leases.remove(*(lease for _, lease in self._held if lease.token not in begun))
        for run in runs:
            with run.log_ids():
                run.prepare()
        self._runner.leases.resume(*(run.lease for run in runs))
        self._arrived()
        ends: list[tuple[_JobRun, JobOutcome]] = []
        for run in runs:
            if ends and not run.is_ready():
                self._finish(ends)
                ends = []
            with run.log_ids():
                outcome = self._collect(run)
            if outcome:
                ends.append((run, outcome))
        self._finish(ends)

    def release(self) -> None:
        """Whatever became of the jobs, they are held no more."""
        self._arrived()
        self._runner.leases.remove(*(lease for _, lease in self._held))

    def _postpone(self) -> bool:
        """Networks are loaded first, which takes seconds: jobs of others are claimed meanwhile.
        False when too many wait for networks already.
        """
        if not self._runner.leases.postpone(*(lease for _, lease in self._held)):
            return False
        self._runner.batcher.postpone(self._unqueued)
        self._unqueued = 0
        return True

    def _leave(self, runs: Sequence[_JobRun]) -> None:
        """To workers that have the networks, or to this one when they may be loaded."""
        held = [(run.job.id, run.lease.token) for run in runs]
        self._store.release_all(held, _LEFT_WHILE_LOADING, "postponed")

    def _arrived(self) -> None:
        self._runner.batcher.arrived(self._unqueued)
        self._unqueued = 0

    def _begin(self, runs: Sequence[_JobRun]) -> Iterator[_JobRun]:
        """Those that are still this worker's: from now on it is an attempt."""
        answers = self._store.begin_all([(run.job.id, run.lease.token) for run in runs])
        for run, attempt in zip(runs, answers, strict=True):
            job = run.job
            if isinstance(attempt, Attempt):
                now = {"attempts": attempt.number, "started_at": attempt.started_at}
                run.job = job.model_copy(update=now)
                record_span("queued", job.traceparent, job.created_at, attempt.started_at)
                yield run
            elif attempt is not None:
                log.warning("job %s left to the reconciler: %s", job.id, attempt)

    def _readable(self) -> Iterator[_JobRun]:
        """Those that this version can do; the others are left to newer workers until their
        deadlines, however often.
        """
        left = []
        for job, lease in self._held:
            try:
                yield _JobRun(self._runner, job, lease, read_request(job))
            except ValidationError as error:
                yield _JobRun(self._runner, job, lease, error)
            except NewerRecord as error:
                log.info("%s", error)
                left.append((job.id, lease.token))
        if left:
            metrics.LEFT.inc(len(left))
            self._store.release_all(left, LEFT_TO_NEWER, "left")

    def _collect(self, run: _JobRun) -> JobOutcome | None:
        """None for a job that stopped without an outcome."""
        job = run.job
        try:
            return run.collect()
        except JobStopped:
            self._handle_stop(run)
            return None
        except _BundleElsewhere:
            self._hand_back(run)
            return None
        except BlobMissing as error:
            return JobOutcome(error=to_failure(error), warnings=job.warnings)
        except BlobError as error:
            return self._storage_fault(run, error)
        except Exception:  # a fault of ours must not take the other jobs along
            log.exception("job %s left to the reconciler", job.id)
            return None

    def _hand_back(self, run: _JobRun) -> None:
        """For a worker that has the job's bundle; not an attempt."""
        job = run.job
        delay = min(self._runner.hand_back_delay * 2**job.hand_backs, _LONGEST_DELAY)
        log.info("job %s is handed back for want of its bundle", job.id)
        with self._log_store_errors(job.id):
            self._store.release_all([(job.id, run.lease.token)], delay, "hand_backs")

    def _storage_fault(self, run: _JobRun, error: BlobError) -> JobOutcome | None:
        """The job is tried again a while later, unless that has been done or can't help."""
        job, runner = run.job, self._runner
        log.warning("job %s: storage fault %d: %s", job.id, job.faults + 1, error)
        if job.faults + 1 < runner.max_attempts and not error.lasting:
            with self._log_store_errors(job.id):
                self._store.release_all([(job.id, run.lease.token)], runner.retry_after)
            return None
        failure = Failure(code=ErrorCode.storage, detail=f"{error.reason} Try again later.")
        return JobOutcome(error=failure, warnings=job.warnings)

    def _handle_stop(self, run: _JobRun) -> None:
        if run.lease.canceled:
            with self._log_store_errors(run.job.id):
                if self._store.finish_canceled(run.job.id, run.lease.token):
                    metrics.count(run.job, Status.canceled)
        self._runner.discard_outputs(run.job, run.lease)

    @contextmanager
    def _log_store_errors(self, *job_ids: str) -> Iterator[None]:
        """What the store can't be asked is left to the reconciler: the leases run out."""
        try:
            yield
        except StoreError as error:
            log.warning("jobs %s left to the reconciler: %s", ", ".join(job_ids), error)

    def _finish(self, ends: Sequence[tuple[_JobRun, JobOutcome]]) -> None:
        if not ends:
            return
        with self._log_store_errors(*(run.job.id for run, _ in ends)):
            endings = [(run.job.id, run.lease.token, outcome) for run, outcome in ends]
            for (run, outcome), answer in zip(ends, self._store.finish_all(endings), strict=True):
                with run.log_ids():
                    self._check_finished(run, outcome, answer)
        self._runner.leases.remove(*(run.lease for run, _ in ends))

    def _check_finished(self, run: _JobRun, outcome: JobOutcome, answer: bool | StoreError) -> None:
        if answer is True:
            metrics.count_outcome(run.job, outcome)
            run.log_end(outcome)
        elif isinstance(answer, StoreError):
            log.warning("job %s left to the reconciler: %s", run.job.id, answer)
        else:
            log.warning(
                "job %s: the lease was lost before the end; its outcome is dropped", run.job.id
            )
            self._runner.discard_outputs(run.job, run.lease)


class _BundleElsewhere(Exception):
    """Another worker may have the bundle that the job was read with."""


@dataclass
class _JobRun:
    """One claimed job, in two halves: what leads to the networks, and what follows them."""

    runner: JobRunner
    job: Job
    lease: Lease
    request: TaskRequest | ValidationError
    started: float = field(default_factory=time.monotonic)
    _images: JobImages | None = None
    _error: Exception | None = None

    def log_ids(self) -> AbstractContextManager[None]:
        """Lines within the block are about this job."""
        job = self.job
        trace = trace_id(job.traceparent)
        return log_ids(job=job.id, key=job.owner, request=job.request_id, trace=trace)

    def log_end(self, outcome: JobOutcome) -> None:
        """The one line of a job that is over."""
        job = self.job
        facts = {
            "task": job.task,
            "bundle": job.request.get("bundle"),
            "outcome": outcome.error.code if outcome.error else "succeeded",
            "pictures": job.pictures,
            "attempt": job.attempts,
            **outcome.timings.model_dump(exclude_none=True),
        }
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        log.info("job %s ended: %s", job.id, words, extra={"facts": facts})

    def prepare(self) -> None:
        """Read and prepare the job's pictures and put them in line; what fails is reported in
        :meth:`collect`.
        """
        parent, bundle = self.job.traceparent, self.job.request.get("bundle") or ""
        try:
            with span("load", parent, job=self.job.id, task=self.job.task, bundle=bundle):
                self._images = self._prepare_images()
        except Exception as error:
            self._error = error

    def _prepare_images(self) -> JobImages:
        runner, job = self.runner, self.job
        request = self.request
        if isinstance(request, ValidationError):
            raise request
        pipeline = self._pipeline(request.bundle or "", request.method or "")
        images = runner.load_inputs(job)
        runner.policy.check_inputs(request, images)
        check = partial(runner.policy.check_image, request)
        parts = (runner.batcher, runner.blobs, runner.store)
        pictures = JobImages(job, self.lease, pipeline, *parts, request.format, check)
        pictures.prepare([_frame_items(request, n, images) for n in range(request.count)])
        return pictures

    def is_loaded(self) -> bool:
        """Whether the networks are there."""
        request, job = self.request, self.job
        if isinstance(request, ValidationError):
            return True
        names = request.bundle or "", job.task, request.method or ""
        return self.runner.pipelines.is_loaded(*names, job.bundle_sha256)

    def _pipeline(self, bundle: str, method: str) -> Pipeline[Any]:
        """Of the bundle that the job was read with; when nobody has had that for a while, of the
        one that has taken its place.
        """
        pipelines, job = self.runner.pipelines, self.job
        try:
            return pipelines.get(bundle, job.task, method, job.bundle_sha256)
        except BundleError as error:
            if job.hand_backs < self._most_hand_backs(bundle):
                raise _BundleElsewhere from error
            return pipelines.get(bundle, job.task, method)

    def _most_hand_backs(self, bundle: str) -> int:
        job = self.job
        try:
            offers = [w.get("bundles", {}).get(bundle) for w in self.runner.store.live_workers()]
        except StoreError:
            offers = []
        elsewhere = any(
            offer and job.task in offer["tasks"] and job.bundle_sha256 in ("", offer["sha256"])
            for offer in offers
        )
        return _MOST_HAND_BACKS if elsewhere else _HAND_BACKS_FOR_NOBODY

    def is_ready(self) -> bool:
        """Whether :meth:`collect` need not wait for the networks."""
        return self._images is None or self._images.is_ready()

    def collect(self) -> JobOutcome:
        """Store the pictures once they are there. Raises BlobError, JobStopped and
        _BundleElsewhere.
        """
        job, pictures = self.job, self._images
        if pictures:
            return pictures.outcome(pictures.collect(), self.started)
        error = self._error or RuntimeError("the job was not begun")
        if isinstance(error, BlobError | _BundleElsewhere):
            raise error
        # Every failure ends in the record, with its sentence.
        log.warning("job %s: %s", job.id, error, exc_info=error)
        return JobOutcome(error=to_failure(error), warnings=job.warnings)


def _frame_items(request: TaskRequest, index: int, images: dict[str, Image.Image]) -> list[Item]:
    """What the networks draw of picture ``index``: all frames of one seed."""
    seed = image_seed(request.seed or 0, index)
    chosen = {name: getattr(request, name) for name in request.serving}
    given = {name: value for name, value in chosen.items() if value is not None}
    return [
        Item(blend[0][0], seed, index, images, blend, request.explain, size=request.size, **given)
        for blend in request.frame_blends
    ]
