"""What error sentences advise: options and commands that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pytest

import models
from models.__main__ import COMMANDS, command_line
from models.commands.checkpoints import FILES
from models.errors import ModelsError
from tests.models.data import made_sets

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
QUOTED = re.compile(r"python -m models ([a-z-]+)(?: (check|prepare|encoders)\b)?")
ROOT = Path(models.__file__).parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
ALL = (*COMMANDS, "data check", "data prepare", "judge encoders", *(f"import {m}" for m in FILES))


def options(command: str) -> set[str]:
    """What a command takes; nothing where there is no such command."""
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(StringIO()), suppress(SystemExit):
        command_line().parse_args([*command.split(), "--help"])
    return set(OPTION.findall(printed.getvalue()))


def sentences() -> Iterator[str]:
    """Every text of several words in the code but docstrings."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        docs = {ast.get_docstring(n, clean=False) for n in nodes if isinstance(n, DOCUMENTED)}
        for node in nodes:
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [getattr(part, "value", None) for part in parts]
            text = "".join(t if isinstance(t, str) else "X" for t in texts)
            if " " in text and text not in docs:
                yield text


def test_options_and_commands_in_sentences_exist() -> None:
    known = set().union(*(options(command) for command in ALL))
    named = {option for text in sentences() for option in OPTION.findall(text)}
    assert {"--out", "--prepared", "--bundle"} <= named
    assert named <= known
    quoted = {" ".join(found).strip() for text in sentences() for found in QUOTED.findall(text)}
    assert {"data prepare", "train"} <= quoted <= {*ALL, "X"}


LONE = [f"disc{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.mark.parametrize("command", ["train-bundle", "data check", "data prepare"])
@pytest.mark.parametrize("kind", ["lone words", "none", "few", "one caption", "elsewhere"])
def test_what_a_refusal_advises_is_an_option_of_the_command_or_of_the_one_it_names(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = data_of(kind, tmp_path / "set")
    # where a command writes: inside of the data set, if nothing else is wrong
    beyond = {"train-bundle": ["--into", str(folder / "made"), "--runs", str(tmp_path / "runs")]}
    beyond["data prepare"] = ["--out", str(folder / "made")]
    arguments = command_line().parse_args([*command.split(), str(folder), *beyond.get(command, [])])
    try:
        arguments.run(arguments)
    except ModelsError as error:
        text = str(error)
    else:
        assert command == "data check"
        return
    own, *others = re.split(r"(?=python -m models )", text)
    assert set(OPTION.findall(own)) <= options(command), text
    for other in others:
        name, action = QUOTED.findall(other)[0]
        assert set(OPTION.findall(other)) <= options(f"{name} {action}".strip()), text


def data_of(kind: str, folder: Path) -> Path:
    """A data set that can't be trained on, or only written into."""
    if kind != "none":
        made_sets.plain(folder, 3 if kind == "few" else len(LONE))
    for path, word in zip(sorted(folder.glob("*.txt")), LONE, strict=False):
        if kind in ("lone words", "one caption"):
            path.write_text(word if kind == "lone words" else "a disc")
    return folder
