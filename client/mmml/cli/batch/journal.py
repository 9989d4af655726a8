"""What a batch has done, in its folder: one line of JSON for every step, written before the next.

A batch that was killed reads it and goes on. Its first line holds a random name, from which and a
row's content every Idempotency-Key follows: a job whose line was not written any more is found by
its key, not made again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mmml.cli.batch.rows import Row
from mmml.cli.context import CommandError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "journal.jsonl"
_LOCKED_BYTE = 2**30  # which no journal reaches: Windows keeps others from reading what is locked


@dataclass
class RowState:
    """How far a row is. ``attempt`` counts its jobs that came to nothing."""

    attempt: int = 0
    job: str = ""
    status: str = ""
    seed: int | None = None
    files: Sequence[str] = ()
    warnings: Sequence[str] = ()
    error: str = ""

    @property
    def done(self) -> bool:
        return self.status == "succeeded"


@dataclass
class Journal:
    """States of rows by digest; thread-safe."""

    batch: str
    _handle: TextIO
    states: dict[str, RowState] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self, row: Row) -> RowState:
        with self._lock:
            return self.states.setdefault(row.digest, RowState())

    def key(self, row: Row) -> str:
        """The Idempotency-Key of the row's present attempt."""
        parts = f"{self.batch}\0{row.digest}\0{self.state(row).attempt}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def record(self, row: Row, **changes: Any) -> None:
        """Change the row's state and write it down."""
        with self._lock:
            state = self.states.setdefault(row.digest, RowState())
            vars(state).update(changes)
            _write(self._handle, {"row": row.digest, "number": row.number, **changes})

    def record_failure(self, row: Row, error: str) -> None:
        """The present job produced nothing: the next one has another key."""
        attempt = self.state(row).attempt + 1
        self.record(row, attempt=attempt, job="", status="failed", error=error)

    def stem(self, row: Row) -> str:
        """Name of the row's pictures: its number, unless an earlier version of the file had another
        row there.
        """
        name = f"{row.number:04d}"
        with self._lock:
            others = (s.files for digest, s in self.states.items() if digest != row.digest)
            taken = {Path(file).stem.split("-")[0] for files in others for file in files}
        return f"{name}-{row.digest[:6]}" if name in taken else name


def _write(handle: TextIO, entry: dict[str, Any]) -> None:
    handle.write(json.dumps(entry, ensure_ascii=False) + "\n")
    handle.flush()


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The journal of ``folder``, which is this process's until the end of the block."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{folder} can't be written: {error.strerror}.") from error
    with handle:
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError):
            raise CommandError(f"Another batch is writing into {folder}.") from None
        yield _read(handle)


def _lock(handle: TextIO) -> None:
    """Until it is closed. Raises BlockingIOError, on Windows PermissionError, if it is locked."""
    if fcntl:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    file = handle.fileno()
    os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    finally:
        os.lseek(file, 0, os.SEEK_SET)


def _read(handle: TextIO) -> Journal:
    handle.seek(0)
    text = handle.read()
    entries = [entry for line in text.split("\n") if (entry := _entry(line))]
    batch = next((str(e["batch"]) for e in entries if "batch" in e), "")
    journal = Journal(batch or secrets.token_hex(16), handle)
    if text and not text.endswith("\n"):  # a line that was cut by a kill
        handle.write("\n")
    if not batch:
        _write(handle, {"batch": journal.batch})
    for entry in entries:
        if "row" in entry:
            state = journal.states.setdefault(entry.pop("row"), RowState())
            entry.pop("number", None)
            vars(state).update(entry)
    return journal


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


RESULTS = "results.csv"
COLUMNS = ("row", "task", "text", "status", "seed", "files", "job", "warnings", "error")


def write_results(folder: Path, rows: Sequence[Row], journal: Journal) -> Path:
    """All rows in the file's order; one that was not reached is ``waiting``. Replaces the file in
    one step.
    """
    path = folder / RESULTS
    beside = path.with_suffix(".part")
    with beside.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow(COLUMNS)
        table.writerows(_result_cells(row, journal) for row in rows)
    os.replace(beside, path)  # noqa: PTH105 (the very call that is atomic)
    return path


def _result_cells(row: Row, journal: Journal) -> list[object]:
    state = journal.state(row)
    return [
        row.number,
        row.task,
        row.fields["text"],
        state.status or "waiting",
        "" if state.seed is None else state.seed,
        " ".join(state.files),
        state.job,
        " ".join(state.warnings),
        state.error,
    ]
