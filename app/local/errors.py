"""What keeps the private service from starting."""

from __future__ import annotations


class EmbeddedError(RuntimeError):
    """The private service can't start; the message says what to do."""
