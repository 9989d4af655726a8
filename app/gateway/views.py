"""What clients see of a job and of the bundles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from jobs.bundles import BundleInfo, Catalogue
from jobs.job import Failure, Job, Priority, Status, Timings, WebhookState
from jobs.requests import TASKS


class ImageView(BaseModel):
    """One picture: where its bytes are, or why there are none."""

    index: int
    url: str | None = Field(None, description="absent when the picture failed")
    width: int
    height: int
    sha256: str
    seed: int
    format: str
    frames: int = Field(1, description="of an animation; 1 for others")
    explanation: str | None = Field(None, description="where to get it, when it was asked for")
    error: Failure | None = None


class ProgressView(BaseModel):
    """How many of the pictures are stored."""

    done: int
    total: int


class WebhookView(BaseModel):
    """How far the announcement of the job's end is."""

    url: str
    state: WebhookState
    attempts: int
    detail: str = Field(description="why the last attempt did not succeed")


class JobView(BaseModel):
    """A job. Times are UTC."""

    id: str
    task: str
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    priority: Priority = Priority.normal
    queue_position: int | None = Field(
        None, description="about how many jobs start before; 0 is next; absent once it runs"
    )
    estimated_start: datetime | None = Field(
        None, description="at the rate of the last minute; absent when none is known"
    )
    cancel_requested: bool = False
    progress: ProgressView
    input: dict[str, Any]
    images: list[ImageView]
    warnings: list[str]
    error: Failure | None = None
    timings: Timings
    attempts: int
    receipt: dict[str, Any] = Field(description="what is needed to repeat the job exactly")
    webhook: WebhookView | None = None
    links: dict[str, str]


def job_view(job: Job, position: int | None, estimated_start: float | None = None) -> JobView:
    """The record without storage keys. ``estimated_start``: when it is likely to start, in seconds
    since 1970.
    """
    here = f"/jobs/{job.id}"
    images = [
        ImageView(
            index=i.index,
            url=None if i.error else f"{here}/images/{i.index}",
            width=i.width,
            height=i.height,
            sha256=i.sha256,
            seed=i.seed,
            format=i.format,
            frames=i.frames,
            explanation=f"{here}/images/{i.index}/explanation" if i.explanation else None,
            error=i.error,
        )
        for i in job.images
    ]
    return JobView(
        id=job.id,
        task=job.task,
        status=job.status,
        created_at=_to_datetime(job.created_at),
        started_at=_to_datetime(job.started_at) if job.started_at else None,
        finished_at=_to_datetime(job.finished_at) if job.finished_at else None,
        priority=job.priority,
        queue_position=position,
        estimated_start=_to_datetime(estimated_start) if estimated_start else None,
        cancel_requested=job.cancel_requested,
        progress=_progress(job),
        input=job.request,
        images=images,
        warnings=list(job.warnings),
        error=job.error,
        timings=job.timings,
        attempts=job.attempts,
        receipt=job.receipt,
        webhook=WebhookView(**job.webhook.model_dump(exclude={"event"})) if job.webhook else None,
        links={"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"},
    )


def _progress(job: Job) -> ProgressView:
    made = sum(not image.error for image in job.images)
    return ProgressView(
        done=made if job.status.final else job.done, total=job.request.get("count", 1)
    )


def json_response(
    view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The view as JSON, written in one go."""
    return Response(view.model_dump_json(), status, headers, "application/json")


class TaskView(BaseModel):
    """One task of a bundle. size: native side in pixels."""

    methods: list[str]
    methods_without_text: list[str] = Field(description="of these, what looks at no word")
    size: int
    max_words: int
    tokenizer: str = Field(description="how a text is cut into words: regexp or treebank")
    default: bool = Field(description="serves requests that name no bundle")
    licence: str
    metrics: dict[str, Any]
    serving: dict[str, Any] = Field(description="what requests get that leave these fields open")


class BundleView(BaseModel):
    """A bundle."""

    name: str
    domain: str
    licence: str
    sha256: str
    tasks: dict[str, TaskView]
    vocabulary: str = Field(description="where its known words are listed")


class ModelsView(BaseModel):
    """All bundles, and which of them serves a task by default."""

    defaults: dict[str, str | None]
    bundles: list[BundleView]


def models_view(catalogue: Catalogue) -> ModelsView:
    defaults = {task: catalogue.default(task) for task in TASKS}
    return ModelsView(
        defaults=defaults,
        bundles=[_bundle_view(info, defaults) for info in catalogue.bundles.values()],
    )


def _bundle_view(info: BundleInfo, defaults: dict[str, str | None]) -> BundleView:
    tasks = {
        name: TaskView(
            methods=list(task.methods),
            methods_without_text=list(task.methods_without_text),
            size=task.size,
            max_words=task.max_words,
            tokenizer=task.tokenizer,
            default=defaults.get(name) == info.name,
            licence=str(task.spec.get("licence", info.licence)),
            metrics=dict(info.metrics.get(name, {})),
            serving=dict(task.serving),
        )
        for name, task in info.tasks.items()
    }
    return BundleView(
        name=info.name,
        domain=info.domain,
        licence=info.licence,
        sha256=info.sha256,
        tasks=tasks,
        vocabulary=f"/models/{info.name}/vocabulary",
    )


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
