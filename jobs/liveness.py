"""A sign of life for container engines: a file that a working process touches again and again.

``python -m jobs.liveness`` succeeds while the file named by ``MMML_ALIVE_FILE`` is younger than a
minute. It asks neither broker nor storage, so that their outage never looks like a dead process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

VARIABLE = "MMML_ALIVE_FILE"
MAX_AGE = 60.0  # seconds


def touch_file() -> None:
    """Show that this process still works; does nothing where no file is named."""
    name = os.environ.get(VARIABLE)
    if name:
        with contextlib.suppress(OSError):  # a full disk is no reason to end
            Path(name).touch()


def age() -> float | None:
    """Seconds since the last sign; None when there has been none."""
    try:
        return time.time() - Path(os.environ[VARIABLE]).stat().st_mtime
    except (KeyError, OSError):
        return None


def main() -> int:
    """Exit status 0 while the process works, else 1 and a sentence on standard error."""
    seconds = age()
    if seconds is not None and seconds < MAX_AGE:
        return 0
    message = "no sign of life yet" if seconds is None else f"last sign of life {seconds:.0f} s ago"
    sys.stderr.write(f"{message}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
