"""What a command says when it can't go on: one sentence and an exit status, wherever the error came
from. What is not listed here is a mistake in the code, and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL.Image import DecompressionBombWarning

from models.errors import ModelsError, Stopped

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory", re.I)
_LOST = re.compile(r"gloo|nccl|connection (reset|closed|refused)|broken pipe|store->get", re.I)
# command -> what to lower
_LOWER = {
    "train": "lower loop.batch or loop.size (--set loop.batch=8), or take each batch in slices "
    "(--set loop.accumulate=4)",
    "evaluate": "lower --batch or --size",
}


@contextmanager
def exit_with_sentence(command: str = "") -> Iterator[None]:
    """Ends the process with a sentence for every error that a person can do something about."""
    warnings.simplefilter("ignore", DecompressionBombWarning)  # photos may have 100 megapixels
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
    except BaseException as error:
        text, status = sentence(error, command)
        if text is None:
            raise
        sys.stderr.write(text + "\n")
        raise SystemExit(status) from None


def sentence(error: BaseException, command: str = "") -> tuple[str | None, int]:
    """What to say of an error, None for a mistake in the code; and the exit status."""
    if isinstance(error, KeyboardInterrupt):
        return "Stopped at once.", 128 + signal.SIGINT
    if isinstance(error, Stopped):  # on purpose, which is no error
        return str(error), error.status
    if isinstance(error, ModelsError):
        return f"error: {error}", 1
    message = _explain(error, command)
    return (None if message is None else f"error: {message}"), 1


def _explain(error: BaseException, command: str) -> str | None:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and _MEMORY.search(text)
    ):
        lower = _LOWER.get(command, "close other programs, or take a machine with more")
        return f"There is not enough memory ({_short(text)}); {lower}."
    if isinstance(error, OSError):
        return os_error_sentence(error)
    if isinstance(error, UnicodeError):
        return f"A text can't be read or written ({_short(text)}); set PYTHONUTF8=1 and try again."
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("models"):
        return f"The package {error.name} is missing; install the project again, with its extras."
    if isinstance(error, RuntimeError) and _LOST.search(text):
        return (
            f"Another process of this run has stopped ({_short(text)}); what was saved is kept: "
            "run the same command again to resume."
        )
    return None


def os_error_sentence(error: OSError) -> str:
    """What the system refused, of which file, and what to do."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    what = f"{where}: {error.strerror}" if where else str(error.strerror or error)
    if error.errno in _FULL:
        return f"There is no space left ({what}); free some and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{what}; choose another place, or change who may use this one."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{what}; allow more open files (ulimit -n 4096)."
    return f"{what}."


def _short(text: str) -> str:
    return text[:160] or "nothing more is known"


def _leave_quietly() -> None:
    """Whoever read has gone, as ``head`` does; Python would complain that it can't flush."""
    hole = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(hole, stream.fileno())
    raise SystemExit(128 + signal.SIGPIPE)
