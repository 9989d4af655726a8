"""``mmml models`` and ``mmml webhook-secret``: what the service says about itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from mmml.cli.context import CliContext, JsonCommand


@click.command(cls=JsonCommand)
@click.pass_obj
def models(run: CliContext) -> None:
    """List bundles with their tasks and methods; * marks each task's default."""
    with run.connect() as client:
        catalogue = client.models()
    run.print_result(catalogue, _lines(catalogue))


def _lines(catalogue: Mapping[str, Any]) -> Iterator[str]:
    for bundle in catalogue["bundles"]:
        yield f"{bundle['name']}  ({bundle['domain']}; {bundle['licence']})"
        for name, task in bundle["tasks"].items():
            mark = "*" if task["default"] else " "
            yield f"  {mark} {name:<11} {task['size']:>4} px  {', '.join(task['methods'])}"


@click.command("webhook-secret", cls=JsonCommand)
@click.pass_obj
def webhook_secret(run: CliContext) -> None:
    """Show the secret that verifies this service's webhooks."""
    with run.connect() as client:
        secret = client.webhook_secret()
    run.print_result({"secret": secret}, [secret])
