"""``mmml batch``: a job for every row of a CSV file, taken up again where it was stopped."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

from mmml import Busy, Client, Job, MmmlError, StillRunning
from mmml.cli.batch.journal import Journal, open_journal, write_results
from mmml.cli.batch.rows import FORMATS, Row, read_rows
from mmml.cli.context import CliContext, CommandError, ExitStatus, exit_status
from mmml.operations import RetryPolicy
from mmml.tasks import tasks

T = TypeVar("T")
_DELAY = 1.0  # seconds before a row has another job
_TRANSIENT = ("lost", "storage", "out_of_memory", "expired", "internal")  # another job may succeed
_GONE = (404, 410)  # the job that an earlier run made was deleted since
_POSTPONED = (Busy, StillRunning)  # nothing is lost: the next run goes on with the row
_FATAL = (ExitStatus.no_service, ExitStatus.denied)  # what one row meets, the others would meet too


class BatchStopped(Exception):
    """The batch is to end; the row stays as it is."""


@dataclass
class BatchRunner:
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
            ends = {pool.submit(self._run_row, row): row for row in rows}
            try:
                for end in as_completed(ends):
                    end.result()
                    on_end(ends[end])
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def _run_row(self, row: Row) -> None:
        for _ in range(self.retries + 1):
            try:
                self._attempt(row)
            except BatchStopped:
                return
            except MmmlError as error:
                if not self._should_retry(row, error):
                    return
            except OSError:  # a full disk, for the other rows, too
                self._stop.set()
                raise
            else:
                return

    def _should_retry(self, row: Row, error: MmmlError) -> bool:
        """Record the row's error; whether another job may help. Raises what ends the batch."""
        if exit_status(error) in _FATAL:
            self._stop.set()
            raise error
        if isinstance(error, _POSTPONED):
            self.journal.record(row, status="waiting", error=str(error))
            return False
        self.journal.record_failure(row, str(error))
        helps = error.code in _TRANSIENT or error.status in _GONE
        return helps and not self._stop.wait(_DELAY)

    def _attempt(self, row: Row) -> None:
        retries = RetryPolicy(self.retry_for)

        def on_change(_record: object) -> None:
            self._check()
            retries.reset()

        job = self._retry(retries, lambda: self._job(row))
        self.journal.record(row, job=job.id, status="submitted", error="")
        self._retry(retries, lambda: job.wait(on_change))
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

    def _check(self) -> None:
        if self._stop.is_set():
            raise BatchStopped

    def _retry(self, retries: RetryPolicy, step: Callable[[], T]) -> T:
        """``step``, again while the service is away or busy."""
        while True:
            self._check()
            try:
                return step()
            except MmmlError as error:
                self._stop.wait(retries.delay_after(error))


_SHOWN = 10  # mistakes of a file that was to be sent; --check shows all
_A_DAY = 24 * 3600.0  # seconds for which a job is waited for


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="folder for images and results.csv; needed unless --check is given",
)
@click.option(
    "--task", type=click.Choice(list(tasks())), help="task of all rows, instead of a column task"
)
@click.option(
    "--format",
    "picture_format",
    type=click.Choice(FORMATS),
    default="png",
    help="of rows that name none",
)
@click.option(
    "--concurrency", default=8, type=click.IntRange(1, 64), help="jobs that run at a time"
)
@click.option(
    "--retries",
    default=2,
    type=click.IntRange(0),
    help="further jobs for a row whose job failed by a fault of the service",
)
@click.option(
    "--retry-for",
    "--patience",  # its name before
    "retry_for",
    default=300.0,
    type=click.FloatRange(0),
    help="seconds to retry while the service is busy or unreachable",
)
@click.option("--check", is_flag=True, help="report every row that can't be sent, and send none")
@click.pass_obj
def batch(
    run: CliContext,
    file: Path,
    output: Path | None,
    task: str | None,
    picture_format: str,
    concurrency: int,
    retries: int,
    retry_for: float,
    check: bool,
) -> None:
    """Run a job for every row of a CSV file.

    FILE has a column for each field that is used: text, seed, count, …, and image and mask with
    paths relative to the folder of FILE. If the command is stopped, the same command continues: no
    row is submitted twice, and rows that failed are retried.
    """
    rows = read_rows(file, task, None if check else _SHOWN)
    if check:
        run.print_result({"rows": len(rows)}, [f"Rows that can be sent: {len(rows)}"])
        return
    if output is None:
        raise click.UsageError("Name a folder for the images: -o FOLDER.")
    with open_journal(output) as journal, run.connect(timeout=_A_DAY, retry_for=0) as client:
        client.models()  # a service that is not there is reported at once
        runner = BatchRunner(
            client, journal, output, picture_format, concurrency, retries, retry_for
        )
        try:
            _run(runner, [row for row in rows if not journal.state(row).done], len(rows))
        except KeyboardInterrupt:
            click.echo("Stopped; the same command goes on.", err=True)
            raise
        finally:
            path = write_results(output, rows, journal)
        _summarize(run, rows, journal, path)


def _run(runner: BatchRunner, rows: Sequence[Row], total: int) -> None:
    with click.progressbar(length=total, label="rows", file=sys.stderr, show_pos=True) as bar:
        bar.update(total - len(rows))
        runner.run(rows, lambda _row: bar.update(1))


def _summarize(run: CliContext, rows: Sequence[Row], journal: Journal, path: Path) -> None:
    failed = [row for row in rows if not journal.state(row).done]
    summary = {"rows": len(rows), "failed": len(failed), "results": str(path)}
    run.print_result(
        summary, [f"{len(rows) - len(failed)} of {len(rows)} rows have pictures: {path}"]
    )
    if failed:
        first = failed[0]
        raise CommandError(
            f"{len(failed)} rows failed; the first is row {first.number}: "
            f"{journal.state(first).error}",
            ExitStatus.failed if len(failed) == len(rows) else ExitStatus.partial,
        )
