"""Faults that wait inside a process: each is a file, and the process that removes it suffers it.

Only the worker and the gateway of this suite look at such files; the ones that are installed do not
know them.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


class Strikes:
    """Shared by the suite and the processes that it strikes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arm(self, name: str) -> None:
        """Let the next process that comes to the point ``name`` suffer there, once."""
        (self.folder / name).touch()

    def armed(self, name: str) -> bool:
        return (self.folder / name).exists()

    def disarm(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def take(self, name: str) -> bool:
        """Whether this process is the one that suffers."""
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def kill_here(self, name: str) -> None:
        """End this process by ``kill -9`` if that is armed."""
        if self.take(name):
            kill_self()

    def note(self, name: str, number: int) -> None:
        """Tell the suite something, also when this process is about to die."""
        with (self.folder / f"{name}.notes").open("a") as file:
            file.write(f"{number}\n")

    def notes(self, name: str) -> list[int]:
        """What was reported since :meth:`forget`."""
        path = self.folder / f"{name}.notes"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def forget(self) -> None:
        for path in self.folder.glob("*.notes"):
            path.unlink()


def kill_self() -> None:
    """What ``kill -9`` from outside does, at exactly this line."""
    os.kill(os.getpid(), signal.SIGKILL)
