"""What clients see of a job and of the bundles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from jobs.bundles import BundleInfo, Catalogue
from jobs.job import Failure, ImageRecord, Job, Priority, Status, Timings, Webhook
from jobs.requests import TASKS


class ImageView(BaseModel):
    """One picture: where its bytes are, or why there are none."""

    index: int = Field(description="number of the image in its job, from 0")
    url: str | None = Field(None, description="absent when the picture failed")
    width: int = Field(description="in pixels")
    height: int = Field(description="in pixels")
    sha256: str = Field(description="of the stored bytes")
    seed: int = Field(description="that generates this image alone")
    format: str = Field(description="png, jpeg, webp or gif")
    frames: int = Field(1, description="of an animation; 1 for others")
    explanation: str | None = Field(None, description="where to get it, when it was asked for")
    error: Failure | None = Field(None, description="why the image failed")


class ProgressView(BaseModel):
    """How many of the images are stored."""

    done: int = Field(description="images that are stored")
    total: int = Field(description="images that were requested")


class JobView(BaseModel):
    """A job. Times are UTC."""

    id: str = Field(description="32 hexadecimal digits that grow with time")
    task: str = Field(description="synthesize, manipulate or inpaint")
    status: Status
    created_at: datetime = Field(description="when the request was accepted")
    started_at: datetime | None = Field(None, description="when a worker began; null before")
    finished_at: datetime | None = Field(None, description="when the job ended; null before")
    priority: Priority = Priority.normal
    queue_position: int | None = Field(
        None, description="about how many jobs start before; 0 is next; absent once it runs"
    )
    estimated_start: datetime | None = Field(
        None, description="at the rate of the last minute; absent when none is known"
    )
    cancel_requested: bool = Field(
        False, description="a worker still runs it, and will stop at its next step"
    )
    progress: ProgressView
    input: dict[str, Any] = Field(
        description="the request, with the values used for fields that it left open"
    )
    images: list[ImageView] = Field(description="of a finished job, those that failed included")
    warnings: list[str] = Field(
        description="sentences about words that were ignored and inputs that were adapted"
    )
    error: Failure | None = Field(None, description="why the job failed")
    timings: Timings
    attempts: int = Field(description="runs begun by a worker")
    receipt: dict[str, Any] = Field(description="what is needed to repeat the job exactly")
    webhook: Webhook | None = Field(None, description="its delivery, when the request named one")
    batch: str | None = Field(None, description="that the job belongs to")
    links: dict[str, str] = Field(
        description="paths of the job (self), of its event stream and of its cancellation"
    )


def job_view(
    job: Job, position: int | None, estimated_start: float | None = None, root: str = ""
) -> JobView:
    """The record without storage keys. ``estimated_start``: when it is likely to start, in seconds
    since 1970; ``root``: the path before all addresses.
    """
    here = f"{root}/jobs/{job.id}"
    own = {
        "queue_position": position,
        "estimated_start": estimated_start,
        "progress": _progress(job),
        "input": job.request,
        "images": [vars(image) | _image_links(image, here) for image in job.images],
        "batch": job.batch or None,
        "links": {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"},
    }
    return JobView.model_validate(vars(job) | own)


def _image_links(image: ImageRecord, job: str) -> dict[str, str | None]:
    here = f"{job}/images/{image.index}"
    explanation = f"{here}/explanation" if image.explanation else None
    return {"url": None if image.error else here, "explanation": explanation}


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
    """One task of a bundle."""

    methods: list[str] = Field(
        description="the network's method first, then those that need no weights"
    )
    methods_without_text: list[str] = Field(description="of these, what looks at no word")
    size: int = Field(description="native side in pixels")
    max_words: int = Field(
        description="words of a text that the network reads; further ones are ignored"
    )
    tokenizer: str = Field(description="how a text is cut into words: regexp or treebank")
    default: bool = Field(description="serves requests that name no bundle")
    licence: str = Field(description="of the weights of this task")
    metrics: dict[str, Any] = Field(description="as measured when the bundle was made")
    serving: dict[str, Any] = Field(description="what requests get that leave these fields open")


class BundleView(BaseModel):
    """A bundle."""

    name: str = Field(description="for the field bundle of requests")
    domain: str = Field(description="what it draws")
    licence: str = Field(description="of the weights")
    sha256: str = Field(description="of its bundle.json, which names every file by its own")
    tasks: dict[str, TaskView] = Field(description="that it serves")
    vocabulary: str = Field(description="where its known words are listed")


class ModelsView(BaseModel):
    """All bundles, and which of them serves a task by default."""

    defaults: dict[str, str | None] = Field(
        description="by task, the bundle of requests that name none; null when there is none"
    )
    bundles: list[BundleView] = Field(description="in alphabetical order")


def models_view(catalogue: Catalogue, root: str = "") -> ModelsView:
    """``root``: the path before all addresses."""
    defaults = {task: catalogue.default(task) for task in TASKS}
    return ModelsView(
        defaults=defaults,
        bundles=[_bundle_view(info, defaults, root) for info in catalogue.bundles.values()],
    )


def _bundle_view(info: BundleInfo, defaults: dict[str, str | None], root: str) -> BundleView:
    tasks = {
        name: TaskView(
            methods=list(task.methods),
            methods_without_text=list(task.methods_without_text),
            size=task.size,
            max_words=task.max_words,
            tokenizer=task.tokenizer,
            default=defaults.get(name) == info.name,
            licence=info.licence_of(name),
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
        vocabulary=f"{root}/models/{info.name}/vocabulary",
    )
