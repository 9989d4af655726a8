"""``mmml batch``: a job for every row of a CSV file, taken up again where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mmml.cli.batch.journal import Journal, open_journal, write_results
from mmml.cli.batch.rows import FORMATS, Row, read_rows
from mmml.cli.batch.runner import Runner
from mmml.cli.context import CliContext, JsonCommand
from mmml.cli.exit_status import CommandError, ExitStatus
from mmml.tasks import tasks

_A_DAY = 24 * 3600.0  # seconds for which a job is waited for


@click.command(cls=JsonCommand)
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="folder"
)
@click.option("--task", type=click.Choice(list(tasks())), help="of all rows; else a column task")
@click.option("--format", "picture_format", type=click.Choice(FORMATS), default="png")
@click.option(
    "--concurrency",
    default=8,
    show_default=True,
    type=click.IntRange(1, 64),
    help="jobs under way at a time",
)
@click.option(
    "--retries",
    default=2,
    show_default=True,
    type=click.IntRange(0),
    help="further jobs for a row whose job failed by the service's fault",
)
@click.option(
    "--retry-for",
    "--patience",  # its name before
    "retry_for",
    default=300.0,
    show_default=True,
    type=click.FloatRange(0),
    help="seconds to try again while the service is busy or away",
)
@click.option("--check", is_flag=True, help="only check the file")
@click.pass_obj
def batch(
    run: CliContext,
    file: Path,
    output: Path,
    task: str | None,
    picture_format: str,
    concurrency: int,
    retries: int,
    retry_for: float,
    check: bool,
) -> None:
    """Run a job for every row of the CSV file FILE; pictures and results.csv go to a folder.

    Columns are a task's fields: text, seed, count, …, and image and mask with paths from the
    file's folder. Stopped, however it was, the same command goes on: no row is submitted twice.
    Rows that failed are tried again.
    """
    rows = read_rows(file, task)
    if check:
        run.print_result({"rows": len(rows)}, [f"{len(rows)} rows can be sent."])
        return
    with open_journal(output) as journal, run.connect(timeout=_A_DAY, retry_for=0) as client:
        client.models()  # a service that is not there is reported at once
        runner = Runner(client, journal, output, picture_format, concurrency, retries, retry_for)
        try:
            _run(runner, [row for row in rows if not journal.state(row).done], len(rows))
        except KeyboardInterrupt:
            click.echo("Stopped; the same command goes on.", err=True)
            raise
        finally:
            path = write_results(output, rows, journal)
        _summarize(run, rows, journal, path)


def _run(runner: Runner, rows: Sequence[Row], total: int) -> None:
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
            ExitStatus.failed,
            f"{len(failed)} rows failed; the first is row {first.number}: "
            f"{journal.state(first).error}",
        )
