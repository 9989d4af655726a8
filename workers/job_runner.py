"""Jobs from their claim to their outcome, in a thread: begin, read, prepare, hand to the networks,
finish, store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

from jobs.blobs import BlobStore, output_prefix
from jobs.errors import BlobError, BlobMissing, JobsError, StoreError
from jobs.images import ImageLimits, decode_photo
from jobs.job import ErrorCode, Failure, Job, image_seed
from jobs.masks import decode_mask
from jobs.requests import TASKS, TaskRequest
from jobs.store import Begun, JobStore, Outcome
from models.item import Item
from workers.batcher import Batcher
from workers.failures import failure_of
from workers.job_images import Pictures, Stopped
from workers.job_slots import JobSlots
from workers.leases import Lease, Leases
from workers.loader import Loader

log = logging.getLogger(__name__)
Held = tuple[Job, Lease]


@dataclass
class JobRunner:
    """What a thread needs that does jobs; all of it is shared by the threads. ``retry_after``:
    seconds before a job is tried again that a fault of the storage kept from its end.
    """

    store: JobStore
    blobs: BlobStore
    pipelines: Loader
    batcher: Batcher
    leases: Leases
    slots: JobSlots
    max_attempts: int = 3
    retry_after: float = 15.0
    limits: ImageLimits = field(default_factory=ImageLimits)

    def run(self, held: Sequence[Held]) -> None:
        """Do claimed jobs. They share the thread and the round trips to the store, not their fate:
        each fails, is canceled and ends by itself.
        """
        group = _Group(self, held)
        try:
            group.run()
        except JobsError as error:
            ids = ", ".join(job.id for job, _ in held)
            log.warning("jobs %s left to the reconciler: %s", ids, error)
        finally:
            group.leave()

    def inputs(self, job: Job) -> dict[str, Image.Image]:
        """The job's uploads, decoded."""
        images = {}
        for spec in TASKS[job.task].images:
            decode = decode_mask if spec.kind == "mask" else decode_photo
            images[spec.name] = decode(
                self.blobs.get(job.inputs[spec.name]), spec.name, self.limits
            )
        return images

    def discard(self, job: Job, lease: Lease) -> None:
        """Erase this run's pictures: no record names them, and the job itself may be erased."""
        try:
            self.blobs.delete_prefix(output_prefix(job.id, lease.token))
        except BlobError as error:
            log.warning("job %s: pictures of a lost run are left behind: %s", job.id, error)


