"""``progress.jsonl``: what a queue did, one line an event, and what follows from it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.files import json_lines


class Progress:
    """Appended to by one queue at a time; read by anybody."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, stage: str, event: str, **more: Any) -> None:
        """Append a line, which is on the disk when this returns. event: started, trained, finished,
        interrupted or failed.
        """
        head = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage}
        line = json.dumps({**head, "event": event, **more})
        with self.path.open("ab") as file:
            # A line that a kill tore must not swallow this one.
            torn = file.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            file.write(((b"\n" if torn else b"") + line.encode()) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def last(self) -> dict[str, dict[str, Any]]:
        """Stage -> its last event."""
        return {line["stage"]: line for line in json_lines(self.path, "event")}
