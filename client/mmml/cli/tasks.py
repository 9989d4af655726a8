"""``mmml TASK [PICTURE…] TEXT``: a command for every task, with an option for every field of its
request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mmml.base_job import FORMATS
from mmml.cli.context import CliContext
from mmml.cli.output import (
    default_output,
    deliver,
    output_parameters,
    timeout_parameter,
    wait_for_job,
)
from mmml.tasks import Field, Task

_NOT_OPTIONS = ("text", "format")  # an argument, and what the output's name says
_WEIGHT = "share of a text in the mix, once for each text"


def task_command(task: Task) -> click.Command:
    images = [click.Argument([name], metavar=name.upper()) for name in task.images]
    several: dict[str, Any] = {"nargs": -1, "required": True, "metavar": "TEXT..."}
    texts = click.Argument(["text"], **several if "text" in task.repeatable else {})
    options = [_option(field) for name, field in task.fields.items() if name not in _NOT_OPTIONS]
    if "weight" in task.repeatable:
        options.append(click.Option(["--weight"], type=float, multiple=True, help=_WEIGHT))
    described = "".join(_argument_help(name, text) for name, text in task.images.items())
    return click.Command(
        task.name,
        params=[
            *images,
            texts,
            *options,
            *output_parameters(),
            timeout_parameter(),
            click.Option(
                ["--no-wait"], is_flag=True, help="print the job's id without waiting for its end"
            ),
        ],
        callback=lambda **values: _run(task, values),
        help=f"{task.summary}.{described}",
        epilog=_example(task),
        short_help=task.summary,
    )


_OTHERS = {"mask": ", or a box x,y,width,height, or alpha for the photo's transparent pixels"}


def _argument_help(name: str, text: str) -> str:
    return f"\n\n{name.upper()}: {text}{_OTHERS.get(name, '')}; a file or /jobs/ID/images/0."


_IMAGES = {"image": "photo.jpg", "mask": "140,40,80,60"}


def _example(task: Task) -> str:
    words = ["mmml", task.name, *(_IMAGES.get(name, name) for name in task.images)]
    return f'Example: {" ".join(words)} "a bird with a red crown" -o bird.png'


def merge_texts(text: str | tuple[str, ...], weights: Sequence[float]) -> Any:
    """A single text as it is; several as a list, with their weights if there are any."""
    if isinstance(text, str):
        return text
    if weights and len(weights) != len(text):
        raise click.UsageError(f"There are {len(text)} texts and {len(weights)} weights.")
    if weights:
        return [{"text": t, "weight": w} for t, w in zip(text, weights, strict=True)]
    return list(text) if len(text) > 1 else text[0]


def _option(field: Field) -> click.Option:
    """An option for a request's field; its limits are the service's to check."""
    flag = f"--{field.name.replace('_', '-')}"
    if field.type is bool:
        text = str(field.schema.get("description", ""))
        return click.Option([flag, field.name], is_flag=True, default=None, help=text)
    return click.Option(
        [flag, field.name],
        type=field.type,
        default=None,
        metavar=_metavar(field),
        help=field.description.replace("GET /models lists", "mmml models lists"),
    )


def _metavar(field: Field) -> str | None:
    if choices := field.schema.get("enum"):
        return f"[{'|'.join(map(str, choices))}]"
    return None if field.type is int else field.name.upper()


def _run(task: Task, values: Mapping[str, Any]) -> None:
    run: CliContext = click.get_current_context().find_root().obj
    output: Path | None = values["output"]
    options = {name: values[name] for name in task.fields if name not in _NOT_OPTIONS}
    images = {name: values[name] for name in task.images}
    with run.connect(timeout=values["timeout"]) as client:
        text = merge_texts(values["text"], values.get("weight", ()))
        format = FORMATS.get(output.suffix.lower()) if output else None
        job = client.submit_task(task.name, text, images, format=format, **options)
        if values["no_wait"]:
            run.print_result(job.record, [job.id])
            return
        wait_for_job(job)
        deliver(
            run, job, output or default_output(job, task.name), values["show"], values["opened"]
        )
