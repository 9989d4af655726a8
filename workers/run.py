"""Jobs from claim to outcome, in a task thread: read, prepare, hand to the networks, finish,
store.

Jobs that came in one message share the thread and the round trips to the store, not their fate:
each is claimed, failed, canceled and ended by itself.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from PIL import Image

from jobs.blobs import BlobStore, output_prefix
from jobs.errors import BlobError, BlobMissing, StoreError
from jobs.images import ImageLimits, decode_photo
from jobs.job import ErrorCode, Failure, Job, image_seed
from jobs.masks import decode_mask
from jobs.requests import TASKS, TaskRequest
from jobs.store import JobStore, Outcome
from models.item import Item
from workers.alone import SharedOrAlone
from workers.batcher import Batcher
from workers.failures import failure_of
from workers.hands import Hands, Taken
from workers.lease import Lease, Leases
from workers.loader import Loader
from workers.pictures import Pictures, Stopped

log = logging.getLogger(__name__)


class _Draining(Exception):
    """The process is asked to end and claims nothing any more."""


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
    concurrency: int = 32
    _gate: SharedOrAlone = field(default_factory=SharedOrAlone, repr=False)
    _hands: Hands = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._hands = Hands(self.concurrency)

    def run(self, *job_ids: str) -> bool:
        """Do those of the jobs that can be claimed. False when some are to be done elsewhere,
        because this process is asked to end, or when none was claimed: each is final, or somebody
        holds it.

        The steward watches every unfinished job, so nothing is lost when a message is dropped here.
        """
        left, claimed = list(job_ids), False
        try:
            while left:
                with self._hands.taken(len(left)) as taken:
                    now, left = left[: taken.count], left[taken.count :]
                    claimed = self._together(now, taken) or claimed
        except _Draining:
            return False
        return claimed

    def _together(self, job_ids: Sequence[str], taken: Taken) -> bool:
        """Jobs that were never claimed before share all they can: one claim, batches, one end."""
        with self._gate.shared(), ExitStack() as held:
            # Registered before they are claimed, so that whoever hands jobs back misses none.
            leases = [held.enter_context(self._lease(job_id)) for job_id in job_ids]
            found = self._claimed(leases)
            jobs = [(job, lease) for job, lease in zip(found, leases, strict=True) if job]
            self._settle(jobs, taken)
        others = [i for i, job in zip(job_ids, found, strict=True) if not job]
        alone = [self._alone(job_id, taken) for job_id in others]
        return any([len(others) < len(job_ids), *alone])

    def _lease(self, job_id: str) -> AbstractContextManager[Lease]:
        return self.leases.hold(job_id, secrets.token_hex(8))

    def _claimed(self, leases: Sequence[Lease]) -> list[Job | None]:
        if self.draining:
            raise _Draining
        wanted = [(lease.job_id, lease.token) for lease in leases]
        answers = self.store.start_fresh(wanted, self.lease_ttl)
        for lease, answer in zip(leases, answers, strict=True):
            lease.claimed = True
            if isinstance(answer, StoreError):
                log.warning("job %s left to the steward: %s", lease.job_id, answer)
        return [answer if isinstance(answer, Job) else None for answer in answers]

    def _alone(self, job_id: str, taken: Taken) -> bool:
        """A job that was claimed before may have ended a worker: from then on it runs alone, and
        is claimed only when it does, so that no innocent job is held while it runs.
        """
        job = self.store.get(job_id)
        if job is None or job.status.final or not job.attempts:
            return False
        with self._gate.alone(), self._lease(job_id) as lease:
            if self.draining:  # it was asked to end while this job waited to be alone
                raise _Draining
            claimed = self.store.start(job_id, lease.token, self.lease_ttl)
            lease.claimed = True
            self._settle([(claimed, lease)] if claimed else [], taken)
        return claimed is not None

    def _settle(self, jobs: Sequence[tuple[Job, Lease]], taken: Taken) -> None:
        """Begin all of them, then end each as it comes; ends that come together are told
        together, and leave their hands to the next.
        """
        with self.batcher.coming():
            runs = [_Run(self, job, lease) for job, lease in jobs]
            for run in runs:
                run.begin()
        ends: list[tuple[_Run, Outcome]] = []
        for run in runs:
            if ends and not run.ready():
                self._finish(ends)
                taken.give_back(len(ends))
                ends = []
            outcome = self._ended(run)
            if outcome:
                ends.append((run, outcome))
        self._finish(ends)

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
            log.warning("job %s: storage fault in attempt %d: %s", job.id, job.attempts, error)
            if job.attempts < self.max_attempts and not error.lasting:
                return None  # the lease runs out and the steward sends the job again
            failure = Failure(code=ErrorCode.storage, detail=f"{error.reason} Try again later.")
            return Outcome(error=failure, warnings=job.warnings)
        except Exception:  # a fault of ours must not take the other jobs along
            log.exception("job %s left to the steward", job.id)
            return None

    def _stopped(self, run: _Run) -> None:
        if run.lease.canceled:
            with self._unreached(run.job.id):
                self.store.cancel_done(run.job.id, run.lease.token)
        self._discard(run.job, run.lease)

    @contextmanager
    def _unreached(self, *job_ids: str) -> Iterator[None]:
        """What can't be told to the store is left to the steward: the leases run out."""
        try:
            yield
        except StoreError as error:
            log.warning("jobs %s left to the steward: %s", ", ".join(job_ids), error)

    def _finish(self, ends: Sequence[tuple[_Run, Outcome]]) -> None:
        if ends:
            with self._unreached(*(run.job.id for run, _ in ends)):
                endings = [(run.job.id, run.lease.token, outcome) for run, outcome in ends]
                for (run, _), answer in zip(ends, self.store.finish_all(endings), strict=True):
                    self._check_told(run, answer)

    def _check_told(self, run: _Run, answer: bool | StoreError) -> None:
        if isinstance(answer, StoreError):
            log.warning("job %s left to the steward: %s", run.job.id, answer)
        elif not answer:
            log.warning(
                "job %s: the lease was lost before the end; its outcome is dropped", run.job.id
            )
            self._discard(run.job, run.lease)

    def _discard(self, job: Job, lease: Lease) -> None:
        """Erase this run's pictures: no record names them, and the job itself may be erased."""
        try:
            self.blobs.delete_prefix(output_prefix(job.id, lease.token))
        except BlobError as error:
            log.warning("job %s: pictures of a lost run are left behind: %s", job.id, error)

    def inputs(self, job: Job) -> dict[str, Image.Image]:
        """The job's uploads, decoded."""
        images = {}
        for spec in TASKS[job.task].images:
            decode = decode_mask if spec.kind == "mask" else decode_photo
            images[spec.name] = decode(
                self.blobs.get(job.inputs[spec.name]), spec.name, self.limits
            )
        return images


@dataclass
class _Run:
    """One claimed job, in two halves: what leads to the networks, and what follows them."""

    runner: JobRunner
    job: Job
    lease: Lease
    started: float = field(default_factory=time.time)
    _pictures: Pictures | None = None
    _error: Exception | None = None

    def begin(self) -> None:
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
        with runner.batcher.coming():
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
