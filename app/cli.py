"""The ``mmml`` command: serve, and use a service from the shell. Task commands come from the task
registry.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app.client import DEFAULT_URL, Client, MmmlError
from jobs.job import Status
from jobs.requests import TASKS, TaskRequest
from jobs.version import VERSION


@dataclass(frozen=True)
class Reach:
    """How the service is reached."""

    url: str
    api_key: str | None

    def client(self) -> Client:
        return Client(self.url, api_key=self.api_key)


class TaskGroup(click.Group):
    """Adds one command per registered task, and those that are loaded only when they are asked
    for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*TASKS, *sorted([*super().list_commands(ctx), "keys"])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in TASKS:
            return _task_command(TASKS[cmd_name])
        if cmd_name == "keys":
            from app.key_commands import keys

            return keys
        return super().get_command(ctx, cmd_name)


@click.group(cls=TaskGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="mmml")
@click.option(
    "--url",
    envvar="MMML_URL",
    default=DEFAULT_URL,
    show_default=True,
    help="address of the service",
)
@click.option("--api-key", envvar="MMML_API_KEY", help="better set as MMML_API_KEY")
@click.pass_context
def cli(context: click.Context, url: str, api_key: str | None) -> None:
    """Text-guided image generation."""
    context.obj = Reach(url, api_key)


@cli.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="any other than loopback needs API keys"
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--state-dir", type=click.Path(path_type=Path), help="broker data, pictures and logs")
@click.option("--fake", is_flag=True, help="without networks, for the tests of other programs")
def serve(host: str, port: int, state_dir: Path | None, fake: bool) -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from app.embedded import EmbeddedError
    from app.embedded import serve as run
    from app.gate import AccessError
    from app.keys import KeyProblem

    try:
        run(host, port, state_dir, fake)
    except (EmbeddedError, AccessError, KeyProblem) as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--status", type=click.Choice([s.value for s in Status if s is not Status.expired]))
@click.option("--task", help="only jobs of this task")
@click.pass_obj
def jobs(reach: Reach, limit: int, status: str | None, task: str | None) -> None:
    """List the newest jobs."""
    with reach.client() as client:
        for job in client.jobs(limit, status, task):
            created = (
                datetime.fromisoformat(job["created_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            )
            text = job["input"].get("text", "")
            click.echo(
                f"{job['id']}  {created}  {job['task']:<10}  {job['status']:<9}  {text[:60]}"
            )


@cli.command()
@click.argument("job_id")
@click.pass_obj
def cancel(reach: Reach, job_id: str) -> None:
    """Cancel a job."""
    with reach.client() as client:
        click.echo(client.cancel(job_id)["status"])


@cli.command()
@click.argument("job_id")
@click.pass_obj
def delete(reach: Reach, job_id: str) -> None:
    """Erase a job with its inputs and pictures; cancels it first."""
    with reach.client() as client:
        client.delete(job_id)


@cli.command()
@click.argument("job_id")
@click.pass_obj
def events(reach: Reach, job_id: str) -> None:
    """Follow a job to its end: one line of JSON for each event."""
    with reach.client() as client:
        for event in client.events(job_id):
            click.echo(json.dumps({"event": event.kind, **event.data}, ensure_ascii=False))


@cli.command()
@click.pass_obj
def webhook_secret(reach: Reach) -> None:
    """Show the secret that verifies this service's webhooks."""
    with reach.client() as client:
        click.echo(client.webhook_secret())


def _task_command(task: type[TaskRequest]) -> click.Command:
    """``mmml TASK [PICTURE…] TEXT -o FILE``."""
    pictures = [click.Argument([spec.name], metavar=spec.name.upper()) for spec in task.images]
    options = [
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            help="file to write; names the format",
        ),
        click.Option(["--seed"], type=int, help="repeat a picture"),
        click.Option(["--count"], type=int, default=1, show_default=True, help="how many pictures"),
        click.Option(["--bundle"], help="weights to use"),
        click.Option(["--method"], help="algorithm to use"),
    ]

    def run(**values: Any) -> None:
        _run_task(click.get_current_context().find_root().obj, task, values)

    shown = "".join(f"\n\n{spec.name.upper()}: {spec.description}." for spec in task.images)
    return click.Command(
        task.task,
        params=[*pictures, click.Argument(["text"]), *options],
        callback=run,
        help=f"{task.summary}.{shown}",
    )


_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def _run_task(reach: Reach, task: type[TaskRequest], values: Mapping[str, Any]) -> None:
    output: Path = values["output"] or Path(f"{task.task}.png")
    if output.suffix.lower() not in _FORMATS:
        raise click.ClickException(f"{output}: the file's name must end in {', '.join(_FORMATS)}.")
    options = {k: values[k] for k in ("seed", "count", "bundle", "method")}
    images = {spec.name: values[spec.name] for spec in task.images}
    with reach.client() as client:
        job = client.submit_task(
            task.task, values["text"], images, format=_FORMATS[output.suffix.lower()], **options
        )
        try:
            job.wait(_progress)
        finally:
            _progress_end()
    for warning in job.warnings:
        click.echo(f"warning: {warning}", err=True)
    for path in job.save(output):
        click.echo(path)


def _progress(job: Mapping[str, Any]) -> None:
    """One line that is rewritten, on a terminal only."""
    if sys.stderr.isatty():
        place = job.get("queue_position")
        behind = f", {place} in front" if place else ""
        click.echo(f"\r\033[K{job['task']}: {job['status']}{behind}", nl=False, err=True)


def _progress_end() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)


def main() -> None:
    """Errors are sentences, not tracebacks."""
    try:
        cli(prog_name=os.environ.get("MMML_PROG", "mmml"))
    except MmmlError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
