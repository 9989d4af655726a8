"""The documentation says what is true, as far as that can be seen without running its commands."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from app.gateway.rate_limits import _EXCEEDED
from jobs.job import ErrorCode
from mmml.cli import cli
from mmml.cli.context import MEANINGS
from models.__main__ import command_line
from tests.docs.blocks import ELSEWHERE, PAGES, ROOT, Block, blocks, commands

FAQ = (ROOT / "docs" / "faq.md").read_text()
NOT_RUN = [b for page in PAGES for b in blocks(page) if b.reason]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), target


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.strip().replace(" ", "-") for text in kept}


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_what_is_not_run_can_be_parsed(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
        return
    done = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in commands(block):
        words = shlex.split(command)
        known = PARSERS.get(words[0])
        if known:
            known(words[1:])


def _python(words: list[str]) -> None:
    if words[:2] == ["-m", "models"]:
        command_line().parse_args(words[2:])


def _mmml(words: list[str]) -> None:
    """Parses as the command would, and runs nothing."""
    context: Any = cli.make_context("mmml", words)
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, context._protected_args)
        assert command is not None
        context = command.make_context(name, rest + context.args, parent=context)


def _make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


def _docker(words: list[str]) -> None:
    for option, file in itertools.pairwise(words):
        assert option != "-f" or (ROOT / file).is_file(), file


PARSERS = {"python": _python, "mmml": _mmml, "make": _make, "docker": _docker}


@pytest.mark.parametrize(
    "text",
    [
        "python -m models train wings --preset aviary --out runs/x",
        "mmml synthesise 'a bird'",
        "mmml batch rows.csv",
        "make sandwich",
        "docker compose -f docker-compose.moon.yml up",
    ],
)
def test_mistakes_in_commands_are_found(text: str) -> None:
    words = shlex.split(text)
    with pytest.raises((SystemExit, click.ClickException, AssertionError)):
        PARSERS[words[0]](words[1:])


def test_settings_are_as_the_code_says() -> None:
    command = [sys.executable, ".ci/settings_page.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, env=_with_root(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def _with_root() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


def test_exit_statuses_are_as_the_code_says() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for code, meaning in MEANINGS.items():
        assert f"| {code:d} | {code.name} | {meaning} |" in page


def test_every_command_is_told_of() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for name in cli.list_commands(click.Context(cli)):
        assert f"mmml {name}" in page, name


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_is_explained(code: ErrorCode) -> None:
    section = re.search(rf"^### `{code}`\n(.+)", FAQ, re.MULTILINE)
    assert section, f"docs/faq.md has no section for {code}"


def problems() -> Iterator[ast.Call]:
    """Every place in the gateway that answers with a problem."""
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Problem", "ImageProblem"):
                yield node


def test_every_status_is_explained() -> None:
    statuses = {c.args[0].value for c in problems() if isinstance(c.args[0], ast.Constant)}
    assert {400, 401, 404, 422, 429, 503} <= statuses
    for status in {*statuses, 405, 413, 415}:
        assert re.search(rf"^\| {status} \| .+ \| .+ \|$", FAQ, re.MULTILINE), status


def test_every_type_code_and_member_is_explained() -> None:
    assert f"`{_EXCEEDED}`" in FAQ
    result = {"headers", "errors", "retry_after"}
    for call in problems():
        for keyword in call.keywords:
            if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                assert f"`{keyword.value.value}`" in FAQ
            assert keyword.arg is None or keyword.arg in result or f"| `{keyword.arg}` |" in FAQ, (
                ast.unparse(call)
            )


def test_what_is_run_elsewhere_is_run_elsewhere() -> None:
    tests = {path.read_text() for path in (ROOT / "tests").rglob("test_*page.py")}
    for name in ELSEWHERE:
        page = ROOT / "docs" / name
        assert not page.exists() or any(name in text for text in tests), name
