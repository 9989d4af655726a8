"""``mmml admin``: what operators ask and do, on the Redis of the service on this machine, or the
one that ``MMML_REDIS_URL`` names. The same over HTTP: :mod:`app.gateway.routes.admin`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from app.admin.connection import Backend, Report, command_group, operator, reports
from jobs.administration import purge as purge_queue
from jobs.job import Job, Status

admin = command_group("admin", "Look at workers, queue and jobs, and change what they do.")


@admin.command()
@reports
def workers(backend: Backend) -> Report:
    """List the live workers."""
    found = backend.jobs.live_workers()
    if not found:
        click.echo("No worker is alive.", err=True)
    return found, map(_worker_line, found)


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
@reports
def queue(backend: Backend) -> Report:
    """Waiting jobs and their age, by priority; what else operators watch."""
    gauges = backend.jobs.gauges(backend.settings.result_ttl)
    lines = [
        f"{priority}: {waiting.jobs} waiting, the oldest for {waiting.oldest_age:.0f} s"
        for priority, waiting in [*gauges.waiting.items(), ("all", gauges.all_waiting)]
    ]
    rest = {k: v for k, v in gauges.model_dump().items() if not isinstance(v, dict)}
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in rest.items()]
    return gauges.model_dump(mode="json"), lines


@admin.command()
@click.option("--status", type=click.Choice(list(Status)), help="only these")
@click.option("--owner", metavar="KEY", help="id of the key that submitted them")
@click.option("--task", help="only of this task")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, help="at most so many")
@reports
def jobs(
    backend: Backend, status: str | None, owner: str | None, task: str | None, limit: int
) -> Report:
    """List the newest jobs of everybody."""
    wanted = Status(status) if status else None
    found, _ = backend.jobs.list_jobs(wanted, limit, None, owner, task)
    # Without what they are to show: captions are for their owners.
    names = {"id", "task", "owner", "status", "priority", "pictures", "attempts", "created_at"}
    records = [job.model_dump(mode="json", include=names) for job in found]
    return records, map(_job_line, found)


def _job_line(job: Job) -> str:
    code = job.error.code if job.error else ""
    state = f"{_local_time(job.created_at)}  {job.status:<9}"
    return f"{job.id}  {state}  {job.task}  {job.owner}  {code}".rstrip()


@admin.command()
@click.argument("worker")
@reports
def drain(backend: Backend, worker: str) -> Report:
    """Have a worker finish what it holds and claim no more, until it is resumed or ends."""
    return _set_drained(backend, worker, True)


@admin.command()
@click.argument("worker")
@reports
def resume(backend: Backend, worker: str) -> Report:
    """Have a drained worker claim jobs again."""
    return _set_drained(backend, worker, False)


def _set_drained(backend: Backend, worker: str, drained: bool) -> Report:
    if not backend.jobs.set_drained(worker, drained):
        raise click.ClickException(
            f"There is no live worker {worker!r}; 'mmml admin workers' lists them."
        )
    backend.record_action("drain" if drained else "resume", worker)
    does = "claims no more jobs" if drained else "claims jobs again"
    return {"worker": worker, "drained": drained}, [f"{worker} {does} within two seconds."]


@admin.command()
@reports
def reload(backend: Backend) -> Report:
    """Have all workers look at their bundles again, those too that could not be loaded."""
    names = backend.jobs.request_reload()
    if not names:
        raise click.ClickException("No worker is alive.")
    backend.record_action("reload", " ".join(names))
    does = "looks at its bundles within two seconds."
    return {"workers": names}, [f"{name} {does}" for name in names]


@admin.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="at most so many")
@reports
def audit(backend: Backend, limit: int) -> Report:
    """List what operators did, the newest first."""
    found = backend.jobs.actions(limit)
    lines = [f"{_local_time(one.time)}  {one.by}  {one.action}  {one.target}" for one in found]
    return [asdict(one) for one in found], lines


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@admin.command()
@click.argument("job")
@reports
def requeue(backend: Backend, job: str) -> Report:
    """Take a job from the worker that holds it: it waits again."""
    if not backend.jobs.take_back(job):
        raise click.ClickException(f"No worker holds job {job}: it waits, is over, or never was.")
    backend.record_action("requeue", job)
    return {"job": job}, [f"Job {job} waits again."]


@admin.command()
@click.option("--owner", metavar="KEY", help="only of this key, by its id")
@click.option("--task", help="only of this task")
@click.confirmation_option(prompt="Cancel these waiting jobs?")
@reports
def purge(backend: Backend, owner: str | None, task: str | None) -> Report:
    """Cancel the jobs that wait. Running ones go on."""
    count = purge_queue(backend.jobs, owner, task, operator())
    return {"canceled": count}, [f"{count} jobs are canceled."]


@admin.command()
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), default=24.0, help="how far back to look"
)
@reports
def usage(backend: Backend, hours: float) -> Report:
    """Jobs by owner, the busiest first; no further back than results live."""
    names = {key.owner: key.name for key in reversed(backend.keys.all())}
    found = backend.jobs.count_jobs(["", *names], hours * 3600)
    lines = [
        f"{u.owner or '(no key)'}  {names.get(u.owner, '')}  {u.jobs} jobs, "
        f"{u.unfinished} unfinished"
        for u in found
    ]
    return [u.model_dump() for u in found], lines
