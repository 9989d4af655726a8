"""File names and texts are UTF-8, whatever the locale says."""

from __future__ import annotations

import os
import sys


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
