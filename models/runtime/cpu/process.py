"""glibc's allocator for processes that handle large tensors and pictures."""

import os
import sys
from collections.abc import Mapping

_SETTINGS = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    # Threads other than the first allocate from heaps of 64 MiB, which are unmapped when they are
    # empty unless this much is to be kept.
    "MALLOC_TOP_PAD_": "134217728",
}


def tuned_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with large thresholds."""
    return {**environment, **_SETTINGS}


def reexec_tuned(module: str) -> None:
    """Start ``python -m module`` again with large thresholds, unless they are set.

    Large blocks come and go at every step, and by default their pages go back to the kernel each
    time (1.3 times slower). glibc reads these variables at start-up only; elsewhere they do
    nothing.
    """
    if not all(name in os.environ for name in _SETTINGS):
        os.environ.update(tuned_environment(os.environ))
        safe_path = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *safe_path, "-m", module, *sys.argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606


def reexec_in_utf8(module: str) -> None:
    """Start ``python -m module`` again in Python's UTF-8 mode where the locale has another
    encoding, in which names would be read wrongly; what a terminal can't show is escaped.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    safe_path = ["-P"] if sys.flags.safe_path else []
    command = [sys.executable, *safe_path, "-m", module, *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606
