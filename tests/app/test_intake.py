"""Jobs that arrive together: recorded together, sent in messages that are fit for one batch."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from app.intake import Intake
from app.problems import Problem
from app.queue import MemoryQueue, QueueError
from app.settings import GatewaySettings
from jobs.job import Job, new_id
from jobs.memory_store import MemoryJobStore


class Messages(MemoryQueue):
    """Remembers what was sent together."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, ...]] = []

    def publish(self, *job_ids: str) -> None:
        super().publish(*job_ids)
        self.messages.append(job_ids)


def a_job(count: int = 1, bundle: str = "aviary", **values: Any) -> Job:
    request = {"text": "a bird", "count": count, "bundle": bundle}
    return Job(id=new_id(), task="synthesize", created_at=time.time(), request=request, **values)


class Desk:
    """An intake over fakes."""

    def __init__(self, **settings: int) -> None:
        self.store = MemoryJobStore()
        self.queue: Messages = Messages()
        given = GatewaySettings(**settings)  # type: ignore[arg-type]
        self.intake = Intake(self.store, lambda: self.queue, lambda: given)

    def take(self, *jobs: Job) -> list[bool | BaseException]:
        async def run() -> list[bool | BaseException]:
            taken = (self.intake.take(job, None) for job in jobs)
            return await asyncio.gather(*taken, return_exceptions=True)

        return asyncio.run(run())

    def sizes(self) -> list[int]:
        return [len(message) for message in self.queue.messages]


def test_a_job_alone_is_recorded_and_sent() -> None:
    desk, job = Desk(), a_job()
    assert desk.take(job) == [True]
    assert desk.store.get(job.id) == job
    assert desk.queue.messages == [(job.id,)]


def test_jobs_of_one_moment_share_messages() -> None:
    desk = Desk()
    jobs = [a_job() for _ in range(20)]
    assert desk.take(*jobs) == [True] * 20
    assert desk.sizes() == [8, 8, 4]
    assert desk.queue.sent == [job.id for job in jobs]


def test_they_are_shared_out_among_the_workers() -> None:
    desk = Desk()
    for name in "abcd":
        desk.store.heartbeat(name, {}, 60)
    desk.take(*(a_job() for _ in range(8)))
    assert desk.sizes() == [2, 2, 2, 2]


def test_a_message_fits_into_half_of_the_smallest_worker() -> None:
    desk = Desk()
    for name, places in {"large": 16, "small": 6}.items():
        desk.store.heartbeat(name, {"concurrency": places}, 60)
    desk.take(*(a_job() for _ in range(12)))
    assert desk.sizes() == [3, 3, 3, 3]


def test_a_worker_of_one_place_gets_one_job_a_message() -> None:
    desk = Desk()
    desk.store.heartbeat("single", {"concurrency": 1}, 60)
    desk.take(a_job(), a_job())
    assert desk.sizes() == [1, 1]


def test_behind_others_a_job_waits_a_moment_for_company() -> None:
    desk = Desk()
    desk.take(a_job())  # nobody takes it: from now on there is a line
    desk.take(a_job())

    async def run() -> None:
        first = asyncio.create_task(desk.intake.take(a_job(), None))
        await asyncio.sleep(0.001)
        await asyncio.gather(first, desk.intake.take(a_job(), None))

    asyncio.run(run())
    assert desk.sizes() == [1, 1, 2]


def test_the_longer_the_line_the_longer_it_waits() -> None:
    desk = Desk()
    desk.take(*(a_job() for _ in range(32)))
    desk.take(a_job())  # sees them
    sent = desk.sizes()

    async def run() -> None:
        first = asyncio.create_task(desk.intake.take(a_job(), None))
        await asyncio.sleep(0.012)  # more than twice the least
        await asyncio.gather(first, desk.intake.take(a_job(), None))

    asyncio.run(run())
    assert desk.sizes() == [*sent, 2]


def test_only_what_one_batch_can_hold_goes_together() -> None:
    desk = Desk()
    photo = {"image": "jobs/x/in-image.png"}
    jobs = [a_job(), a_job(inputs=photo), a_job(inputs=photo), a_job(count=4), a_job(count=4)]
    desk.take(*jobs, a_job(), a_job(bundle="other"))
    assert sorted(desk.sizes()) == [1, 1, 1, 1, 1, 2]


def test_room_is_counted_for_each_of_them() -> None:
    desk = Desk(max_queue=3)
    answers = desk.take(*(a_job() for _ in range(5)))
    assert answers[:3] == [True] * 3
    refused = [answer for answer in answers[3:] if isinstance(answer, Problem)]
    assert [problem.status for problem in refused] == [503, 503]
    assert desk.store.depth() == 3


def test_a_job_that_exists_is_told_from_a_new_one() -> None:
    desk, job = Desk(), a_job()
    assert desk.take(job, job) == [True, False]
    assert desk.queue.sent == [job.id]


def test_an_accepted_job_needs_no_message() -> None:
    desk, job = Desk(), a_job()
    desk.queue.broken = True
    assert desk.take(job) == [True]
    assert desk.store.get(job.id) == job


def test_a_broker_that_hangs_is_asked_once() -> None:
    desk = Desk()
    asked: list[tuple[str, ...]] = []

    class Hanging(Messages):
        def publish(self, *job_ids: str) -> None:
            asked.append(job_ids)
            raise QueueError("the broker did not take the message")

    desk.queue = Hanging()
    assert desk.take(*(a_job(count=2) for _ in range(5))) == [True] * 5
    assert len(asked) == 1
