"""Which machine, and how busy, a number comes from."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from models.runtime.device import processor
from models.training.run import commit, package_version

_PACKAGES = ("torch", "celery", "redis", "fastapi", "uvicorn", "litserve", "flask")
_FILES = 100


def machine() -> dict[str, Any]:
    """Processor, cores, memory, versions, the commit, and the load at the beginning."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in _PACKAGES},
        "commit": commit(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def file_us(folder: Path) -> int:
    """Microseconds of processor time that a new file takes there, 10 to 30 as a rule. It has been
    90 to 950 after many files were erased (docs/log.md), and a job of the service makes a folder
    and a file where its peers make none.
    """
    inside = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    before = time.process_time()
    for number in range(_FILES):
        (inside / str(number)).touch()
    return round(1e6 * (time.process_time() - before) / _FILES)


def described(found: dict[str, Any]) -> str:
    """One sentence."""
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    file = f"; a new file takes {found['file_us']} µs" if "file_us" in found else ""
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gb']} GB; Python "
        f"{found['python']}, {versions}; commit {found['commit']}, {found['date']}; load average "
        f"{found['load_before']} before it began{file}."
    )
