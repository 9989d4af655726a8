"""Commands that come with the service, such as ``mmml serve``. An installed service offers them as
entry points of the group ``mmml.commands``; without it they say where to find them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import click

from mmml.cli.context import CommandError, ExitStatus, json_parameter

GROUP = "mmml.commands"
_HELP = {
    "keys": "Make, list and revoke API keys.",
    "serve": "Run the whole service on this machine until Ctrl-C.",
}


def service_command_names() -> set[str]:
    return {*_HELP, *entry_points(group=GROUP).names}


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
        raise CommandError(ExitStatus.no_service, reason)

    return click.Command(
        name,
        callback=refuse,
        help=f"{_HELP.get(name, '')} Not available here.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
