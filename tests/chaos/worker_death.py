"""kill -9 of a worker at each point of a job, and other ways in which it stops working."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from jobs.job import ErrorCode, Status
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import ends_of, leftovers, settled, submit
from tests.chaos.processes import wait_until
from tests.chaos.stack import LEASE, Stack, running

_JOBS = 12
_SUSPECTS = 32
_BACK = LEASE + 30.0  # seconds
_STUCK = 6.0  # seconds that a forward pass may take on this stack
_KILL_BAR = "0 lost, 0 duplicated results, done ≤ lease + 30 s"


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick, MMML_STUCK_AFTER=str(_STUCK))


def killed_at(point: str) -> Callable[[Stack], Finding]:
    """The worker dies at that point of the first job that comes there, while it holds others."""

    def trial(stack: Stack) -> Finding:
        stack.ready()
        deaths = stack.workers[0].starts
        stack.strikes.arm(point)
        jobs = submit(stack, *["a bird"] * _JOBS)
        wait_until(lambda: not stack.strikes.armed(point), 60, f"the death at {point}")
        struck = time.time()
        found = settled(stack, jobs, struck, _BACK + 15)
        broken = [] if stack.workers[0].starts > deaths else ["the worker did not die"]
        attempts = {job.attempts for job in map(stack.store.get, jobs) if job}
        if point == "claim" and attempts != {1}:
            broken.append(f"jobs that were never begun count {attempts} attempts")
        return found.but(*broken)

    return trial


def answer_cut(stack: Stack) -> Finding:
    """The store gives the worker jobs, but the worker never hears of it."""
    stack.ready()
    stack.strikes.arm("claim-answer")
    jobs = submit(stack, *["a bird"] * _JOBS)
    found = settled(stack, jobs, time.time(), LEASE)
    attempts = {job.attempts for job in map(stack.store.get, jobs) if job}
    return found if attempts == {1} else found.but(f"{attempts} attempts were counted")


def suspects_beside_others(stack: Stack) -> Finding:
    """The worker dies over 32 jobs, which then run alone; fresh ones are done all the while."""
    stack.ready()
    suspects = submit(stack, *["a bird slow"] * _SUSPECTS)
    wait_until(lambda: _running(stack, suspects), 30, "jobs running")
    stack.workers[0].kill()
    struck = time.time()
    wait_until(lambda: _attempts(stack, suspects) >= 2, _BACK, "the first suspect's second run")
    waits = []
    for _ in range(5):
        (fresh,) = submit(stack, "a bird")
        began = time.monotonic()
        ends_of(stack, [fresh], 30)
        waits.append(time.monotonic() - began)
        suspects.append(fresh)
    found = settled(stack, suspects, struck, 2 * _BACK)
    note = f"slowest fresh job {max(waits):.1f} s"
    return found.but(*([note] if max(waits) > 5 else []), notes=[note])


def draining_wakeup(stack: Stack) -> Finding:
    """A worker that is asked to end takes a wake-up: another one does the jobs."""
    stack.ready()
    first, second = stack.workers[0], stack.add_worker()
    try:
        stack.all_ready()
        long = submit(stack, *["a bird wait"] * 2)
        wait_until(lambda: _running(stack, long), 30, "jobs running")
        first.send(signal.SIGTERM)
        jobs = submit(stack, *["a bird"] * _JOBS)
        return settled(stack, long + jobs, time.time(), 15)
    finally:
        second.terminate(30)
        stack.remove(second)
        stack.ready()


def crashing_input(stack: Stack) -> Finding:
    """Sixteen jobs are held by one worker, and one of them kills it whenever it is run."""
    stack.ready()
    stack.strikes.forget()
    plug = submit(stack, "wait")
    wait_until(lambda: stack.store.load().waiting == 0, 30, "the first job being taken")
    texts = ["a bird"] * 15
    jobs = submit(stack, *texts[:7], "a bird die", *texts[7:])
    struck = time.time()
    culprit = jobs[7]
    found = settled(stack, plug + jobs, struck, 150, failing=[culprit])
    deaths = stack.strikes.notes("deaths")
    job = stack.store.get(culprit)
    broken = []
    if not job or not job.error or job.error.code is not ErrorCode.lost:
        broken.append(f"the culprit did not fail as lost: {job and job.error}")
    if deaths[-3:] != [1, 1, 1] or len(deaths) > 4:
        broken.append(f"the culprit ran in batches of {deaths}, not three times alone")
    return found.but(*broken, notes=[f"the culprit ended the worker {len(deaths)} times"])


def hanging(stack: Stack) -> Finding:
    """One forward pass never ends; the watchdog must end the process."""
    stack.ready()
    deaths = stack.workers[0].starts
    stack.strikes.arm("hang")
    jobs = submit(stack, *["a bird"] * _JOBS)
    wait_until(lambda: not stack.strikes.armed("hang"), 60, "the hang")
    struck = time.time()
    found = settled(stack, jobs, struck, _STUCK + _BACK + 30)
    ended = stack.workers[0].starts > deaths
    return found if ended else found.but("the watchdog did not end the worker")


def paused(stack: Stack) -> Finding:
    """A worker stands still for longer than its lease, another takes its jobs over, and then it
    goes on.
    """
    stack.ready()
    first = stack.workers[0]
    jobs = submit(stack, *["a bird slow"] * 4, *["a bird wait"] * 2)
    wait_until(lambda: _running(stack, jobs), 30, "jobs running")
    first.send(signal.SIGSTOP)
    struck = time.time()
    second = stack.add_worker()
    try:
        ends, _ = ends_of(stack, jobs, _BACK + 30)
        first.send(signal.SIGCONT)
        time.sleep(2)  # in which it may do damage
        found = settled(stack, jobs, struck, _BACK + 45)
    finally:
        first.send(signal.SIGCONT)
        second.terminate(30)
        stack.remove(second)
    left = leftovers(stack, ends)
    return found.but(*([f"{left} sets of pictures were left behind"] if left else []))


def _attempts(stack: Stack, jobs: list[str]) -> int:
    """The most of any job."""
    return max(job.attempts for job in map(stack.store.get, jobs) if job)


def _running(stack: Stack, jobs: list[str]) -> bool:
    found = [stack.store.get(job) for job in jobs]
    return any(job and job.status is Status.running for job in found)


def _killed(point: str) -> Family[Stack]:
    """On a service of its own: most of its time is spent waiting, so these run side by side."""
    name = f"kill -9 worker: {point.replace('-', ' ')}"
    fault = Fault(name, _KILL_BAR, killed_at(point), _BACK, runs=20)
    return Family(f"worker killed {point}", opened, [fault])


FAMILIES = (
    *map(_killed, ("claim", "begin", "in-model", "before-store", "after-finish")),
    Family(
        "worker crashed or stuck",
        opened,
        [
            Fault(
                "input that crashes the process, among 15 innocent jobs",
                "the innocents succeed, the culprit fails after three lone attempts",
                crashing_input,
                runs=3,
            ),
            Fault("a claim's answer cut", "0 lost, one attempt", answer_cut, LEASE, runs=3),
            Fault(
                "32 suspects beside fresh jobs",
                "all succeed, no fresh job waits for 5 s",
                suspects_beside_others,
                2 * _BACK,
                runs=2,
            ),
            Fault(
                "wake-up taken by a draining worker",
                "0 lost, done by another",
                draining_wakeup,
                15,
                runs=3,
            ),
            Fault(
                "worker hangs in the model",
                "watchdog ends it, job retried, others served",
                hanging,
                _STUCK + _BACK + 15,
                runs=5,
            ),
            Fault(
                "worker paused for longer than its lease",
                "another takes over; 0 lost, 0 duplicated, nothing left behind",
                paused,
                _BACK + 15,
                runs=3,
            ),
        ],
    ),
)
