"""The root of the command line. A command's module is imported when the command is used. Task
commands come from the description of the tasks, the service's commands from entry points. Commands
of a few lines stand here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import click
from click.shell_completion import get_completion_class

from mmml import Client, MmmlError, __version__
from mmml.cli.context import (
    MEANINGS,
    CliContext,
    CommandError,
    ExitStatus,
    JsonCommand,
    JsonCommandError,
    exit_status,
    json_parameter,
    wants_json,
)
from mmml.cli.service_commands import service_command, service_command_names
from mmml.requests import DEFAULT_URL
from mmml.tasks import tasks

# command -> the module of mmml.cli that has it, under this name
COMMANDS = {
    "batch": "batch",
    "cancel": "jobs",
    "completion": "root",
    "delete": "jobs",
    "download": "jobs",
    "events": "jobs",
    "jobs": "jobs",
    "models": "root",
    "show": "jobs",
    "wait": "jobs",
    "webhook-secret": "root",
}


class Root(click.Group):
    """Tasks first, then the rest. Ctrl-C and errors end with the statuses of docs/cli.md."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*tasks(), *sorted({*COMMANDS, *service_command_names()})]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in tasks():
            return importlib.import_module("mmml.cli.tasks").task_command(tasks()[cmd_name])
        if cmd_name not in COMMANDS:
            return service_command(cmd_name)
        module = importlib.import_module(f"mmml.cli.{COMMANDS[cmd_name]}")
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
                raise JsonCommandError(error) from error
            raise
        except KeyboardInterrupt:
            ctx.exit(ExitStatus.interrupted)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MmmlError as error:
            raise CommandError(exit_status(error), str(error), error) from error


_STATUSES = "; ".join(f"{code:d} {text}" for code, text in MEANINGS.items())


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit statuses: {_STATUSES}.",
    params=[json_parameter()],
)
@click.version_option(__version__, prog_name="mmml")
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
        context.obj = CliContext(partial(Client, url=url, api_key=api_key))
    context.obj.as_json = wants_json(context)


@click.command(cls=JsonCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in SHELL.

    bash: eval "$(mmml completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc with zsh; fish:
    mmml completion fish > ~/.config/fish/completions/mmml.fish
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None  # noqa: S101 (the choices above are click's own)
    root = context.find_root().command
    click.echo(shell_class(root, {}, "mmml", "_MMML_COMPLETE").source())


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


def main() -> None:
    """Errors are sentences and exit statuses, not tracebacks."""
    cli(prog_name="mmml")
