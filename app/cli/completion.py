"""``mmml completion``: tab completion for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in SHELL.

    bash: eval "$(mmml completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc with zsh; fish:
    mmml completion fish > ~/.config/fish/completions/mmml.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 (the choices above are click's own)
    click.echo(made(context.find_root().command, {}, "mmml", "_MMML_COMPLETE").source())
