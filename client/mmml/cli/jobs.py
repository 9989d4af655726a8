"""Commands about jobs: list, look at, wait for, download, follow, cancel, delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mmml.cli.context import CliContext, json_line
from mmml.cli.output import (
    default_output,
    deliver,
    output_parameters,
    require_all_images,
    timeout_parameter,
    wait_for_job,
)
from mmml.cli.terminal import show_images
from mmml.tasks import tasks

_STATUSES = ("queued", "running", "succeeded", "failed", "canceled")
_JOB = click.Argument(["job_id"], metavar="JOB")


@click.command()
@click.option("--limit", default=20, type=click.IntRange(1, 10_000), help="at most so many")
@click.option("--status", type=click.Choice(_STATUSES), help="only jobs in this state")
@click.option("--task", type=click.Choice(list(tasks())), help="only jobs of this task")
@click.pass_obj
def jobs(run: CliContext, limit: int, status: str | None, task: str | None) -> None:
    """List the newest jobs."""
    with run.connect() as client:
        records = client.jobs(limit, status, task)
    run.print_result(records, map(_line, records))


def _line(job: Mapping[str, Any]) -> str:
    text = job["input"].get("text", "")
    created = _local_time(job["created_at"])
    return f"{job['id']}  {created}  {job['task']:<10}  {job['status']:<9}  {str(text)[:60]}"


def _local_time(timestamp: str) -> str:
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@click.command(params=[_JOB])
@click.option(
    "--show/--no-show", "in_terminal", default=None, help="also show its images in the terminal"
)
@click.pass_obj
def show(run: CliContext, job_id: str, in_terminal: bool | None) -> None:
    """Show a job: the request, its outcome, where its images are."""
    with run.connect() as client:
        job = client.job(job_id)
        run.print_result(job.record, _facts(job.record))
        if job.status == "succeeded" and in_terminal is not False and not run.as_json:
            show_images(job.wait().images, in_terminal)


def _facts(job: Mapping[str, Any]) -> Iterator[str]:
    """The record, one fact a line."""
    yield f"job       {job['id']}"
    yield f"task      {job['task']}"
    position = job["queue_position"]
    yield f"status    {job['status']}" + (f", {position} in front" if position else "")
    yield f"created   {_local_time(job['created_at'])}"
    for name, value in job["input"].items():
        if value not in (None, False):
            yield f"{name:<9} {value}"
    for image in job["images"]:
        size = f"{image['width']}x{image['height']}"
        what = image["error"]["detail"] if image["error"] else f"{size}  {image['url']}"
        yield f"picture   seed {image['seed']}  {what}"
    if job["timings"]["total_ms"] is not None:
        yield f"took      {job['timings']['total_ms'] / 1000:.2f} s"
    for warning in job["warnings"]:
        yield f"warning   {warning}"
    if job["error"]:
        yield f"error     {job['error']['code']}: {job['error']['detail']}"


@click.command(params=[_JOB, timeout_parameter()])
@click.pass_obj
def wait(run: CliContext, job_id: str, timeout: float) -> None:
    """Wait for the end of a job; exit status 1 if it failed, 8 if some images did."""
    with run.connect(timeout=timeout) as client:
        job = client.job(job_id)
        try:
            wait_for_job(job, fetch=False)
        finally:
            if job.over:
                run.print_result(job.record, [job.status])
        require_all_images(job)


@click.command(params=[_JOB, *output_parameters(), timeout_parameter()])
@click.pass_obj
def download(
    run: CliContext,
    job_id: str,
    output: Path | None,
    show: bool | None,
    opened: bool,
    timeout: float,
) -> None:
    """Save the images of a job, once it has ended."""
    with run.connect(timeout=timeout) as client:
        job = client.job(job_id)
        wait_for_job(job)
        deliver(run, job, output or default_output(job, job_id), show, opened)


@click.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.pass_obj
def cancel(run: CliContext, job_ids: tuple[str, ...]) -> None:
    """Cancel jobs that wait or run."""
    with run.connect() as client:
        for job_id in job_ids:
            record = client.cancel(job_id)
            run.print_result(record, [record["status"]])


@click.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.pass_obj
def delete(run: CliContext, job_ids: tuple[str, ...]) -> None:
    """Delete jobs with their inputs and images; cancels them first."""
    with run.connect() as client:
        for job_id in job_ids:
            client.delete(job_id)
            run.print_result({"id": job_id, "deleted": True}, [])


@click.command(params=[_JOB])
@click.pass_obj
def events(run: CliContext, job_id: str) -> None:
    """Follow a job to its end: one line of JSON for each event."""
    with run.connect() as client:
        for event in client.events(job_id):
            record = {"event": event.kind, **event.data}
            click.echo(json_line(record))
