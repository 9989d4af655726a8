"""``mmml admin``: what operators ask and do, on the Redis of the service on this machine, or the
one that ``MMML_REDIS_URL`` names. The same over HTTP: :mod:`app.gateway.routes.admin`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app.admin.connection import connected, operator
from app.admin.keys import CommandOutput
from app.gateway.api_keys import KeyStore
from jobs.administration import purge as purge_queue
from jobs.administration import usage as usage_by_owner
from jobs.job import Job, Status
from jobs.redis_store import JobStore
from jobs.store import AdminAction


@dataclass(frozen=True)
class AdminContext:
    """What the commands of this group have at hand."""

    output: CommandOutput
    state_dir: Path | None

    @contextlib.contextmanager
    def store(self) -> Iterator[JobStore]:
        with connected(self.state_dir) as (client, settings):
            yield JobStore(client, settings.redis_prefix)


@click.group()
@click.option("--state-dir", type=click.Path(path_type=Path), help="as given to mmml serve")
@click.pass_context
def admin(context: click.Context, state_dir: Path | None) -> None:
    """Look at workers, queue and jobs, and change what they do."""
    context.obj = AdminContext(context.find_root().obj, state_dir)


@admin.command()
@click.pass_obj
def workers(command: AdminContext) -> None:
    """List the live workers."""
    with command.store() as store:
        found = store.live_workers()
    command.output.print_result(found, map(_worker_line, found))
    if not found:
        click.echo("No worker is alive.", err=True)


def _worker_line(worker: dict[str, Any]) -> str:
    state = "drained" if worker.get("drained") else "working"
    running = f"{worker.get('running', 0)} running"
    start = f"{worker['name']}  {worker.get('device', '')}  {state}  {running}"
    return f"{start}  {', '.join(_held_bundles(worker))}".rstrip()


def _held_bundles(worker: dict[str, Any]) -> Iterator[str]:
    """Bundles in its memory, and how much of it they take."""
    sizes: Counter[str] = Counter()
    loaded = [key[0] for key in worker.get("loaded", [])]
    for name, size in zip(loaded, worker.get("weight_bytes", [0] * len(loaded)), strict=True):
        sizes[name] += size
    for name, size in sorted(sizes.items()):
        facts = [f"{size / 1e6:.0f} MB"] if size else []
        facts += ["pinned"] if name in worker.get("pinned", []) else []
        yield f"{name} ({', '.join(facts)})" if facts else name


@admin.command()
@click.pass_obj
def queue(command: AdminContext) -> None:
    """Waiting jobs and their age, by priority; what else operators watch."""
    with connected(command.state_dir) as (client, settings):
        gauges = JobStore(client, settings.redis_prefix).gauges(settings.result_ttl)
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
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="at most so many"
)
@click.pass_obj
def jobs(
    command: AdminContext, status: str | None, owner: str | None, task: str | None, limit: int
) -> None:
    """List the newest jobs of everybody."""
    wanted = Status(status) if status else None
    with command.store() as store:
        found, _ = store.list_jobs(wanted, limit, None, owner, task)
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
def drain(command: AdminContext, worker: str) -> None:
    """Have a worker finish what it holds and claim no more, until it is resumed or ends."""
    _set_drained(command, worker, True)


@admin.command()
@click.argument("worker")
@click.pass_obj
def resume(command: AdminContext, worker: str) -> None:
    """Have a drained worker claim jobs again."""
    _set_drained(command, worker, False)


def _set_drained(command: AdminContext, worker: str, drained: bool) -> None:
    with command.store() as store:
        if not store.set_drained(worker, drained):
            raise click.ClickException(
                f"There is no live worker {worker!r}; 'mmml admin workers' lists them."
            )
        store.record_action(operator(), "drain" if drained else "resume", worker)
    does = "claims no more jobs" if drained else "claims jobs again"
    command.output.print_result(
        {"worker": worker, "drained": drained}, [f"{worker} {does} within two seconds."]
    )


@admin.command()
@click.pass_obj
def reload(command: AdminContext) -> None:
    """Have all workers look at their bundles again, those too that could not be loaded."""
    with command.store() as store:
        names = store.request_reload()
        if not names:
            raise click.ClickException("No worker is alive.")
        store.record_action(operator(), "reload", " ".join(names))
    does = "looks at its bundles within two seconds."
    command.output.print_result({"workers": names}, [f"{name} {does}" for name in names])


@admin.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="at most so many"
)
@click.pass_obj
def audit(command: AdminContext, limit: int) -> None:
    """List what operators did, the newest first."""
    with command.store() as store:
        found = store.actions(limit)
    command.output.print_result([asdict(one) for one in found], map(_action_line, found))


def _action_line(one: AdminAction) -> str:
    return f"{_local_time(one.time)}  {one.by}  {one.action}  {one.target}"


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@admin.command()
@click.argument("job")
@click.pass_obj
def requeue(command: AdminContext, job: str) -> None:
    """Take a job from the worker that holds it: it waits again."""
    with command.store() as store:
        if not store.take_back(job):
            raise click.ClickException(
                f"No worker holds job {job}: it waits, is over, or never was."
            )
        store.record_action(operator(), "requeue", job)
    command.output.print_result({"job": job}, [f"Job {job} waits again."])


@admin.command()
@click.option("--owner", metavar="KEY", help="only of this key, by its id")
@click.option("--task", help="only of this task")
@click.confirmation_option(prompt="Cancel these waiting jobs?")
@click.pass_obj
def purge(command: AdminContext, owner: str | None, task: str | None) -> None:
    """Cancel the jobs that wait. Running ones go on."""
    with command.store() as store:
        count = purge_queue(store, owner, task, operator())
    command.output.print_result({"canceled": count}, [f"{count} jobs are canceled."])


@admin.command()
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=24.0,
    show_default=True,
    help="how far back to look",
)
@click.pass_obj
def usage(command: AdminContext, hours: float) -> None:
    """Jobs by owner, the busiest first; no further back than results live."""
    with connected(command.state_dir) as (client, settings):
        keys = KeyStore(client, settings.redis_prefix).all()
        names = {key.owner: key.name for key in reversed(keys)}
        store = JobStore(client, settings.redis_prefix)
        found = usage_by_owner(store, ["", *names], hours * 3600)
    lines = [
        f"{u.owner or '(no key)'}  {names.get(u.owner, '')}  {u.jobs} jobs, "
        f"{u.unfinished} unfinished"
        for u in found
    ]
    command.output.print_result([asdict(u) for u in found], lines)
