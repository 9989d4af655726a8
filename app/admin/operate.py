"""``mmml admin``: what operators ask and do, on the Redis of the service on this machine, or the
one that ``MMML_REDIS_URL`` names. The same over HTTP: :mod:`app.gateway.routes.admin`.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app.admin.connection import CommandContext, operator, set_context, state_dir_option
from jobs.administration import purge as purge_queue
from jobs.administration import usage as usage_by_owner
from jobs.job import Job, Status
from jobs.store import AdminAction


@click.group()
@state_dir_option
@click.pass_context
def admin(context: click.Context, state_dir: Path | None) -> None:
    """Look at workers, queue and jobs, and change what they do."""
    set_context(context, state_dir)


@admin.command()
@click.pass_obj
def workers(command: CommandContext) -> None:
    """List the live workers."""
    with command.backend() as backend:
        found = backend.jobs.live_workers()
    command.output.print_result(found, map(_worker_line, found))
    if not found:
        click.echo("No worker is alive.", err=True)


def _worker_line(worker: dict[str, Any]) -> str:
    state = "drained" if worker.get("drained") else "working"
    loaded = ", ".join(sorted({key[0] for key in worker.get("loaded", [])}))
    running = f"{worker.get('running', 0)} running"
    return f"{worker['name']}  {worker.get('device', '')}  {state}  {running}  {loaded}".rstrip()


@admin.command()
@click.pass_obj
def queue(command: CommandContext) -> None:
    """Waiting jobs and their age, by priority; what else operators watch."""
    with command.backend() as backend:
        gauges = backend.jobs.gauges(backend.settings.result_ttl)
    lines = [
        f"{priority}: {waiting.jobs} waiting, the oldest for {waiting.oldest_age:.0f} s"
        for priority, waiting in [*gauges.waiting.items(), ("all", gauges.all_waiting)]
    ]
    rest = {k: v for k, v in asdict(gauges).items() if not isinstance(v, dict)}
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in rest.items()]
    command.output.print_result(asdict(gauges), lines)


@admin.command()
@click.option("--status", type=click.Choice(list(Status)), help="only these")
@click.option("--owner", metavar="KEY", help="id of the key that submitted them")
@click.option("--task", help="only of this task")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, help="at most so many")
@click.pass_obj
def jobs(
    command: CommandContext, status: str | None, owner: str | None, task: str | None, limit: int
) -> None:
    """List the newest jobs of everybody."""
    wanted = Status(status) if status else None
    with command.backend() as backend:
        found, _ = backend.jobs.list_jobs(wanted, limit, None, owner, task)
    command.output.print_result([_job_record(job) for job in found], map(_job_line, found))


def _job_record(job: Job) -> dict[str, Any]:
    """Without what it is to show: captions are for its owner."""
    names = {"id", "task", "owner", "status", "priority", "pictures", "attempts", "created_at"}
    return job.model_dump(mode="json", include=names)


def _job_line(job: Job) -> str:
    code = job.error.code if job.error else ""
    state = f"{_local_time(job.created_at)}  {job.status:<9}"
    return f"{job.id}  {state}  {job.task}  {job.owner}  {code}".rstrip()


@admin.command()
@click.argument("worker")
@click.pass_obj
def drain(command: CommandContext, worker: str) -> None:
    """Have a worker finish what it holds and claim no more, until it is resumed or ends."""
    _set_drained(command, worker, True)


@admin.command()
@click.argument("worker")
@click.pass_obj
def resume(command: CommandContext, worker: str) -> None:
    """Have a drained worker claim jobs again."""
    _set_drained(command, worker, False)


def _set_drained(command: CommandContext, worker: str, drained: bool) -> None:
    with command.backend() as backend:
        if not backend.jobs.set_drained(worker, drained):
            raise click.ClickException(
                f"There is no live worker {worker!r}; 'mmml admin workers' lists them."
            )
        backend.jobs.record_action(operator(), "drain" if drained else "resume", worker)
    does = "claims no more jobs" if drained else "claims jobs again"
    command.output.print_result(
        {"worker": worker, "drained": drained}, [f"{worker} {does} within two seconds."]
    )


@admin.command()
@click.pass_obj
def reload(command: CommandContext) -> None:
    """Have all workers look at their bundles again, those too that could not be loaded."""
    with command.backend() as backend:
        names = backend.jobs.request_reload()
        if not names:
            raise click.ClickException("No worker is alive.")
        backend.jobs.record_action(operator(), "reload", " ".join(names))
    does = "looks at its bundles within two seconds."
    command.output.print_result({"workers": names}, [f"{name} {does}" for name in names])


@admin.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="at most so many")
@click.pass_obj
def audit(command: CommandContext, limit: int) -> None:
    """List what operators did, the newest first."""
    with command.backend() as backend:
        found = backend.jobs.actions(limit)
    command.output.print_result([asdict(one) for one in found], map(_action_line, found))


def _action_line(one: AdminAction) -> str:
    return f"{_local_time(one.time)}  {one.by}  {one.action}  {one.target}"


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@admin.command()
@click.argument("job")
@click.pass_obj
def requeue(command: CommandContext, job: str) -> None:
    """Take a job from the worker that holds it: it waits again."""
    with command.backend() as backend:
        if not backend.jobs.take_back(job):
            raise click.ClickException(
                f"No worker holds job {job}: it waits, is over, or never was."
            )
        backend.jobs.record_action(operator(), "requeue", job)
    command.output.print_result({"job": job}, [f"Job {job} waits again."])


@admin.command()
@click.option("--owner", metavar="KEY", help="only of this key, by its id")
@click.option("--task", help="only of this task")
@click.confirmation_option(prompt="Cancel these waiting jobs?")
@click.pass_obj
def purge(command: CommandContext, owner: str | None, task: str | None) -> None:
    """Cancel the jobs that wait. Running ones go on."""
    with command.backend() as backend:
        count = purge_queue(backend.jobs, owner, task, operator())
    command.output.print_result({"canceled": count}, [f"{count} jobs are canceled."])


@admin.command()
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), default=24.0, help="how far back to look"
)
@click.pass_obj
def usage(command: CommandContext, hours: float) -> None:
    """Jobs by owner, the busiest first; no further back than results live."""
    with command.backend() as backend:
        names = {key.owner: key.name for key in reversed(backend.keys.all())}
        found = usage_by_owner(backend.jobs, ["", *names], hours * 3600)
    lines = [
        f"{u.owner or '(no key)'}  {names.get(u.owner, '')}  {u.jobs} jobs, "
        f"{u.unfinished} unfinished"
        for u in found
    ]
    command.output.print_result([asdict(u) for u in found], lines)
