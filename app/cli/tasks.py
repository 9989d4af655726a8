"""``mmml TASK [PICTURE…] TEXT``: a command for every task of the registry, with an option for every
field of its request.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from app.cli.invocation import Invocation, JsonCommand
from app.cli.output import deliver, format_of, named, output_parameters, timeout_parameter
from app.cli.progress import job_line
from app.client import Job
from jobs.requests import TaskRequest

_NOT_OPTIONS = ("text", "format")  # an argument, and what the output's name says
_WEIGHT = "share of a text in the mix, once for each text"


def task_command(task: type[TaskRequest]) -> click.Command:
    """``mmml TASK``."""
    pictures = [click.Argument([spec.name], metavar=spec.name.upper()) for spec in task.images]
    options = [_option(n, f) for n, f in task.model_fields.items() if n not in _NOT_OPTIONS]
    if "weight" in task.repeatable:
        options.append(click.Option(["--weight"], type=float, multiple=True, help=_WEIGHT))
    told = "".join(f"\n\n{spec.name.upper()}: {spec.description}." for spec in task.images)
    return JsonCommand(
        task.task,
        params=[
            *pictures,
            _text_argument(task),
            *options,
            *output_parameters(),
            timeout_parameter(),
            click.Option(["--no-wait"], is_flag=True, help="print the job's id and end"),
        ],
        callback=lambda **values: _run(task, values),
        help=f"{task.summary}.{told}",
        short_help=task.summary,
    )


def _text_argument(task: type[TaskRequest]) -> click.Argument:
    if "text" in task.repeatable:
        return click.Argument(["text"], nargs=-1, required=True, metavar="TEXT...")
    return click.Argument(["text"])


def _texts(text: str | tuple[str, ...], weights: Sequence[float]) -> Any:
    """A single text as it is; several as a list, with their weights if there are any."""
    if isinstance(text, str):
        return text
    if weights and len(weights) != len(text):
        raise click.UsageError(f"There are {len(text)} texts and {len(weights)} weights.")
    if weights:
        return [{"text": t, "weight": w} for t, w in zip(text, weights, strict=True)]
    return list(text) if len(text) > 1 else text[0]


def _option(name: str, field: FieldInfo) -> click.Option:
    """An option for a request's field; what it may be is the service's to say."""
    kind = _plain_type(field.annotation)
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        return click.Option([flag, name], is_flag=True, default=None, help=field.description)
    default = None if field.is_required() else field.default
    return click.Option(
        [flag, name],
        type=kind,
        default=None,
        metavar=None if kind is int else name.upper(),
        help=f"{field.description}{f' [{default}]' if default is not None else ''}",
    )


def _plain_type(annotation: Any) -> type:
    """int, float, bool or str, whatever may stand beside it."""
    kinds = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    return next((kind for kind in (bool, int, float) if kind in kinds), str)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _run(task: type[TaskRequest], values: Mapping[str, Any]) -> None:
    run: Invocation = click.get_current_context().find_root().obj
    output: Path | None = values["output"]
    options = {name: values[name] for name in task.model_fields if name not in _NOT_OPTIONS}
    images = {spec.name: values[spec.name] for spec in task.images}
    with run.connect(timeout=values["timeout"]) as client:
        text = _texts(values["text"], values.get("weight", ()))
        job = client.submit_task(task.task, text, images, format=format_of(output), **options)
        if values["no_wait"]:
            run.tell(job.record, [job.id])
            return
        wait(job)
        deliver(run, job, output or named(job, task.task), values["show"], values["opened"])


def wait(job: Job, fetch: bool = True) -> None:
    """To the job's end, which a line on the terminal follows. Raises JobFailed and StillRunning."""
    try:
        with job_line() as on_change:
            job.wait(on_change, fetch=fetch)
    except KeyboardInterrupt:
        click.echo(f"The job goes on: mmml wait {job.id}, or mmml cancel {job.id}", err=True)
        raise
