"""The root of the command line. A command's module is imported when the command is asked for; task
commands come from the task registry.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import click

from app.cli.exits import MEANINGS, Exit, Failed, FailedAsJson, exit_of
from app.cli.invocation import Invocation, json_parameter, wants_json
from app.client import DEFAULT_URL, Client, MmmlError
from jobs.requests import TASKS
from jobs.version import VERSION

# command -> the module of app.cli that has it, under this name
COMMANDS = {
    "batch": "batch.command",
    "cancel": "jobs",
    "completion": "completion",
    "delete": "jobs",
    "download": "jobs",
    "events": "jobs",
    "jobs": "jobs",
    "keys": "keys",
    "models": "models",
    "serve": "serve",
    "show": "jobs",
    "wait": "jobs",
    "webhook-secret": "webhooks",
}


class Root(click.Group):
    """Tasks first, then the rest. Ctrl-C and errors end with the statuses of docs/cli.md."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*TASKS, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in TASKS:
            return importlib.import_module("app.cli.tasks").task_command(TASKS[cmd_name])
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"app.cli.{COMMANDS[cmd_name]}")
        return getattr(module, cmd_name.replace("-", "_"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            self._suggest(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _suggest(self, ctx: click.Context, given: str) -> None:
        names = ", ".join(self.list_commands(ctx))
        raise click.UsageError(f"There is no command {given!r}; there are: {names}.", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if wants_json(ctx):
                raise FailedAsJson(error) from error
            raise
        except KeyboardInterrupt:
            ctx.exit(Exit.interrupted)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MmmlError as error:
            raise Failed(exit_of(error), str(error), error) from error


_EXITS = "; ".join(f"{code:d} {text}" for code, text in MEANINGS.items())


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit statuses: {_EXITS}.",
    params=[json_parameter()],
)
@click.version_option(VERSION, prog_name="mmml")
@click.option(
    "--url",
    envvar="MMML_URL",
    default=DEFAULT_URL,
    show_default=True,
    help="address of the service",
)
@click.option("--api-key", envvar="MMML_API_KEY", help="better set as MMML_API_KEY")
@click.pass_context
def cli(context: click.Context, url: str, api_key: str | None) -> None:
    """Text-guided image generation."""
    if context.obj is None:
        context.obj = Invocation(partial(Client, url=url, api_key=api_key))
    context.obj.as_json = wants_json(context)


def main() -> None:
    """Errors are sentences and exit statuses, not tracebacks."""
    cli(prog_name="mmml")
