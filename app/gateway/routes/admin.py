"""``/admin``: what operators do, for keys with the scope ``admin``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from app.gateway.api_document import request_body
from app.gateway.api_keys import ADMIN
from app.gateway.auth import Caller
from app.gateway.dependencies import AnyCaller, JobId, ServicesDependency, WorkerName
from app.gateway.json_bodies import PurgeRequest, json_body
from app.gateway.problems import Problem
from app.gateway.services import Services
from jobs.administration import purge
from jobs.load import QueueView, UsageView
from jobs.store import AdminAction


async def administrator(caller: AnyCaller) -> Caller:
    """403 for a key without the scope, and on a service without keys."""
    caller.require_scope(ADMIN)
    return caller


Administrator = Annotated[Caller, Depends(administrator)]


router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(administrator)])


class WorkerBundle(BaseModel):
    """A bundle that a worker can load."""

    sha256: str = Field(description="digest of its files")
    tasks: list[str] = Field(description="what it serves")


class WorkerView(BaseModel):
    """The last heartbeat of a worker. One of an earlier version may lack fields."""

    name: str = Field(description="as `drain` and `resume` take it")
    device: str | None = Field(None, description="`cpu`, or the GPU that it uses")
    precision: str | None = Field(None, description="of its networks, as it was set")
    groups: list[str] = Field([], description="whose jobs it claims")
    pinned: list[str] = Field([], description="bundles that stay loaded")
    bundles: dict[str, WorkerBundle] = Field({}, description="what it can load, by name")
    loaded: list[list[str]] = Field(
        [], description="networks in its memory: bundle, task, method, digest"
    )
    weight_bytes: list[int] = Field([], description="memory of each of `loaded`")
    network_memory: int | None = Field(
        None, description="bytes that networks may take; null without a limit"
    )
    concurrency: int | None = Field(None, description="jobs that it holds at most")
    running: int | None = Field(None, description="jobs that it holds")
    waiting: int | None = Field(None, description="pictures of these that wait for the networks")
    drained: bool = Field(False, description="it claims no jobs")
    last_batch_at: float | None = Field(
        None, description="end of its last batch, in seconds since 1970"
    )


@router.get(
    "/workers",
    summary="List workers",
    response_model=list[WorkerView],
    response_model_exclude_unset=True,
)
def list_workers(services: ServicesDependency) -> list[dict[str, Any]]:
    """The last heartbeat of each live worker."""
    return services.store.live_workers()


@router.get("/queue", summary="Get the state of the queue")
def get_queue(services: ServicesDependency) -> QueueView:
    """Waiting jobs and the age of the oldest in seconds, by priority; counts; memory of Redis."""
    return services.store.gauges(services.settings.result_ttl)


class Drained(BaseModel):
    """Whether the worker is to claim jobs; it hears of it within two seconds."""

    worker: str = Field(description="its name")
    drained: bool = Field(description="it claims no jobs")


@router.post("/workers/{name}/drain", summary="Drain a worker")
def drain_worker(name: WorkerName, services: ServicesDependency, caller: Administrator) -> Drained:
    """The worker finishes what it holds and claims no more, until it is resumed or ends."""
    return _set_drained(services, caller, name, True)


@router.post("/workers/{name}/resume", summary="Resume a worker")
def resume_worker(name: WorkerName, services: ServicesDependency, caller: Administrator) -> Drained:
    """The worker claims jobs again."""
    return _set_drained(services, caller, name, False)


def _set_drained(services: Services, caller: Caller, name: str, drained: bool) -> Drained:
    if not services.store.set_drained(name, drained):
        raise Problem(404, "There is no live worker of that name; GET /admin/workers lists them.")
    services.store.record_action(caller.key_id, "drain" if drained else "resume", name)
    return Drained(worker=name, drained=drained)


class Reloaded(BaseModel):
    """Workers that look at their bundles again within two seconds."""

    workers: list[str] = Field(description="their names")


@router.post("/reload", summary="Reload bundles")
def reload_bundles(services: ServicesDependency, caller: Administrator) -> Reloaded:
    """All workers look at their bundles again, those too that could not be loaded."""
    names = services.store.request_reload()
    services.store.record_action(caller.key_id, "reload", " ".join(names))
    return Reloaded(workers=names)


class ActionView(BaseModel):
    """What an operator did."""

    time: datetime = Field(description="when it was done")
    by: str = Field(description="id of a key, or user@host of a command")
    action: str = Field(description="what was done")
    target: str = Field(description="to which worker, job, jobs or key")


_Limit = Query(ge=1, le=10_000, description="at most so many", examples=[50])


@router.get("/audit", summary="List what operators did", response_model=list[ActionView])
def get_audit(
    services: ServicesDependency, limit: Annotated[int, _Limit] = 50
) -> list[AdminAction]:
    """Changes by `/admin`, `mmml admin` and `mmml keys`, the newest first; 10,000 are kept."""
    return services.store.actions(limit)


class Requeued(BaseModel):
    """A job that waits again."""

    job: str = Field(description="its id")


@router.post("/jobs/{job_id}/requeue", summary="Take a job from its worker")
def requeue_job(job_id: JobId, services: ServicesDependency, caller: Administrator) -> Requeued:
    """A job that a worker holds waits again, and the attempt does not count. The worker drops what
    it has of it.
    """
    if not services.store.take_back(job_id):
        raise Problem(409, "No worker holds this job: it waits, is over, or never was.")
    services.store.record_action(caller.key_id, "requeue", job_id)
    return Requeued(job=job_id)


class Purged(BaseModel):
    """How many jobs were canceled."""

    canceled: int = Field(description="number of jobs")


@router.post(
    "/purge",
    summary="Cancel waiting jobs",
    openapi_extra={"requestBody": request_body({"application/json": "PurgeRequest"})},
)
def purge_queue(
    wanted: Annotated[PurgeRequest, Depends(json_body(PurgeRequest))],
    services: ServicesDependency,
    caller: Administrator,
) -> Purged:
    """Cancels waiting jobs; running jobs go on."""
    return Purged(canceled=purge(services.store, wanted.owner, wanted.task, caller.key_id))


_Hours = Query(gt=0, le=8760, description="how far back to look", examples=[24])


@router.get("/usage", summary="Count jobs by owner")
def get_usage(
    services: ServicesDependency, hours: Annotated[float, _Hours] = 24.0
) -> list[UsageView]:
    """Owners with most jobs first; no further back than results are kept."""
    owners = sorted({key.owner for key in services.authenticator.keys.all()})
    return services.store.count_jobs(owners, hours * 3600)
