"""The ``mmml`` command: uses a service from the shell. An installed service adds its own commands,
such as ``mmml serve``.
"""

from mmml.cli.root import cli, main

__all__ = ["cli", "main"]
