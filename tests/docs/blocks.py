"""The fenced blocks of the documentation. ``sh`` and ``python`` blocks are run, unless their fence
says why not: ```` ```sh (not run: needs a container engine) ````.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Their own tests run what they show.
ELSEWHERE = ("openai.md", "python.md", "testing.md")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(.*)$")
_INFO = re.compile(r"(\w+)(?: \(not run: (.+)\))?")


@dataclass(frozen=True)
class Block:
    """One block; ``line`` is its fence's. ``reason`` says why it isn't run."""

    page: str
    line: int
    language: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order. Raises ValueError for a fence without a language."""
    info, start, lines = "", 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if not fence:
            lines.append(line)
        elif start:
            yield _block(page.name, start, info, "\n".join(lines) + "\n")
            start = 0
        else:
            info, start, lines = fence[1], number, []


def _block(page: str, line: int, info: str, text: str) -> Block:
    found = _INFO.fullmatch(info.strip())
    if not found:
        raise ValueError(
            f"{page}:{line}: the fence says {info!r}; say a language, and (not run: WHY) if need be"
        )
    return Block(page, line, found[1], found[2] or "", text)


def commands(block: Block) -> Iterator[str]:
    """The commands of a shell block, continued lines joined, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#\s.*$", "", line).strip()
        if command:
            yield command
