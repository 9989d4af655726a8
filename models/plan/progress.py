"""``progress.jsonl``: what a queue did, one line an event, and what follows from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = ("started", "trained", "finished", "interrupted", "failed")


class Progress:
    """Appended to by one queue at a time; read by anybody."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, stage: str, event: str, **more: Any) -> None:
        """Append a line, which is on the disk when this returns."""
        head = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage}
        line = json.dumps({**head, "event": event, **more})
        with self.path.open("ab") as file:
            # A line that a kill tore must not swallow this one.
            torn = file.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            file.write(((b"\n" if torn else b"") + line.encode()) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every whole line, the first first."""
        if not self.path.exists():
            return
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and line.get("event") in EVENTS:
                yield line

    def last(self) -> dict[str, dict[str, Any]]:
        """Stage -> its last event."""
        return {line["stage"]: line for line in self.lines()}
