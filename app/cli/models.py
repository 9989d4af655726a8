"""``mmml models``: what the service can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from app.cli.invocation import Invocation, JsonCommand


@click.command(cls=JsonCommand)
@click.pass_obj
def models(run: Invocation) -> None:
    """List bundles with their tasks and methods; * marks each task's default."""
    with run.connect() as client:
        found = client.models()
    run.tell(found, _lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    for bundle in found["bundles"]:
        yield f"{bundle['name']}  ({bundle['domain']}; {bundle['licence']})"
        for name, task in bundle["tasks"].items():
            mark = "*" if task["default"] else " "
            yield f"  {mark} {name:<11} {task['size']:>4} px  {', '.join(task['methods'])}"
