"""The table of all faults: JSON for programs, Markdown for people. A run of a few faults replaces
their rows and keeps the others.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.faults import Tally

Row = dict[str, Any]


def row(tally: Tally) -> Row:
    """``{runs, lost, duplicated, seconds_max, bar, ok}``."""
    return {
        "runs": len(tally.findings),
        "lost": tally.lost,
        "duplicated": tally.duplicated,
        "seconds_max": round(tally.seconds_max, 2),
        "bar": tally.fault.bar,
        "ok": tally.ok,
    }


def about(tally: Tally, quick: bool, commit: str) -> Row:
    """What is worth knowing of a row beside its numbers. commit: of the code that was tried."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit,
        "quick": quick,
        "broken": tally.broken,
        "notes": tally.notes,
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


@dataclass(frozen=True)
class Table:
    """``chaos.json`` (rows), ``chaos-about.json`` (where they come from) and ``chaos.md`` in one
    folder. The commit is read when a run begins: the code may have changed when it ends.
    """

    folder: Path
    commit: str = field(default_factory=_commit)

    def rows(self) -> dict[str, Row]:
        return _read(self.folder / "chaos.json")

    def abouts(self) -> dict[str, Row]:
        return _read(self.folder / "chaos-about.json")

    def merge(self, tallies: Sequence[Tally], order: Sequence[str], quick: bool) -> None:
        """Replace the rows of ``tallies``. Rows stand in ``order``; those of faults that it does
        not name are dropped.
        """
        rows = self.rows() | {t.fault.name: row(t) for t in tallies}
        abouts = self.abouts() | {t.fault.name: about(t, quick, self.commit) for t in tallies}
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = [name for name in order if name in rows]
        _write(self.folder / "chaos.json", {name: rows[name] for name in kept})
        _write(self.folder / "chaos-about.json", {name: abouts.get(name, {}) for name in kept})
        text = markdown({n: rows[n] for n in kept}, {n: abouts.get(n, {}) for n in kept})
        (self.folder / "chaos.md").write_text(text)


def markdown(rows: Mapping[str, Row], abouts: Mapping[str, Row]) -> str:
    """One line per fault."""
    lines = [
        "| fault | runs | lost | duplicated | s, longest | bar | holds | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        result = abouts.get(name, {})
        said = "; ".join([*result.get("broken", ()), *result.get("notes", ())])
        where = f"{result.get('commit', '?')}, {result.get('date', '?')}"
        where += ", quick" if result.get("quick") else ""
        cells = [
            name,
            *(str(found[k]) for k in ("runs", "lost", "duplicated", "seconds_max", "bar")),
            "yes" if found["ok"] else "**no**",
            f"{said} ({where})".strip(),
        ]
        lines.append("| " + " | ".join(c.replace("|", "/") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def verdict(tallies: Sequence[Tally]) -> str:
    """The last line of a run."""
    return f"chaos: {sum(t.ok for t in tallies)}/{len(tallies)} faults hold"


def _read(path: Path) -> dict[str, Row]:
    return json.loads(path.read_text()) if path.exists() else {}


def _write(path: Path, rows: Mapping[str, Row]) -> None:
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
