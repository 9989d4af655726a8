"""Rows into jobs, some at a time; each is submitted once, waited for and saved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from app.cli.batch.journal import Journal
from app.cli.batch.rows import Row
from app.cli.exits import Exit, exit_of
from app.client import Busy, Client, Job, MmmlError, StillRunning, Unreachable

T = TypeVar("T")
_PAUSE = 1.0, 30.0  # seconds before a request is tried again, when the service does not say
_MOMENTARY = ("lost", "storage", "out_of_memory", "expired", "internal")  # another job may succeed
_GONE = (404, 410)  # the job that an earlier run made was deleted since
_LATER = (Busy, StillRunning)  # nothing is lost: the next run goes on with the row
_ENDS_ALL = (Exit.no_service, Exit.denied)  # what one row meets, the others would meet too


class Stopped(Exception):
    """The batch is to end; the row stays as it is."""


@dataclass
class Runner:
    """Sends rows through ``client``. ``patience``: seconds for which a row is tried again while the
    service is away or busy; ``retries``: further jobs for a row whose job failed of something
    momentary.
    """

    client: Client
    journal: Journal
    folder: Path
    picture_format: str = "png"
    concurrency: int = 4
    retries: int = 2
    patience: float = 300.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, rows: Sequence[Row], on_end: Callable[[Row], None]) -> None:
        """Every row to its end, unless something ends them all: no service, a key that may not do
        this, a full disk (MmmlError, OSError), or Ctrl-C. Jobs under way go on.
        """
        with ThreadPoolExecutor(self.concurrency, "batch") as pool:
            try:
                for row in self._ended(pool, rows):
                    on_end(row)
            finally:
                self._stop.set()

    def _ended(self, pool: ThreadPoolExecutor, rows: Sequence[Row]) -> Iterator[Row]:
        """Rows as they end; no more are begun than are under way."""
        waiting, going = list(reversed(rows)), dict[Future[None], Row]()
        while waiting or going:
            while waiting and len(going) < self.concurrency:
                row = waiting.pop()
                going[pool.submit(self._row, row)] = row
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                row = going.pop(future)
                future.result()
                yield row

    def _row(self, row: Row) -> None:
        for _ in range(self.retries + 1):
            try:
                self._attempt(row)
            except Stopped:
                return
            except MmmlError as error:
                if not self._try_again(row, error):
                    return
            else:
                return

    def _try_again(self, row: Row, error: MmmlError) -> bool:
        """Write down what the row met; whether another job may help. Raises what ends them all."""
        if exit_of(error) in _ENDS_ALL:
            raise error
        if isinstance(error, _LATER):
            self.journal.record(row, status="waiting", error=str(error))
            return False
        self.journal.give_up(row, "failed", str(error))
        helps = error.code in _MOMENTARY or error.status in _GONE
        return helps and not self._stop.wait(_PAUSE[0])

    def _attempt(self, row: Row) -> None:
        job = self._patiently(lambda: self._job(row))
        self.journal.record(row, job=job.id, status="submitted", error="")
        self._patiently(lambda: job.wait(self._check))
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
        known = self.journal.state(row).job
        if known:
            return self.client.job(known)
        fields = {k: v for k, v in row.fields.items() if k != "text"}
        fields.setdefault("format", self.picture_format)
        fields["idempotency_key"] = self.journal.key(row)
        return self.client.submit_task(row.task, row.fields["text"], row.images, **fields)

    def _target(self, row: Row) -> Path:
        made = row.fields.get("format", self.picture_format)
        suffix = {"jpeg": "jpg"}.get(made, made)
        return self.folder / f"{self.journal.stem(row)}.{suffix}"

    def _check(self, _record: object) -> None:
        if self._stop.is_set():
            raise Stopped

    def _patiently(self, step: Callable[[], T]) -> T:
        """``step``, again while the service is away or busy."""
        deadline, pause = time.monotonic() + self.patience, _PAUSE[0]
        while True:
            self._check(None)
            try:
                return step()
            except (Busy, Unreachable) as error:
                seconds = error.retry_after or pause
                if time.monotonic() + seconds > deadline:
                    raise
                self._stop.wait(seconds)
                pause = min(2 * pause, _PAUSE[1])
