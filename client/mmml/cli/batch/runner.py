"""Rows into jobs, some at a time; each is submitted once, waited for and saved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mmml import Busy, Client, Job, MmmlError, StillRunning, Unreachable
from mmml.cli.batch.journal import Journal
from mmml.cli.batch.rows import Row
from mmml.cli.exit_status import ExitStatus, exit_status

T = TypeVar("T")
_DELAY = 1.0, 30.0  # seconds before a request is tried again, when the service does not say
_TRANSIENT = ("lost", "storage", "out_of_memory", "expired", "internal")  # another job may succeed
_GONE = (404, 410)  # the job that an earlier run made was deleted since
_POSTPONED = (Busy, StillRunning)  # nothing is lost: the next run goes on with the row
_FATAL = (ExitStatus.no_service, ExitStatus.denied)  # what one row meets, the others would meet too


class BatchStopped(Exception):
    """The batch is to end; the row stays as it is."""


@dataclass
class Runner:
    """Sends rows through ``client``. ``retry_for``: seconds for which a row is tried again while
    the service is away or busy; ``retries``: further jobs for a row whose job failed for a
    transient reason.
    """

    client: Client
    journal: Journal
    folder: Path
    picture_format: str = "png"
    concurrency: int = 4
    retries: int = 2
    retry_for: float = 300.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, rows: Sequence[Row], on_end: Callable[[Row], None]) -> None:
        """Every row to its end, unless something ends them all: no service, a key that may not do
        this, a full disk (MmmlError, OSError), or Ctrl-C. Jobs under way go on.
        """
        with ThreadPoolExecutor(self.concurrency, "batch") as pool:
            try:
                for row in self._finish_rows(pool, rows):
                    on_end(row)
            finally:
                self._stop.set()

    def _finish_rows(self, pool: ThreadPoolExecutor, rows: Sequence[Row]) -> Iterator[Row]:
        """Rows as they end; no more are begun than are under way."""
        waiting, running = list(reversed(rows)), dict[Future[None], Row]()
        while waiting or running:
            while waiting and len(running) < self.concurrency:
                row = waiting.pop()
                running[pool.submit(self._run_row, row)] = row
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                row = running.pop(future)
                future.result()
                yield row

    def _run_row(self, row: Row) -> None:
        for _ in range(self.retries + 1):
            try:
                self._attempt(row)
            except BatchStopped:
                return
            except MmmlError as error:
                if not self._should_retry(row, error):
                    return
            else:
                return

    def _should_retry(self, row: Row, error: MmmlError) -> bool:
        """Record the row's error; whether another job may help. Raises what ends the batch."""
        if exit_status(error) in _FATAL:
            raise error
        if isinstance(error, _POSTPONED):
            self.journal.record(row, status="waiting", error=str(error))
            return False
        self.journal.record_failure(row, str(error))
        helps = error.code in _TRANSIENT or error.status in _GONE
        return helps and not self._stop.wait(_DELAY[0])

    def _attempt(self, row: Row) -> None:
        job = self._retry(lambda: self._job(row))
        self.journal.record(row, job=job.id, status="submitted", error="")
        self._retry(lambda: job.wait(self._check))
        files = job.save(self._target(row))
        self.journal.record(
            row,
            status="succeeded",
            seed=job.seed,
            files=[path.name for path in files],
            warnings=job.warnings,
            error="",
        )

    def _job(self, row: Row) -> Job:
        earlier = self.journal.state(row).job
        if earlier:
            return self.client.job(earlier)
        fields = {k: v for k, v in row.fields.items() if k != "text"}
        fields.setdefault("format", self.picture_format)
        fields["idempotency_key"] = self.journal.key(row)
        return self.client.submit_task(row.task, row.fields["text"], row.images, **fields)

    def _target(self, row: Row) -> Path:
        format = row.fields.get("format", self.picture_format)
        suffix = {"jpeg": "jpg"}.get(format, format)
        return self.folder / f"{self.journal.stem(row)}.{suffix}"

    def _check(self, _record: object) -> None:
        if self._stop.is_set():
            raise BatchStopped

    def _retry(self, step: Callable[[], T]) -> T:
        """``step``, again while the service is away or busy."""
        deadline, delay = time.monotonic() + self.retry_for, _DELAY[0]
        while True:
            self._check(None)
            try:
                return step()
            except (Busy, Unreachable) as error:
                seconds = error.retry_after or delay
                if time.monotonic() + seconds > deadline:
                    raise
                self._stop.wait(seconds)
                delay = min(2 * delay, _DELAY[1])
