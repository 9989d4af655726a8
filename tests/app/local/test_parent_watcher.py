import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SLEEPER = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie of a parent that has not yet been waited for counts as gone.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] == "Z"


def _eventually(check: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False


def _guard(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.local.parent_watcher", "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_exit_status_is_passed_on() -> None:
    with _guard(sys.executable, "-c", "raise SystemExit(7)") as guard:
        assert guard.wait(10) == 7


def test_command_ends_with_the_pipe() -> None:
    with _guard(sys.executable, "-c", SLEEPER) as guard:
        assert guard.stdout is not None
        pid = int(guard.stdout.readline())
        assert guard.stdin is not None
        guard.stdin.close()
        assert _eventually(lambda: _gone(pid))


def test_command_ends_when_the_guards_parent_is_killed() -> None:
    parent = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-m', 'app.local.parent_watcher', '--', "
        "sys.executable, '-c', "
        f"{SLEEPER!r}], stdin=subprocess.PIPE); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as top:
        assert top.stdout is not None
        pid = int(top.stdout.readline())
        top.kill()
        top.wait()
        assert _eventually(lambda: _gone(pid))


def test_terminate_reaches_the_command() -> None:
    with _guard(sys.executable, "-c", SLEEPER) as guard:
        assert guard.stdout is not None
        pid = int(guard.stdout.readline())
        guard.send_signal(signal.SIGTERM)
        guard.wait(10)
        assert _gone(pid)
