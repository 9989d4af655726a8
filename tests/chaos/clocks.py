"""A process whose clock is wrong: ``MMML_CHAOS_CLOCK`` seconds ahead of the others."""

from __future__ import annotations

import os
import time

VARIABLE = "MMML_CHAOS_CLOCK"


def set_wrong() -> None:
    """From here on, as far as this process reads ``time.time``."""
    ahead, right = float(os.environ.get(VARIABLE, 0)), time.time
    if ahead:
        time.time = lambda: right() + ahead
