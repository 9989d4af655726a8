"""Wake-ups that get lost, clocks that are wrong, and reconcilers that die."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from app.gateway.api_keys import KeyStore, default_scopes, generate_key, new_api_key
from jobs.connections import connect, wakeups_key
from jobs.job import Status
from tests.chaos.batches import FAULTS as BATCHES
from tests.chaos.clocks import VARIABLE as CLOCK
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import post, settled, submit
from tests.chaos.processes import wait_until
from tests.chaos.stack import LEASE, Stack, running

_JOBS = 16
_SOON = 15.0  # seconds
_BACK = LEASE + 30.0  # seconds
_BAR = "0 lost, 0 duplicated"


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick)


class Thief:
    """Takes wake-ups before the worker does, and drops them."""

    def __init__(self, url: str) -> None:
        self.stolen = 0
        self._url, self._stop = url, threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(5)

    def _loop(self) -> None:
        client = connect(self._url)
        while not self._stop.is_set():
            if client.brpop([wakeups_key("mmml:")], timeout=1):
                self.stolen += 1
        client.close()


def wakeup_lost(stack: Stack) -> Finding:
    """Wake-ups vanish between broker and worker: it looks for itself every second."""
    stack.ready()
    thief = Thief(stack.redis_url)
    struck = time.time()
    jobs: list[str] = []
    with thief.at_work():
        while not thief.stolen or len(jobs) < _JOBS:
            jobs += submit(stack, *["a bird"] * 4)
            time.sleep(0.3)  # nobody waits any more, so the next are announced
            assert len(jobs) < 40 * _JOBS, "no wake-up could be stolen"
        return settled(stack, jobs, struck, _SOON)


def all_wakeups_lost(stack: Stack) -> Finding:
    """Celery's list is deleted while the worker can't read it."""
    stack.ready()
    worker = stack.workers[0]
    worker.send(signal.SIGSTOP)
    try:
        for client in stack.client.client_list():
            if client["cmd"] == "brpop":  # the worker's: it would still be given the first
                stack.client.client_kill_filter(_id=client["id"])
        jobs = submit(stack, *["a bird"] * _JOBS)
        deleted = stack.client.delete(wakeups_key("mmml:"))
    finally:
        worker.send(signal.SIGCONT)
    found = settled(stack, jobs, time.time(), _SOON)
    return found if deleted else found.but("there was no wake-up to delete")


def reconciler_killed(stack: Stack) -> Finding:
    """The reconciler dies again and again, in the seconds in which it is needed."""
    stack.ready()
    struck = time.time()
    jobs = submit(stack, *["a bird slow"] * _JOBS)
    stack.workers[0].kill()
    reconciler = stack.reconcilers[0]
    for pause in (0.0, LEASE - 1, 2.0):
        time.sleep(pause)
        reconciler.kill()
    return settled(stack, jobs, struck, _BACK + 15)


def two_reconcilers(stack: Stack) -> Finding:
    """Both find what lost its worker."""
    stack.ready()
    second = stack.add_reconciler()
    try:
        struck = time.time()
        jobs = submit(stack, *["a bird slow"] * _JOBS)
        stack.workers[0].kill()
        return settled(stack, jobs, struck, _BACK + 15)
    finally:
        stack.remove(second)


def gateway_killed(stack: Stack) -> Finding:
    """The gateway dies between a job's record and its wake-up, its client unanswered; the client
    asks again.
    """
    stack.ready()
    stack.strikes.arm("before-wakeup")
    struck = time.time()
    with httpx.Client(timeout=30) as http:
        first = post(http, stack.urls[0], "k" + str(struck), text="a bird")
        wait_until(lambda: not stack.strikes.armed("before-wakeup"), 10, "the gateway's death")
        stack.ready()
        again = post(http, stack.urls[0], "k" + str(struck), text="a bird")
    found = settled(stack, [again.job], struck, _BACK, created_since=struck)
    ok = first.status == 0 and again.accepted
    return found if ok else found.but(f"answers {first} and {again}")


def wrong_clocks(stack: Stack) -> Finding:
    """Every time in a record is the store's, so nothing is late, and no result is too old."""
    stack.ready()
    gateway = stack.add_gateway(**{CLOCK: str(2 * 3600)})
    reconciler = stack.add_reconciler(**{CLOCK: str(25 * 3600)})
    try:
        stack.ready()
        jobs = submit(stack, *["a bird"] * _JOBS)
        with httpx.Client(timeout=30) as http:
            answers = [post(http, stack.urls[-1], text="a bird") for _ in range(_JOBS)]
        jobs += [answer.job for answer in answers if answer.accepted]
        found = settled(stack, jobs, time.time(), _SOON)
        time.sleep(5)  # two rounds of the reconciler
        records = [stack.store.get(job) for job in jobs]
        erased = sum(record is None or record.status is Status.expired for record in records)
    finally:
        stack.urls.pop()
        stack.remove(gateway)
        stack.remove(reconciler)
    broken = [f"{erased} results were erased"] if erased else []
    if len(jobs) < 2 * _JOBS:
        broken.append("the gateway with the wrong clock refused jobs")
    return found.but(*broken)


def owner_at_its_cap(stack: Stack) -> Finding:
    """A key that may have two jobs running has many; its worker dies; all are done, and never are
    more than two under way.
    """
    stack.ready()
    keys, text = KeyStore(stack.client), generate_key()
    keys.add(new_api_key(text, "capped", default_scopes(), max_running=2))
    most = 0
    try:
        time.sleep(3)  # until the gateway has seen that it needs keys now
        with httpx.Client(timeout=30, headers={"Authorization": f"Bearer {text}"}) as http:
            jobs = [post(http, stack.urls[0], text="a bird slow").job for _ in range(_JOBS)]
        stack.workers[0].kill()
        struck = time.time()
        while stack.store.load().waiting and time.time() < struck + _BACK:
            held = sum(bool(j and j.status is Status.running) for j in map(stack.store.get, jobs))
            most = max(most, held)
            time.sleep(0.1)
        found = settled(stack, jobs, struck, _BACK + 15)
    finally:
        for key in keys.all():
            keys.remove(key.id)
        time.sleep(3)
    # Those of the dead worker are suspects: they look as if they ran, and are no burden to others.
    return found if most <= 4 else found.but(f"{most} jobs were under way")


FAMILY = Family(
    "messages",
    opened,
    [
        Fault("wake-up lost between broker and worker", _BAR, wakeup_lost, _SOON, runs=10),
        Fault("all wake-ups lost", _BAR, all_wakeups_lost, _SOON, runs=5),
        Fault("reconciler killed", _BAR, reconciler_killed, _BACK + 15, runs=5),
        Fault("two reconcilers at once", _BAR, two_reconcilers, _BACK + 15, runs=5),
        Fault(
            "gateway killed between job record and wake-up",
            "done on recovery or reported failed; never queued for ever",
            gateway_killed,
            _BACK,
            runs=10,
        ),
        Fault(
            "clocks off: a gateway by 2 h, a reconciler by 25 h",
            "0 lost, 0 erased",
            wrong_clocks,
            _SOON,
            runs=2,
        ),
        Fault("an owner at its cap", _BAR, owner_at_its_cap, _BACK + 15, runs=2),
        *BATCHES,
    ],
)
