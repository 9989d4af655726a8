"""What a service says, for a terminal: it must not be able to move the cursor or set a title."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """The text with a mark in place of control characters, other than tab and line feed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))
