"""The service's part of the ``mmml`` command: each module has a command, which an entry point of
the group ``mmml.commands`` names (``pyproject.toml``).
"""
