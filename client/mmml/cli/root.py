"""The root of the command line. Task commands come from the description of the tasks; those of the
service, such as ``mmml serve``, from entry points of the group ``mmml.commands`` that an installed
service offers: without it they say where to find them. Commands of a few lines stand here.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper
from typing import Any

import click
from click.shell_completion import get_completion_class

from mmml import Client, MmmlError, __version__
from mmml.cli.batch import batch
from mmml.cli.context import (
    MEANINGS,
    CliContext,
    CommandError,
    ExitStatus,
    exit_status,
    json_error,
    json_parameter,
    json_parameters,
    wants_json,
)
from mmml.cli.jobs import cancel, delete, download, events, jobs, show, wait
from mmml.cli.tasks import task_command
from mmml.requests import DEFAULT_URL
from mmml.tasks import tasks

GROUP = "mmml.commands"
_HELP = {
    "admin": "Show and control workers, queue and jobs.",
    "data": "Check and prepare data sets.",
    "evaluate": "Measure a bundle on held-out data.",
    "export": "Write a bundle's weights in their authors' layout.",
    "import": "Make a bundle of published checkpoints.",
    "keys": "Create, list and revoke API keys.",
    "serve": "Run the whole service on this machine until Ctrl-C.",
    "train": "Train one part of a bundle.",
    "train-bundle": "Train a bundle on a folder of captioned photos.",
}


def find_service_command(name: str) -> EntryPoint | None:
    """Where the installed service has this command; None where no service is installed."""
    return next(iter(entry_points(group=GROUP, name=name)), None)


def service_command(name: str) -> click.Command | None:
    """The service's command, or one that says why it is not there; None for an unknown name."""
    entry_point = find_service_command(name)
    if entry_point is not None:
        return _load(name, entry_point)
    return _unavailable(name, _NOT_INSTALLED.format(name=name)) if name in _HELP else None


_NOT_INSTALLED = (
    "'mmml {name}' belongs to the service, which is not installed here. Run it in the service's "
    "own environment: the .venv that 'make setup' makes in its folder, or a container."
)
_SHADOWED = (
    "'mmml {name}' can't be loaded: {error}. If PYTHONPATH names a folder with packages called "
    "app, jobs, models or workers, they hide the service's: take it out."
)


def _load(name: str, entry_point: EntryPoint) -> click.Command:
    try:
        command: click.Command = entry_point.load()
    except (ImportError, AttributeError) as error:
        return _unavailable(name, _SHADOWED.format(name=name, error=error))
    _accept_json(command)
    return command


def _accept_json(command: click.Command) -> None:
    """Add ``--json``, which every command has: to the command, or to those of a group."""
    if isinstance(command, click.Group):
        for member in command.commands.values():
            _accept_json(member)
    elif all("--json" not in parameter.opts for parameter in command.params):
        command.params.append(json_parameter())


def _unavailable(name: str, reason: str) -> click.Command:
    def refuse() -> None:
        raise CommandError(reason, ExitStatus.no_service)

    return click.Command(
        name,
        callback=refuse,
        help=f"{_HELP.get(name, '')} Not available here.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


class Root(click.Group):
    """Tasks first, then the rest. Ctrl-C and errors end with the statuses of docs/cli.md."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """With ``--json``, and how the service is reached."""
        cmd.params += json_parameters()
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        service = {*_HELP, *entry_points(group=GROUP).names}
        return [*tasks(), *sorted({*self.commands, *service} - {*tasks()})]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The service's are looked for, and imported, when they are used."""
        return super().get_command(ctx, cmd_name) or service_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"There is no command {args[0]!r}; there are: {names}.", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        ended: click.ClickException
        try:
            return super().invoke(ctx)
        except MmmlError as error:
            ended = CommandError(str(error), exit_status(error), error)
        except click.ClickException as error:
            ended = error
        except OSError as error:
            if error.errno == errno.EPIPE:  # click ends without a word
                raise
            ended = CommandError(str(error), ExitStatus.refused)
        except KeyboardInterrupt:
            ctx.exit(ExitStatus.interrupted)
        if wants_json(ctx):
            click.echo(json_error(ended), err=True)
            ctx.exit(ended.exit_code)
        raise ended


_STATUSES = "; ".join(f"{code:d} {text}" for code, text in MEANINGS.items())


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=f"Exit statuses: {_STATUSES}.",
    params=[json_parameter()],
)
@click.version_option(__version__, prog_name="mmml")
@click.option("--url", envvar="MMML_URL", default=DEFAULT_URL, help="address of the service")
@click.option(
    "--api-key",
    envvar="MMML_API_KEY",
    help="key of the service; in MMML_API_KEY it is not seen by others",
)
@click.pass_context
def cli(context: click.Context, url: str, api_key: str | None) -> None:
    """Text-guided image generation."""
    if context.obj is None:
        context.obj = CliContext(partial(Client, url=url, api_key=api_key))
    context.obj.as_json = wants_json(context)


for _command in (batch, cancel, delete, download, events, jobs, show, wait):
    cli.add_command(_command)
for _task in tasks().values():
    cli.add_command(task_command(_task))


@cli.command()
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


@cli.command()
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


@cli.command("webhook-secret")
@click.pass_obj
def webhook_secret(run: CliContext) -> None:
    """Show the secret that verifies this service's webhooks."""
    with run.connect() as client:
        secret = client.webhook_secret()
    run.print_result({"secret": secret}, [secret])


def main() -> None:
    """Errors are sentences and exit statuses, not tracebacks; what the terminal's charset lacks is
    escaped.
    """
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="mmml")
