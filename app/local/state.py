"""The state folder: broker data, pictures and logs of one service, which owns it while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107 on Linux and 103 on macOS
LOCK_WAIT_SECONDS = 10.0


class LocalServiceError(RuntimeError):
    """The private service can't start; the message says what to do."""


def default_state_dir() -> Path:
    """The user's state folder (XDG), where broker data, blobs and logs are kept."""
    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(root) / "mmml"


def socket_path(state_dir: Path) -> Path:
    """Where the broker listens: in the state folder, or in /tmp when that path is too long for a
    socket.
    """
    path = state_dir / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mmml-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LocalServiceError(f"{folder} belongs to somebody else. Use a shorter --state-dir.")
    return folder / "valkey.sock"


def make_private(state_dir: Path) -> None:
    """The folder for this user alone, and so every file that this process and its children make:
    captions, pictures and the secrets that sign addresses lie there.
    """
    os.umask(0o077)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not state_dir.stat().st_mode & 0o077:
        return
    try:
        state_dir.chmod(0o700)
    except OSError as error:
        raise LocalServiceError(
            f"Other users of this machine can read {state_dir}, which belongs to somebody else. "
            "Choose another --state-dir."
        ) from error
    sys.stderr.write(f"mmml: other users of this machine could read {state_dir}; no longer.\n")


@contextlib.contextmanager
def state_lock(state_dir: Path, wait: float = LOCK_WAIT_SECONDS) -> Iterator[int]:
    """Own the state folder. The broker's guard inherits the lock, so that two brokers never share
    the data.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "lock").open("w") as handle:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalServiceError(
                        f"Another mmml serve uses {state_dir}. Stop it, or choose another "
                        f"--state-dir."
                    ) from None
                time.sleep(0.1)
        yield handle.fileno()
