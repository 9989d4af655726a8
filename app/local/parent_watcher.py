"""Runs one command that must not outlive its parent: ``python -P -m app.local.parent_watcher --
COMMAND …``.

Standard input is a pipe whose other end only the parent holds. When the parent dies, however it
dies, the pipe reaches its end and the command is stopped. This works on Linux and macOS alike and
for commands that are not ours (the broker). On Linux the kernel also ends the command if the guard
itself is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

GRACE_SECONDS = 2.0
_SERVICE_GRACE_SECONDS = 60.0  # of a whole service, for its orderly end
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask the Linux kernel to kill this process with its parent; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child: politely first, then for certain."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def _wait_for_parent(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    _stop(child)


def exit_when_stdin_closes() -> None:
    """End this process, as SIGTERM would, when its standard input ends: with its parent."""
    threading.Thread(target=_wait_for_stdin, name="stdin", daemon=True).start()


def _wait_for_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SERVICE_GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def run_watched(command: Sequence[str]) -> int:
    """Run ``command`` until it ends or the parent is gone; signals are passed on. Returns its exit
    status.
    """
    # The command is built by this program, never by a client.
    child = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent, start_new_session=True
    )

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    # Ctrl-C reaches the whole terminal group; the supervisor decides the order in which things
    # stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, args=(child,), daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    raise SystemExit(run_watched(sys.argv[2:]))
