"""One word, one meaning: names that readers could not guess are gone, and stay gone."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# By room, the names that no module, class, function, parameter or setting bears: whole names.
SERVICE = """
    steward recover sweep doorman gate pressure intake grouping Grouped slow body_memory
    http_protocol waiters feeds slots hands Taken alone SharedOrAlone standin wishes look place
    off_loop told wording said settle settled overtaken patience guard children seen sees listed
    once remembered shown
"""
MODELS = """
    judge judges judging_loss judge_loss fooling_loss critic critics Looked Seen look looking laid
    placed moved lower sensitive exact alone rebuild reach divergence wrong named Phase turns
    widened filled_up Replayed Allowance in_fours hole
"""
MODELS += SERVICE
ROOMS = {
    "app": SERVICE,
    "jobs": SERVICE,
    "workers": SERVICE,
    "client": SERVICE,
    "models": MODELS,
    "benchmarks": MODELS,
}
PROSE = re.compile(r"\b(stewards?|doorman|told|hands|patience|stand-?ins?)\b", re.IGNORECASE)
PROSE_ROOMS = (*ROOMS, "benchmarks", "tests", "docs", "deploy")
# Files that speak of these words: this one, and those that still take an option's earlier name.
EXEMPT = (
    "tests/test_words.py",
    "client/mmml/operations.py",
    "client/mmml/testing.py",
    "client/mmml/cli/batch/__init__.py",
    "tests/client/test_client.py",
    "tests/models/",
    "tests/studio/",  # the page's own class names
    "benchmarks/results/",
)


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a reader looks for: fields are parameters and settings."""
    yield 1, path.stem
    yield 1, path.parent.name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.lineno, field.target.id


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_the_fields(room: str) -> None:
    out = set(ROOMS[room].split())
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules(room)
        for line, name in names(path)
        if name.lstrip("_") in out
    ]
    assert found == []


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Comments, docstrings and messages of Python, or every line of a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_sentence = token.type == tokenize.COMMENT or " " in token.string
        if token.type in (tokenize.STRING, tokenize.COMMENT) and is_sentence:
            yield from enumerate(token.string.splitlines(), token.start[0])


def pages(room: str) -> list[Path]:
    return [p for p in sorted((ROOT / room).rglob("*")) if p.suffix in (".py", ".md", ".lua")]


@pytest.mark.parametrize("room", [*PROSE_ROOMS, "."])
def test_prose_says_it_in_the_fields_words(room: str) -> None:
    paths = sorted(ROOT.glob("*.md")) if room == "." else pages(room)
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.strip()[:100]}"
        for path in paths
        if path.name != "CHANGELOG.md"
        and not str(path.relative_to(ROOT)).startswith(EXEMPT)
        and ".egg-info" not in str(path)
        for line, text in prose(path)
        if PROSE.search(text)
    ]
    assert found == []
