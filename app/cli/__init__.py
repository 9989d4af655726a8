"""The ``mmml`` command: serve, and use a service from the shell."""

from app.cli.root import cli, main

__all__ = ["cli", "main"]
