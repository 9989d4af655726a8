"""What a process costs: processor time, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time, user and kernel, of a process and everything that it started; 0 for one that
    is gone.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = (int(after_name[11]) + int(after_name[12])) / _TICK
    return own + sum(cpu_seconds(int(child)) for child in started)