class _Group:
    """Jobs that one thread does, from their begin to their ends."""

    def __init__(self, runner: JobRunner, held: Sequence[Held]) -> None:
        self._runner, self._store, self._held = runner, runner.store, held
        self._coming = sum(job.pictures for job, _ in held)
        self._left = len(held)

    def run(self) -> None:
        """Begin all of them, then end each as it comes; ends that come together are told together,
        and leave their slots to the next.
        """
        runs = list(self._begun())
        self._give_back(len(self._held) - len(runs))
        for run in runs:
            run.prepare()
        self._arrived()
        ends: list[tuple[_Run, Outcome]] = []
        for run in runs:
            if ends and not run.ready():
                self._finish(ends)
                ends = []
            outcome = self._ended(run)
            if outcome:
                ends.append((run, outcome))
        self._finish(ends)

    def leave(self) -> None:
        """Whatever became of the jobs, they are held no more."""
        for _, lease in self._held:
            self._runner.leases.remove(lease)
        self._arrived()
        self._give_back(self._left)

    def _arrived(self) -> None:
        self._runner.batcher.arrived(self._coming)
        self._coming = 0

    def _give_back(self, jobs: int) -> None:
        self._left -= jobs
        self._runner.slots.give_back(jobs)

    def _begun(self) -> Iterator[_Run]:
        """Those that are still this worker's: from now on it is an attempt."""
        answers = self._store.begin_all([(lease.job_id, lease.token) for _, lease in self._held])
        for (job, lease), begun in zip(self._held, answers, strict=True):
            if isinstance(begun, Begun):
                now = {"attempts": begun.attempts, "started_at": begun.started_at}
                yield _Run(self._runner, job.model_copy(update=now), lease)
            elif begun is not None:
                log.warning("job %s left to the reconciler: %s", job.id, begun)

    def _ended(self, run: _Run) -> Outcome | None:
        """None for a job that stopped without an outcome."""
        job = run.job
        try:
            return run.end()
        except Stopped:
            self._stopped(run)
            return None
        except BlobMissing as error:
            return Outcome(error=failure_of(error), warnings=job.warnings)
        except BlobError as error:
            return self._storage_fault(run, error)
        except Exception:  # a fault of ours must not take the other jobs along
            log.exception("job %s left to the reconciler", job.id)
            return None

    def _storage_fault(self, run: _Run, error: BlobError) -> Outcome | None:
        """The job is tried again a while later, unless that has been done or can't help."""
        job, runner = run.job, self._runner
        log.warning("job %s: storage fault %d: %s", job.id, job.faults + 1, error)
        if job.faults + 1 < runner.max_attempts and not error.lasting:
            with self._unreached(job.id):
                self._store.release_all([(job.id, run.lease.token)], runner.retry_after)
            return None
        failure = Failure(code=ErrorCode.storage, detail=f"{error.reason} Try again later.")
        return Outcome(error=failure, warnings=job.warnings)

    def _stopped(self, run: _Run) -> None:
        if run.lease.canceled:
            with self._unreached(run.job.id):
                self._store.cancel_done(run.job.id, run.lease.token)
        self._runner.discard(run.job, run.lease)

    @contextmanager
    def _unreached(self, *job_ids: str) -> Iterator[None]:
        """What can't be told to the store is left to the reconciler: the leases run out."""
        try:
            yield
        except StoreError as error:
            log.warning("jobs %s left to the reconciler: %s", ", ".join(job_ids), error)

    def _finish(self, ends: Sequence[tuple[_Run, Outcome]]) -> None:
        if not ends:
            return
        with self._unreached(*(run.job.id for run, _ in ends)):
            endings = [(run.job.id, run.lease.token, outcome) for run, outcome in ends]
            for (run, _), answer in zip(ends, self._store.finish_all(endings), strict=True):
                self._check_finished(run, answer)
        self._give_back(len(ends))

    def _check_finished(self, run: _Run, answer: bool | StoreError) -> None:
        if isinstance(answer, StoreError):
            log.warning("job %s left to the reconciler: %s", run.job.id, answer)
        elif not answer:
            log.warning(
                "job %s: the lease was lost before the end; its outcome is dropped", run.job.id
            )
            self._runner.discard(run.job, run.lease)


@dataclass
class _Run:
    """One claimed job, in two halves: what leads to the networks, and what follows them."""

    runner: JobRunner
    job: Job
    lease: Lease
    started: float = field(default_factory=time.monotonic)
    _pictures: Pictures | None = None
    _error: Exception | None = None

    def prepare(self) -> None:
        """Read and prepare the job's pictures and put them in line; what fails is told in
        :meth:`end`.
        """
        try:
            self._pictures = self._prepared()
        except Exception as error:
            self._error = error

    def _prepared(self) -> Pictures:
        runner, job = self.runner, self.job
        request = TASKS[job.task].model_validate(job.request)
        pipeline = runner.pipelines.get(request.bundle or "", job.task, request.method or "")
        images = runner.inputs(job)
        pictures = Pictures(
            job, self.lease, pipeline, runner.batcher, runner.blobs, runner.store, request.format
        )
        pictures.begin([_frames(request, n, images) for n in range(request.count)])
        return pictures

    def ready(self) -> bool:
        """Whether :meth:`end` need not wait for the networks."""
        return self._pictures is None or self._pictures.ready()

    def end(self) -> Outcome:
        """Store the pictures once they are there. Raises BlobError, and Stopped."""
        job, pictures = self.job, self._pictures
        if pictures:
            return pictures.outcome(pictures.end(), self.started)
        error = self._error or RuntimeError("the job was not begun")
        if isinstance(error, BlobError):
            raise error
        # Every failure ends in the record, with its sentence.
        log.warning("job %s: %s", job.id, error, exc_info=error)
        return Outcome(error=failure_of(error), warnings=job.warnings)


def _frames(request: TaskRequest, index: int, images: dict[str, Image.Image]) -> list[Item]:
    """What the networks draw of picture ``index``: all frames of one seed."""
    seed = image_seed(request.seed or 0, index)
    chosen = {name: getattr(request, name) for name in request.serving}
    given = {name: value for name, value in chosen.items() if value is not None}
    return [
        Item(blend[0][0], seed, index, images, blend, request.explain, size=request.size, **given)
        for blend in request.shown
    ]
