"""Where a process spends its time: stacks of functions and how often each was seen, as flame graph
tools (and https://www.speedscope.app) read them. Needs py-spy, and the right to look into other
processes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_LINE = re.compile(r":\d+\)$")
_SHARE = 0.006  # of all samples; rarer stacks are left out


def recording(pid: int, seconds: float, file: Path) -> subprocess.Popen[bytes] | None:
    """py-spy at work on that process, only where Python holds its lock; None without py-spy."""
    program = shutil.which("py-spy")
    if program is None:
        return None
    command = [
        program, "record", "--pid", str(pid), "--duration", str(round(seconds)), "--rate", "200",
        "--format", "raw", "--gil", "--output", str(file),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def condense(file: Path) -> None:
    """By function, not by line, without rare stacks."""
    stacks: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        stacks[";".join(frames)] += int(count)
    least = _SHARE * stacks.total()
    kept = [f"{stack} {count}" for stack, count in stacks.most_common() if count >= least]
    file.write_text("\n".join(kept) + "\n")


_ROOMS = ("app", "jobs", "workers", "models")
_LIBRARIES = {
    "fastapi": "fastapi, starlette, uvicorn",
    "starlette": "fastapi, starlette, uvicorn",
    "uvicorn": "fastapi, starlette, uvicorn",
    "celery": "celery, kombu",
    "kombu": "celery, kombu",
    "vine": "celery, kombu",
    "redis": "redis",
    "pydantic": "pydantic",
    "logging": "logging",
}
_FILE = re.compile(r"\(([^():]+)")


def shares(file: Path) -> dict[str, float]:
    """By whose code the samples of a recording were taken, most first: that of the innermost
    function of a room or of a library that is named; what Python's own modules do is their
    callers'.
    """
    found: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        found[_owner(stack.split(";"))] += int(count)
    return {name: count / found.total() for name, count in found.most_common()}


def _owner(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        path = _FILE.search(frame)
        top = path[1].split("/")[0] if path else ""
        if top in _ROOMS:
            return f"{top}/"
        if top in _LIBRARIES:
            return _LIBRARIES[top]
    return "threads, event loop"
